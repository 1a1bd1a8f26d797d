"""Read a flow: a job, its children over all queues, and theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bullq.protocol.keys import QueueKeys
from bullq.queues.getters import QueueView

if TYPE_CHECKING:
    from bullq.protocol.record import JobRecord
    from bullq.protocol.states import JobState
    from bullq.store.connection import Store

MOST_CHILDREN = 20
"""Children of one job that are read if not asked for more."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A job of a flow; *record* is None where it is gone, and its result is the parent's alone.

    *unread* is how many more children it has than were asked for.
    """

    queue: str
    id: str
    state: JobState
    record: JobRecord | None
    children: list[TreeNode] = field(default_factory=list)
    unread: int = 0


async def read_tree(
    store: Store, keys: QueueKeys, job_id: str, *, depth: int = 10, most: int = MOST_CHILDREN
) -> TreeNode:
    """Read the flow below a job, *depth* levels of it in all, *most* children of each job."""
    view = QueueView(store, keys)
    record, state = await view.job(job_id), await view.state(job_id)
    node = TreeNode(keys.queue, job_id, state, record)
    if depth <= 1:
        return node
    below = await view.children(job_id)
    found = [*below.values, *below.failed, *below.ignored, *below.pending]
    for key in found[:most]:
        _, queue, child_id = key.rsplit(":", 2)
        child_keys = QueueKeys(keys.prefix, queue)
        child = await read_tree(store, child_keys, child_id, depth=depth - 1, most=most)
        node.children.append(child)
    unread = max(0, len(found) - most)
    return TreeNode(node.queue, node.id, state, record, node.children, unread)
