"""One user's conversation with the model, as messages for Gradio's chatbot. Nothing here needs Gradio."""

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
"""A message as the chatbot takes it: role, content, metadata."""

SHOW_EVERY = 0.05
"""Seconds between two looks at an answer that grows: each sends the conversation to the browser."""

VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv")

# One answer is written at a time, whoever asks: two would share the processor, and both be slow.
turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Settings:
    thinking: bool = True
    temperature: float = 0.0
    max_tokens: int = 1024


class Stopped(Exception):
    """The user has pressed the stop button, or has left."""


@dataclass(slots=True)
class Reply:
    """An answer as far as it is written."""

    thinking: str = ""
    text: str = ""
    notes: list[str] = field(default_factory=list)
    """What is told about the answer, in small print."""
    pictures: list[Path] = field(default_factory=list)
    action: str | None = None
    error: str | None = None
    over: bool = False

    def messages(self, words: Words) -> list[Message]:
        messages: list[Message] = []
        if self.thinking:
            # The chatbot shows a title as a fold: open with "pending", closed with "done".
            status = "done" if self.over or self.text else "pending"
            messages.append(said(self.thinking) | {"metadata": {"title": words.thinking, "status": status}})
        if self.text:
            messages.append(said(self.text))
        messages += [said({"path": str(picture)}) for picture in self.pictures]
        if self.action is not None:
            messages.append(said(words.action.format(f"`{self.action}`")))
        if self.error is not None:
            messages.append(said(f"⚠️ {plain(self.error)}"))
        if self.notes:
            messages.append(said(f'<span class="notes">{plain(" · ".join(self.notes))}</span>'))
        return messages


class Conversation:
    """A session of the model, and the pictures that it knows. `stop` and `close` may come from any thread."""

    def __init__(self, model: mimo_vl.Model, max_pixels: int | None = None) -> None:
        self._model = model
        self._max_pixels = max_pixels
        self._session = model.session()
        self._folder = tempfile.TemporaryDirectory(prefix="mimo-vl-demo-")
        self._drawn = 0
        # What the session has seen, and files of a question that was stopped.
        self._media: list[Media] = []
        self._again: list[Path] = []
        self._stop = threading.Event()
        self._question: tuple[str, list[Path]] | None = None
        self.closed = False

    @property
    def busy(self) -> bool:
        return self._question is not None

    def begin(self, text: str, files: Sequence[str | Path]) -> None:
        """Take a question; `answer` answers it. From now on `stop` stops it."""
        self._stop.clear()
        self._question = (text.strip(), [Path(file) for file in files])

    def stop(self) -> None:
        """End the answer.

        The session is then as it was before the question: it has neither the question nor what was written, though
        that stays on the screen. Pictures of the question are put to the model again with the next one, so that
        nobody has to send them twice.
        """
        self._stop.set()
        self._session.cancel()

    def close(self) -> None:
        self.closed = True
        self.stop()
        self._session.close()
        self._folder.cleanup()

    def answer(
        self, history: list[Message], settings: Settings, words: Words
    ) -> Generator[list[Message], None, None]:
        """Answer the question of `begin`: gives the history with the answer so far, again and again."""
        if self._question is None:
            return
        reply = Reply()
        try:
            with contextlib.closing(self._write(reply, *self._question, settings, words)) as steps:
                for _ in steps:
                    # A conversation that was closed meanwhile has been cleared from the screen.
                    yield [] if self.closed else history + reply.messages(words)
        finally:
            # Only now is the next question taken: until here the screen may still change.
            self._question = None

    def _write(
        self, reply: Reply, text: str, files: list[Path], settings: Settings, words: Words
    ) -> Generator[None, None, None]:
        """Write the reply, and pause whenever there is something new to see."""
        files = self._again + files
        self._again = []
        try:
            with contextlib.ExitStack() as stack:
                if not turn.acquire(blocking=False):
                    reply.notes = [words.waiting]
                    yield
                    while not turn.acquire(timeout=SHOW_EVERY):
                        self._go_on()
                stack.callback(turn.release)
                reply.notes = [words.reading]
                yield
                media = [self._open(file) for file in files]
                self._go_on()
                stream = stack.enter_context(
                    self._session.stream(
                        [*media, text] if text else media,
                        thinking=settings.thinking,
                        temperature=settings.temperature,
                        max_tokens=settings.max_tokens,
                    )
                )
                reply.notes = []
                last = 0.0
                for event in stream:
                    self._go_on()
                    match event:
                        case mimo_vl.Thinking(more):
                            reply.thinking += more
                        case mimo_vl.Text(more):
                            reply.text += more
                    if time.monotonic() - last >= SHOW_EVERY:
                        yield
                        last = time.monotonic()
                self._finish(reply, stream.answer, media, words)
        except (Stopped, mimo_vl.CancelledError):
            reply.notes = [words.stopped]
            self._again = files
        except mimo_vl.MimoVlError as error:
            reply.notes = []
            reply.error = readable(error, files)
            if isinstance(error, mimo_vl.InternalError):
                self._start_anew(reply, words)
        except (RuntimeError, OSError):
            # The session was closed just before it was asked, or the folder before a picture was written.
            if not self.closed:
                raise
        reply.over = True
        yield

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _open(self, file: Path) -> Media:
        if file.suffix.lower() not in VIDEOS:
            return mimo_vl.Image.open(file, max_pixels=self._max_pixels)
        # A video gets half of the context: each pair of frames takes up to 134 tokens even of a smaller budget.
        tokens = self._model.max_context // 2
        return mimo_vl.Video.open(
            file,
            max_frames=max(4, 2 * tokens // 134),
            total_pixels=tokens * 28 * 28,
            max_pixels=self._max_pixels,
            progress=lambda done, of: self._go_on(),
        )

    def _finish(self, reply: Reply, answer: mimo_vl.Answer | None, media: list[Media], words: Words) -> None:
        if answer is None:
            raise Stopped  # The session was closed between two steps.
        self._media += media
        if not answer.text.strip():
            reply.notes.append(words.empty)
        for picture in marked(answer, self._media):
            self._drawn += 1
            reply.pictures.append(Path(self._folder.name, f"{self._drawn}.png"))
            picture.save(reply.pictures[-1])
        if answer.action is not None:
            reply.action = describe(answer.action)
        reply.notes += notes(answer, words)

    def _start_anew(self, reply: Reply, words: Words) -> None:
        """After a defect of the library its session must not be used again."""
        self._session.close()
        self._session = self._model.session()
        self._media = []
        reply.notes = [words.starts_anew]


def said(content: str | dict[str, str]) -> Message:
    return {"role": "assistant", "content": content}


def asked(text: str, files: Sequence[str]) -> list[Message]:
    """A user's message; each picture is a message of its own for the chatbot."""
    contents: list[str | dict[str, str]] = [{"path": file} for file in files]
    contents += [text] if text.strip() else []
    return [{"role": "user", "content": content} for content in contents]


def notes(answer: mimo_vl.Answer, words: Words) -> list[str]:
    """Why the answer ended, unless it came to its own end, and how long it took."""
    ends = {
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
    end = ends.get(answer.stop_reason)
    return [times] if end is None else [end, times]


def readable(error: mimo_vl.MimoVlError, files: Sequence[Path]) -> str:
    """An error in one line, with the names of files as the user knows them and not where they lie on the server."""
    text = " ".join(str(error).split())
    for file in files:
        text = text.replace(str(file), file.name)
    return text


def plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]$~|#])", r"\\\1", text)
