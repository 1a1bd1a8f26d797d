"""Add trees of jobs, each in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.adding import NewJob
    from bullq.store.pipelined import Scripting


@dataclass(frozen=True, slots=True)
class NewNode:
    """A job of a tree: on which queue, below which job, and above which ones (JSON, or empty)."""

    job: NewJob
    keys: QueueKeys
    parent_key: str
    children: str

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    def packed(self) -> list[Any]:
        """Give the list that lua/addFlow-1.lua reads."""
        kind, arguments, data, options = self.job.packed(self.keys)
        own_kind = "parent" if self.children else kind
        place = [own_kind, self.keys.base, self.id, self.parent_key]
        return [*place, arguments, data, options, self.children]


class FlowScript:
    """The script that adds a tree of jobs."""

    def __init__(self, client: Scripting) -> None:
        self._add = client.register_script(script("addFlow-1"))

    async def add_flow(self, nodes: Sequence[NewNode]) -> tuple[int, NewNode | None, str]:
        """Add a tree, parents before their children (lua/addFlow-1.lua).

        Gives 0; 1 where its root exists already, and nothing was added; or -1, the job that
        stands against it, and why.
        """
        root = nodes[0]
        packed = msgpack.packb([node.packed() for node in nodes], use_bin_type=False)
        answer: Any = await self._add(keys=[root.keys.job(root.id)], args=[packed])
        code = int(answer[0])
        return (code, nodes[int(answer[1]) - 1], str(answer[2])) if code < 0 else (code, None, "")
