"""Add jobs, many in one call, by BullMQ's own scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from bullq.protocol.options import PARENT_FLAGS, JobOptions, encode_options
from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.pipelined import Scripting

_KEYS = (
    "wait",
    "paused",
    "meta",
    "id",
    "completed",
    "delayed",
    "active",
    "events",
    "marker",
    "prioritized",
    "pc",
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be added: *data* is JSON text, *options* name its id."""

    name: str
    data: str
    options: JobOptions

    def packed(self, keys: QueueKeys) -> list[Any]:
        """Give the list that lua/addJobs-11.lua reads."""
        options: dict[str, Any] = dict(self.options)
        parent = options.get("parent")
        parent_key = f"{parent['queue']}:{parent['id']}" if parent else None
        deduplication = options.get("deduplication")
        arguments = [
            keys.base,
            options.get("jobId", ""),
            self.name,
            options.get("timestamp", time.time_ns() // 1_000_000),
            parent_key,
            f"{parent_key}:dependencies" if parent_key else None,
            _parent(parent, options) if parent else None,
            None,  # the schedule that makes the job: BullMQ's schedulers add theirs themselves
            f"{keys.base}de:{deduplication['id']}" if deduplication else None,
        ]
        packed = encode_options(options)
        return [_kind(options), msgpack.packb(arguments), self.data, msgpack.packb(packed)]


class AddScript:
    """The script that adds jobs to one queue."""

    def __init__(self, client: Scripting, keys: QueueKeys) -> None:
        self._keys = keys
        self._add = client.register_script(script("addJobs-11"))

    async def add_jobs(self, jobs: Sequence[NewJob]) -> list[str | int]:
        """Add jobs in order (lua/addJobs-11.lua).

        Gives one answer each: the id, which with deduplication is another job's; a negative
        number when refused; an error's text after '!'.
        """
        packed = msgpack.packb([job.packed(self._keys) for job in jobs], use_bin_type=False)
        keys = [self._keys.key(name) for name in _KEYS]
        answers: Any = await self._add(keys=keys, args=[packed])
        return list(answers)


def _kind(options: dict[str, Any]) -> str:
    if options.get("delay"):
        return "delayed"
    return "prioritized" if options.get("priority") else "standard"


def _parent(parent: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    flags = {short: True for short, long in PARENT_FLAGS.items() if options.get(long)}
    return {"id": parent["id"], "queueKey": parent["queue"], **flags}
