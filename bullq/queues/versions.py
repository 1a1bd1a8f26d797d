"""Tell which clients share a queue, and whether one of them can lose its jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bullq.wording import counted

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store

_OLD = re.compile(r"bullmq:[1-5]\.|bullmq-pro:")
"""What `meta.version` begins with where a client keeps paused jobs apart (BullMQ Pro 7 is a 5)."""


@dataclass(frozen=True, slots=True)
class SharedWith:
    """What a queue shows of its clients.

    *version* is what the client says that was set up last (`meta.version`), such as
    'bullmq:6.7.0' or 'bullq:0.1.0'; None where none has said it. *paused_apart* is how many
    jobs an older client has moved to the list `paused`.
    """

    queue: str
    version: str | None
    paused_apart: int

    @property
    def with_old_client(self) -> bool:
        """Whether a client of BullMQ 5 or older, or of BullMQ Pro 7, was seen."""
        return self.paused_apart > 0 or bool(_OLD.match(self.version or ""))

    @property
    def warning(self) -> str | None:
        """What a person should know and do, or None where nothing is wrong."""
        if not self.with_old_client:
            return None
        signs = []
        if self.paused_apart:
            signs.append(f"{counted(self.paused_apart, 'job')} in its list 'paused'")
        if _OLD.match(self.version or ""):
            signs.append(f"its version is {self.version!r}")
        return (
            f"The queue {self.queue!r} is shared with a client of BullMQ 5 ({', '.join(signs)}): "
            "when such a client pauses or resumes it, jobs that newer clients have added get "
            "lost. Upgrade that client to BullMQ 6, and pause and resume with bullq or BullMQ 6 "
            "only. 'bullq queues resume --force' brings the jobs in 'paused' back, "
            "'bullq queues rescue' those that were lost."
        )


async def look_at_clients(store: Store, keys: QueueKeys) -> SharedWith:
    """Look for signs of clients that do not go together with newer ones."""
    with store.errors():
        client = store.client()
        version = await client.hget(keys.key("meta"), "version")
        paused_apart = await client.llen(keys.key("paused"))
    return SharedWith(keys.queue, version, int(paused_apart))
