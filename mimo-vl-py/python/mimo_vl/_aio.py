"""Sessions in asyncio: each step runs in a thread while the event loop goes on."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from ._native import CancelToken, Session, Stream
from .answer import Answer, Event

T = TypeVar("T")


async def aask(session: Session, parts: tuple[Any, ...], options: dict[str, Any]) -> Answer:
    cancel = child_token(options)
    return await in_thread(cancel, lambda: session.ask(*parts, **{**options, "cancel": cancel}))


async def astream(session: Session, parts: tuple[Any, ...], options: dict[str, Any]) -> AsyncIterator[Event]:
    cancel = child_token(options)
    stream = await in_thread(cancel, lambda: session.stream(*parts, **{**options, "cancel": cancel}), Stream.close)
    try:
        while (event := await in_thread(cancel, lambda: next(stream, None))) is not None:
            yield event
    finally:
        stream.close()


def child_token(options: dict[str, Any]) -> CancelToken:
    """A token for one call: a child of the caller's, if there is one."""
    cancel: CancelToken | None = options.get("cancel")
    if cancel is not None and not isinstance(cancel, CancelToken):
        raise TypeError(f"cancel must be a CancelToken, not {type(cancel).__name__}")
    return CancelToken() if cancel is None else cancel.child()


async def in_thread(cancel: CancelToken, work: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
    """Runs `work`, a call with the token `cancel`, in a thread.

    A cancelled task cancels the token and ends when the thread has ended, so that the session is free again. A result
    that comes nevertheless is passed to `discard`.
    """
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
            result.set_exception(error)

    asyncio.get_running_loop().run_in_executor(None, run)
    done = asyncio.wrap_future(result)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        cancel.cancel()
        if not result.cancel():
            while not done.done():
                try:
                    await asyncio.wait({done})
                except asyncio.CancelledError:
                    continue
            if done.exception() is None and discard is not None:
                discard(done.result())
        raise
