"""Sessions in asyncio: each step of the work is done in a thread, and the event loop goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ._native import Session
from .answer import Answer, Event


async def aask(session: Session, parts: Any, options: dict[str, Any]) -> Answer:
    asked = asyncio.get_running_loop().run_in_executor(None, lambda: session.ask(parts, **options))
    try:
        return await asked
    except asyncio.CancelledError:
        session.cancel()
        raise


async def astream(session: Session, parts: Any, options: dict[str, Any]) -> AsyncIterator[Event]:
    stream = await asyncio.to_thread(session.stream, parts, **options)
    try:
        while (event := await asyncio.to_thread(next, stream, None)) is not None:
            yield event
    except asyncio.CancelledError:
        session.cancel()
        raise
    finally:
        stream.close()
