"""The conversation of one user, as messages for Gradio's chatbot. Does not import Gradio."""

import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import mimo_vl
from marks import Media, describe, marked
from words import Words

Message: TypeAlias = dict[str, Any]
"""A message of the chatbot: role, content, metadata."""

UPDATE_INTERVAL = 0.05
"""Seconds between two updates of a growing answer: each one sends the conversation to the browser."""

VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv")

# One answer at a time over all conversations: two would share the processor and be slow.
answer_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Settings:
    thinking: bool = True
    temperature: float = 0.0
    max_tokens: int = 1024


class Stopped(Exception):
    """The user pressed the stop button or left the page."""


@dataclass(slots=True)
class Reply:
    """The answer so far."""

    thinking: str = ""
    text: str = ""
    notes: list[str] = field(default_factory=list)
    """Remarks about the answer, in small print."""
    images: list[Path] = field(default_factory=list)
    """Images with the answer's regions and action drawn over them."""
    action: str | None = None
    error: str | None = None
    done: bool = False

    def messages(self, words: Words) -> list[Message]:
        messages: list[Message] = []
        if self.thinking:
            # The chatbot shows a message with a title as a fold: open if "pending", closed if "done".
            status = "done" if self.done or self.text else "pending"
            metadata = {"title": words.thinking, "status": status}
            messages.append(assistant_message(self.thinking) | {"metadata": metadata})
        if self.text:
            messages.append(assistant_message(self.text))
        messages += [assistant_message({"path": str(image)}) for image in self.images]
        if self.action is not None:
            messages.append(assistant_message(words.action.format(f"`{self.action}`")))
        if self.error is not None:
            messages.append(assistant_message(f"⚠️ {plain(self.error)}"))
        if self.notes:
            messages.append(assistant_message(f'<span class="notes">{plain(" · ".join(self.notes))}</span>'))
        return messages


class Conversation:
    """A session of the model and its images and videos. `stop` and `close` may be called from any thread."""

    def __init__(self, model: mimo_vl.Model, max_pixels: int | None = None) -> None:
        self._model = model
        self._max_pixels = max_pixels
        self._session = model.session()
        self._folder = tempfile.TemporaryDirectory(prefix="mimo-vl-demo-")
        self._drawn = 0
        # Media of the session, and files of a prompt that was stopped.
        self._media: list[Media] = []
        self._pending_files: list[Path] = []
        self._cancel = mimo_vl.CancelToken()
        self._prompt: tuple[str, list[Path]] | None = None
        self.closed = False

    @property
    def busy(self) -> bool:
        return self._prompt is not None

    def begin(self, text: str, files: Sequence[str | Path]) -> None:
        """Set the prompt that `answer` answers and that `stop` stops."""
        self._cancel = mimo_vl.CancelToken()
        self._prompt = (text.strip(), [Path(file) for file in files])

    def stop(self) -> None:
        """End the answer.

        The session is rolled back: it has neither the prompt nor the text so far, though both stay on the screen.
        Files of the prompt are added to the next one, so that nobody has to upload them twice.
        """
        self._cancel.cancel()

    def close(self) -> None:
        self.closed = True
        self.stop()
        self._session.close()
        self._folder.cleanup()

    def answer(
        self, history: list[Message], settings: Settings, words: Words
    ) -> Generator[list[Message], None, None]:
        """Answer the prompt of `begin`. Yields the history with the answer so far at each update."""
        if self._prompt is None:
            return
        reply = Reply()
        try:
            with contextlib.closing(self._write(reply, *self._prompt, settings, words)) as steps:
                for _ in steps:
                    # A closed conversation has been cleared from the screen.
                    yield [] if self.closed else history + reply.messages(words)
        finally:
            # The next prompt is accepted after the last update of the screen.
            self._prompt = None

    def _write(
        self, reply: Reply, text: str, files: list[Path], settings: Settings, words: Words
    ) -> Generator[None, None, None]:
        """Write the reply. Yields after each change that should be shown."""
        files = self._pending_files + files
        self._pending_files = []
        try:
            with contextlib.ExitStack() as stack:
                if not answer_lock.acquire(blocking=False):
                    reply.notes = [words.waiting]
                    yield
                    while not answer_lock.acquire(timeout=UPDATE_INTERVAL):
                        self._check_stop()
                stack.callback(answer_lock.release)
                reply.notes = [words.reading]
                yield
                media = [self._open(file) for file in files]
                self._check_stop()
                stream = stack.enter_context(
                    self._session.stream(
                        [*media, text] if text else media,
                        thinking=settings.thinking,
                        temperature=settings.temperature,
                        max_tokens=settings.max_tokens,
                        cancel=self._cancel,
                    )
                )
                reply.notes = []
                last = 0.0
                for event in stream:
                    self._check_stop()
                    match event:
                        case mimo_vl.Thinking(more):
                            reply.thinking += more
                        case mimo_vl.Text(more):
                            reply.text += more
                    if time.monotonic() - last >= UPDATE_INTERVAL:
                        yield
                        last = time.monotonic()
                self._finish(reply, stream.answer, media, words)
        except (Stopped, mimo_vl.CancelledError):
            reply.notes = [words.stopped]
            self._pending_files = files
        except mimo_vl.MimoVlError as error:
            reply.notes = []
            reply.error = readable(error, files)
            if isinstance(error, mimo_vl.InternalError):
                self._replace_session(reply, words)
        except (RuntimeError, OSError):
            # The session was closed just before the call, or the folder removed before an image was saved.
            if not self.closed:
                raise
        reply.done = True
        yield

    def _check_stop(self) -> None:
        if self._cancel.cancelled:
            raise Stopped

    def _open(self, file: Path) -> Media:
        if file.suffix.lower() not in VIDEO_SUFFIXES:
            return mimo_vl.Image.open(file, max_pixels=self._max_pixels)
        # Half of the context for a video; a pair of frames takes up to 134 tokens even if the budget is smaller.
        tokens = self._model.max_context // 2
        return mimo_vl.Video.open(
            file,
            max_frames=max(4, 2 * tokens // 134),
            total_pixels=tokens * 28 * 28,
            max_pixels=self._max_pixels,
            cancel=self._cancel,
        )

    def _finish(self, reply: Reply, answer: mimo_vl.Answer | None, media: list[Media], words: Words) -> None:
        if answer is None:
            raise Stopped  # The session was closed between two events.
        self._media += media
        if not answer.text.strip():
            reply.notes.append(words.empty)
        for image in marked(answer, self._media):
            self._drawn += 1
            reply.images.append(Path(self._folder.name, f"{self._drawn}.png"))
            image.save(reply.images[-1])
        if answer.action is not None:
            reply.action = describe(answer.action)
        reply.notes += notes(answer, words)

    def _replace_session(self, reply: Reply, words: Words) -> None:
        """Open a new session, since a session must not be used after an internal error."""
        self._session.close()
        self._session = self._model.session()
        self._media = []
        reply.notes = [words.session_lost]


def assistant_message(content: str | dict[str, str]) -> Message:
    return {"role": "assistant", "content": content}


def user_messages(text: str, files: Sequence[str]) -> list[Message]:
    """A user's message for the chatbot, which takes each file as a message of its own."""
    contents: list[str | dict[str, str]] = [{"path": file} for file in files]
    contents += [text] if text.strip() else []
    return [{"role": "user", "content": content} for content in contents]


def notes(answer: mimo_vl.Answer, words: Words) -> list[str]:
    """The stop reason, unless the answer is complete, and the timings."""
    reasons = {
        mimo_vl.StopReason.MAX_TOKENS: words.cut_off,
        mimo_vl.StopReason.CONTEXT_FULL: words.context_full,
        mimo_vl.StopReason.LOOP: words.loop,
    }
    timings = answer.timings
    times = words.timings.format(
        tokens=answer.tokens,
        speed=timings.decode_tokens_per_second,
        encode=timings.encode,
        prefill=timings.prefill,
        new=answer.prompt_tokens - timings.cached_tokens,
        cached=timings.cached_tokens,
    )
    reason = reasons.get(answer.stop_reason)
    return [times] if reason is None else [reason, times]


def readable(error: mimo_vl.MimoVlError, files: Sequence[Path]) -> str:
    """An error on one line, with file names in place of paths on the server."""
    text = " ".join(str(error).split())
    for file in files:
        text = text.replace(str(file), file.name)
    return text


def plain(text: str) -> str:
    """Escape text for Markdown and HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]$~|#])", r"\\\1", text)
