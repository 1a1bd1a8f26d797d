"""One application for the length of one command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bullq.app import Bullq

T = TypeVar("T")


def with_app(command: Callable[[Bullq], Awaitable[T]]) -> T:
    """Load the application, run *command* with it and close its connections."""
    import asyncio

    from bullq.loading import load_app

    app = load_app()

    async def session() -> T:
        try:
            return await command(app)
        finally:
            await app.aclose()

    return asyncio.run(session())
