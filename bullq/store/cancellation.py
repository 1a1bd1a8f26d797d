"""Connections that pass every cancellation on.

On Python 3.11 redis-py sends commands inside an `asyncio.wait_for`, which swallows a cancellation
that comes in the moment the sending is done: the task that was to end would run on for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection


class _Cancellable:
    """Raises what redis-py's own sending has swallowed."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - by redis-py's signature
        """Send a command, and raise CancelledError where a cancellation came meanwhile."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)  # type: ignore[misc] # a mixin
        if task and task.cancelling() > before:
            # The command's answer is on its way, and nobody will read it.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined] # a mixin
            raise asyncio.CancelledError


class _Tcp(_Cancellable, Connection):
    """By TCP."""


class _Tls(_Cancellable, SSLConnection):
    """By TCP with TLS."""


class _Unix(_Cancellable, UnixDomainSocketConnection):
    """By a socket of the file system."""


def cancellable(kind: type[Any] = Connection) -> type[Any]:
    """Give the connection class to take in place of redis-py's own."""
    return {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}[kind]
