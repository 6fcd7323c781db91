"""Text of an answer while it is written: what generate() takes as its streamer."""

import queue
from typing import Any

from ._arrays import listed


class TextStreamer:
    """Print the text of one answer as it comes, whole characters only.

    `tokenizer` is anything with a decode(), a processor for example, which gets the other options.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer, self.skip_prompt, self.decode_kwargs = tokenizer, skip_prompt, decode_kwargs
        self._clear()

    def _clear(self) -> None:
        self._is_prompt = True
        self._ids: list[int] = []
        self._given = 0

    def put(self, value: Any) -> None:
        """Take the rows of the prompt, and then one token after the other."""
        ids = listed(value)
        if self._is_prompt:
            self._is_prompt = False
            ids = [] if self.skip_prompt else ids[0]
        self._ids += ids
        text = self._text()
        if not text.endswith("\ufffd"):
            self._give(text)

    def end(self) -> None:
        """The answer is over: what is held back of a broken character follows."""
        self._give(self._text(), stream_end=True)
        self._clear()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """What becomes of the text."""
        print(text, flush=True, end="\n" if stream_end else "")

    def _text(self) -> str:
        return str(self.tokenizer.decode(self._ids, **self.decode_kwargs))

    def _give(self, text: str, stream_end: bool = False) -> None:
        new, self._given = text[self._given :], len(text)
        if new or stream_end:
            self.on_finalized_text(new, stream_end)
        if text.endswith("\n"):
            # Nothing before a line's end changes any more, so it need not be decoded again.
            self._ids, self._given = [], 0


class TextIteratorStreamer(TextStreamer):
    """An iterator over the text of one answer, which another thread generates.

    With a timeout, waiting longer for the next piece is a queue.Empty.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self._pieces: queue.Queue[str | None] = queue.Queue()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._pieces.put(text)
        if stream_end:
            self._pieces.put(None)

    def __iter__(self) -> "TextIteratorStreamer":
        return self

    def __next__(self) -> str:
        piece = self._pieces.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        return piece
