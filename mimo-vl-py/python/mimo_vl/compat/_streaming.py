"""Streamers for generate(): the text of an answer while it is generated."""

import queue
from typing import Any

from ._arrays import to_list


class TextStreamer:
    """Prints the text of one answer as it is generated, complete characters only.

    `tokenizer` is any object with a decode(), such as a processor; decode() gets the other options.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer, self.skip_prompt, self.decode_kwargs = tokenizer, skip_prompt, decode_kwargs
        self._clear()

    def _clear(self) -> None:
        self._is_prompt = True
        self._ids: list[int] = []
        self._emitted_len = 0

    def put(self, value: Any) -> None:
        """Takes the rows of the prompt, then one token per call."""
        ids = to_list(value)
        if self._is_prompt:
            self._is_prompt = False
            ids = [] if self.skip_prompt else ids[0]
        self._ids += ids
        text = self._text()
        if not text.endswith("\ufffd"):
            self._emit(text)

    def end(self) -> None:
        """Ends the answer; the bytes of an incomplete character are emitted."""
        self._emit(self._text(), stream_end=True)
        self._clear()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Handles new text."""
        print(text, flush=True, end="\n" if stream_end else "")

    def _text(self) -> str:
        return str(self.tokenizer.decode(self._ids, **self.decode_kwargs))

    def _emit(self, text: str, stream_end: bool = False) -> None:
        new, self._emitted_len = text[self._emitted_len :], len(text)
        if new or stream_end:
            self.on_finalized_text(new, stream_end)
        if text.endswith("\n"):
            # Later tokens do not change the text before a line break, so it need not be decoded again.
            self._ids, self._emitted_len = [], 0


class TextIteratorStreamer(TextStreamer):
    """An iterator over the text of one answer that another thread generates.

    Raises queue.Empty if the next piece takes longer than `timeout` seconds.
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
