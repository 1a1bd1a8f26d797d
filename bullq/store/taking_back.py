"""The script that the parent of a dead worker runs: its jobs go back to their queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys

_KEYS = (
    "wait",
    "active",
    "stalled",
    "meta",
    "paused",
    "marker",
    "events",
    "repeat",
    "",
    "held",
    "held-check",
)


class ReturnScript:
    """Takes back the jobs of one queue."""

    def __init__(self, client: Any, keys: QueueKeys) -> None:
        self._keys = keys
        self._return_held_by = client.register_script(script("returnHeldBy-11"))

    async def return_held_by(self, token_prefix: str, max_stalled_count: int) -> list[str]:
        """Put back the jobs of a worker that is no more; give their ids (lua/returnHeldBy-11.lua).

        Running it again is harmless: the jobs' locks are gone, or another worker's.
        """
        ids: Any = await self._return_held_by(
            keys=[self._keys.key(name) for name in _KEYS],
            args=[token_prefix, max_stalled_count],
        )
        return list(ids)
