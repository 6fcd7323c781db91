"""Sessions in asyncio: each step of the work is done in a thread, and the event loop goes on meanwhile."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from ._native import Session, Stream
from .answer import Answer, Event

T = TypeVar("T")

POLL = 0.05
"""Seconds between two requests to stop: the first may come before the work has begun to listen."""


async def _in_thread(session: Session, work: Callable[[], T], drop: Callable[[T], None] | None = None) -> T:
    """Do work with a session in a thread. A cancelled task stops the work, and ends when the session is free again."""
    with_thread: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if not with_thread.set_running_or_notify_cancel():
            return
        try:
            with_thread.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
            with_thread.set_exception(error)

    asyncio.get_running_loop().run_in_executor(None, run)
    done = asyncio.ensure_future(asyncio.wrap_future(with_thread))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if not with_thread.cancel():
            while not with_thread.done():
                session.cancel()
                await asyncio.wait({done}, timeout=POLL)
            if with_thread.exception() is None and drop is not None:
                drop(with_thread.result())
        done.cancel()
        raise


async def aask(session: Session, parts: Any, options: dict[str, Any]) -> Answer:
    return await _in_thread(session, lambda: session.ask(parts, **options))


async def astream(session: Session, parts: Any, options: dict[str, Any]) -> AsyncIterator[Event]:
    stream = await _in_thread(session, lambda: session.stream(parts, **options), Stream.close)
    try:
        while (event := await _in_thread(session, lambda: next(stream, None))) is not None:
            yield event
    finally:
        stream.close()
