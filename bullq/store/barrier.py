"""Answer only once what was written outlives the server: on its disk, or on a replica.

WAITAOF is no such barrier: Valkey 9.1 with appendfsync everysec answers it without an fsync.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ResponseError

from bullq.errors import StoreUnavailable
from bullq.store.pipelined import PipelinedConnection, Waiter, pack

_BELIEVED = 5.0  # seconds for which is known how the server keeps what it is given
_SHARE = 0.8  # of a connection's own deadline, that replicas have


class DurableConnection(PipelinedConnection):
    """A connection for scripts, of which each is on a disk or on a replica before it is answered.

    Raises StoreUnavailable: not in doubt where the server can do neither, and in doubt where no
    replica has told in time that it has what was written.
    """

    def __init__(self, connection: PipelinedConnection) -> None:
        self._connection = connection
        self.timeout = connection.timeout
        self._wait = pack(("WAIT", 1, int(connection.timeout * _SHARE * 1000)))
        self._known_until = 0.0
        self._by_replica = False

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._connection.address

    async def check(self) -> str:
        """Say what keeps the writes; raises StoreUnavailable where nothing does."""
        self._known_until = 0.0
        return "a replica" if await self._needs_replica() else "its disk"

    async def send(self, packed: bytes) -> Any:
        """Send a command that is packed already; its reply comes behind the barrier."""
        if not await self._needs_replica():
            return await self._connection.send(packed)
        reply, replicas = await self._connection.send_all(packed, self._wait)
        if not replicas:
            raise StoreUnavailable(
                f"Redis at {self.address} has written it, and no replica has told in time that it "
                "has it, too (durability='strict').",
                in_doubt=True,
            )
        return reply

    def begin(self, packed: bytes, waiter: Waiter) -> bool:  # noqa: ARG002 - as there
        """Give False: there is more to do than to write the command."""
        return False

    def drop(self) -> None:
        """Close the connection at once."""
        self._connection.drop()

    async def aclose(self) -> None:
        """Leave the connection to whoever has made it."""

    async def _needs_replica(self) -> bool:
        """Tell whether a replica has to be waited for: the server's disk has all at once else."""
        now = asyncio.get_running_loop().time()
        if now >= self._known_until:
            self._by_replica = not await self._syncs_each_write()
            if self._by_replica and not await self._replicas():
                raise StoreUnavailable(
                    f"Redis at {self.address} cannot keep what durability='strict' has to: it "
                    "neither syncs each write to its disk (appendonly yes, appendfsync always) nor "
                    "has a replica. Give it one of the two, or the queue durability='default'."
                )
            self._known_until = now + _BELIEVED
        return self._by_replica

    async def _syncs_each_write(self) -> bool:
        try:
            told = await self._connection.execute("CONFIG", "GET", "append*")
        except ResponseError:
            return False  # hosted servers tell nothing of it
        known = dict(zip(told[::2], told[1::2], strict=True))
        return (known.get("appendonly"), known.get("appendfsync")) == ("yes", "always")

    async def _replicas(self) -> int:
        told = await self._connection.execute("INFO", "replication")
        lines = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        return int(lines.get("connected_slaves", 0))
