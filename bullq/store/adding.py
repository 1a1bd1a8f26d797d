"""Add jobs, many in one call: the common ones by a shorter way, the others by BullMQ's scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from bullq.errors import InvalidOptionError
from bullq.protocol.options import PARENT_FLAGS, JobOptions, check_options, encode_options
from bullq.store.lua import is_proven, script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.pipelined import PipelinedConnection, Waiter

_SCRIPT = "addJobs-12"
ADD_KEYS = (
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
    "",
)
_NEEDS_OFFICIAL = ("parent", "deduplication", "priority")
_MOST_DIGITS = 14  # cjson writes no more of a number

Answer = str | int
"""What adding a job gave: its id, which with deduplication is another job's; a negative number
when refused; an error's text after '!'."""


class JobKind:
    """What jobs have in common, checked and packed once: their name and options.

    Raises InvalidOptionError for options that Node refuses, or BullMQ would mishandle.
    """

    __slots__ = ("is_common", "name", "options", "packed")

    def __init__(self, name: str, options: JobOptions) -> None:
        check_options(options)
        self.name = name
        self.options = options
        stored = encode_options(options)
        try:
            msgpack.packb([name, stored])  # as the official scripts would take it
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidOptionError(f"The job {name!r} cannot be added: {error}") from error
        needs_official = any(options.get(option) for option in _NEEDS_OFFICIAL)
        needs_official |= type(options.get("delay", 0)) is not int  # a fraction, in untyped code
        self.is_common = not needs_official and _as_they_are(stored)
        self.packed = _pack_kind(name, stored) if self.is_common else b""


class NewJob(NamedTuple):
    """A job to be added; *data* is JSON text."""

    kind: JobKind
    id: str
    data: str | bytes

    @property
    def name(self) -> str:
        """The job's name."""
        return self.kind.name

    @property
    def options(self) -> JobOptions:
        """The job's options, all but its id."""
        return self.kind.options

    def packed(self, keys: QueueKeys, now_ms: int | None = None) -> list[Any]:
        """Give which official script adds the job, and the three arguments it takes.

        *now_ms* is when the job is added, None for now.
        """
        options: dict[str, Any] = {**self.kind.options, "jobId": self.id}
        parent = options.get("parent")
        parent_key = f"{parent['queue']}:{parent['id']}" if parent else None
        deduplication = options.get("deduplication")
        arguments = [
            keys.base,
            self.id,
            self.kind.name,
            options.get("timestamp", now_ms or time.time_ns() // 1_000_000),
            parent_key,
            f"{parent_key}:dependencies" if parent_key else None,
            _parent(parent, options) if parent else None,
            None,  # the schedule that makes the job: BullMQ's schedulers add theirs themselves
            f"{keys.base}de:{deduplication['id']}" if deduplication else None,
        ]
        packed = msgpack.packb(encode_options(options))
        return [_way(options), msgpack.packb(arguments), self.data, packed]


class AddScript:
    """The script that adds jobs to one queue.

    *plain* opens the shorter way: by default where the installed official scripts are those it
    was proven against.
    """

    def __init__(
        self, client: PipelinedConnection, keys: QueueKeys, *, plain: bool | None = None
    ) -> None:
        self._keys = keys
        self.plain = is_proven(_SCRIPT) if plain is None else plain
        names = [keys.key(name) for name in ADD_KEYS]
        self._script = client.register_script(script(_SCRIPT)).on(names, arguments=1)

    async def add_jobs(self, jobs: Sequence[NewJob]) -> Sequence[Answer]:
        """Add jobs in order (lua/addJobs-12.lua); give what `answers` reads."""
        reply: Sequence[Answer] = await self._script(self.argument(jobs))
        return reply

    def begin(self, jobs: Sequence[NewJob], waiter: Waiter) -> bool:
        """Begin to add jobs, if there is a connection: *waiter* hears what `answers` reads."""
        return self._script.begin(waiter, self.argument(jobs))

    def argument(self, jobs: Sequence[NewJob]) -> bytes:
        """Pack jobs as lua/addJobs-12.lua takes them."""
        now = time.time_ns() // 1_000_000
        kinds: dict[JobKind, int] = {}
        runs: list[Any] = []
        run: list[str | bytes] = []
        before = None
        for kind, job_id, data in jobs:
            if kind is before:
                run += (job_id, data)
            elif self.plain and kind.is_common:
                before, run = kind, [job_id, data]
                runs.append((kinds.setdefault(kind, len(kinds) + 1), run))
            else:
                before = None
                way, *official = NewJob(kind, job_id, data).packed(self._keys, now)
                runs.append((way, official))
        return b"".join(
            [
                _THREE,
                _pack(str(now)),
                _PACKER.pack_array_header(len(kinds)),
                *[kind.packed for kind in kinds],
                _pack(runs),
            ]
        )


def answers(jobs: Sequence[NewJob], reply: Sequence[Answer]) -> list[Answer]:
    """Read what lua/addJobs-12.lua answers: one answer for each job."""
    given: list[Answer] = [job.id for job in jobs]
    for place, answer in zip(reply[::2], reply[1::2], strict=True):
        given[int(place) - 1] = answer
    return given


_PACKER = msgpack.Packer()
_THREE = _PACKER.pack_array_header(3)


def _pack(value: Any) -> bytes:
    """Pack for cmsgpack, which knows no type for bytes: nested packs go as text."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def _pack_kind(name: str, stored: dict[str, Any]) -> bytes:
    """Give the list that lua/addJobs-12.lua reads."""
    before = json.dumps({**stored, "jobId": ""}, ensure_ascii=False, separators=(",", ":"))
    timestamp = stored.get("timestamp")
    front = bool(stored.get("lifo"))
    delay = str(stored["delay"]) if stored.get("delay") else None
    packed: bytes = msgpack.packb(
        [name, before.removesuffix('""}'), "}", timestamp and str(timestamp), front, delay]
    )
    return packed


def _as_they_are(value: Any) -> bool:
    """Whether options that pass through cmsgpack and cjson are what they were."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _as_they_are(value[key]) for key in value)
    if isinstance(value, int | float):
        return float(f"{value:.{_MOST_DIGITS}g}") == value
    return isinstance(value, str)


def _way(options: dict[str, Any]) -> str:
    if options.get("delay"):
        return "delayed"
    return "prioritized" if options.get("priority") else "standard"


def _parent(parent: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    flags = {short: True for short, long in PARENT_FLAGS.items() if options.get(long)}
    return {"id": parent["id"], "queueKey": parent["queue"], **flags}
