"""Decide in Redis which engine runs a job: add with confirmation, look, settle, sweep.

The job's own slot in Redis is the arbiter. Every script here may be called again, by anybody,
in any order: the first decision stands.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from bullq.protocol.arbitration import (
    Added,
    Adding,
    Condition,
    Confirmation,
    ConfirmedAdds,
    Looked,
    Parcel,
    Pickup,
    Settled,
    Settling,
    Standing,
    Swept,
    Verdict,
    read_started,
    started_channel,
)
from bullq.protocol.options import encode_options
from bullq.store.adding import ADD_KEYS, AddScript, NewJob
from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.connection import Store
    from bullq.store.pipelined import PipelinedConnection, Waiter

__all__ = [
    "Added",
    "Adding",
    "Arbiter",
    "Condition",
    "Confirmation",
    "ConfirmedAdds",
    "Looked",
    "Parcel",
    "Pickup",
    "Settled",
    "Settling",
    "Standing",
    "Swept",
    "Unsettled",
    "Verdict",
    "live_workers",
    "read_adds",
    "read_started",
    "started_channel",
]

_KEEP_MS = 48 * 3_600_000  # twice as long as Inngest knows the id of an event
_TIDY_EVERY = 60.0  # seconds between two adds that forget what is older than that
_GRACE_MS = 5_000  # a dispatcher that lives has sent its event by then


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A job to settle.

    *known* says that it was on the queue for certain (its add was answered): where it is gone then,
    it is not taken for one that never came. The rest describes the job for its tombstone, should
    it never have come: *data* and *options* are JSON texts, *timestamp* is ms since the epoch.
    """

    id: str
    known: bool = False
    name: str = ""
    data: str = "null"
    options: str = "{}"
    timestamp: int = 0

    @classmethod
    def of(cls, job: NewJob, timestamp: int, *, known: bool = False) -> Unsettled:
        """Describe a job that was to be added."""
        data = job.data if isinstance(job.data, str) else job.data.decode()
        options = json.dumps({**encode_options(job.options), "jobId": job.id})
        return cls(
            id=job.id, known=known, name=job.name, data=data, options=options, timestamp=timestamp
        )

    def packed(self) -> list[Any]:
        """Give the list that lua/settle-1.lua reads."""
        return [self.id, self.known, self.name, self.data, self.options, str(self.timestamp)]


class Arbiter:
    """The scripts of one queue, on a connection of the running event loop.

    *connection* is whose deadlines count: StoreUnavailable and redis-py's errors pass through, so
    call within `store.errors()`.
    """

    def __init__(self, connection: PipelinedConnection, keys: QueueKeys) -> None:
        self.keys = keys
        self._tidied = 0.0
        self._adds = AddScript(connection, keys)
        names = [keys.key(name) for name in ADD_KEYS]
        self._add = connection.register_script(script("addConfirmed-12")).on(names, arguments=7)
        self._settle = connection.register_script(script("settle-1")).on([keys.base], arguments=2)
        self._look = connection.register_script(script("look-1")).on([keys.base], arguments=1)
        self._sweep = connection.register_script(script("sweep-1")).on([keys.base], arguments=1)
        self._sent = connection.register_script(script("sent-1"))

    async def add_confirmed(
        self,
        jobs: Sequence[NewJob],
        confirmation: Confirmation,
        *,
        epoch: str | None = None,
        seen: Sequence[str] = (),
    ) -> ConfirmedAdds:
        """Add jobs in order, and note by when they have to begin (lua/addConfirmed-12.lua).

        Who adds none learns the queue's epoch, which is made where there is none.

        *epoch* is the queue's as it was learnt before, None where it is not known. *seen* are ids
        whose fate the dispatcher knows for good: nothing of them is remembered any more. An id
        is not to be among them while anything of it may be under way: an add that was not
        answered, an event, a row of an outbox.
        """
        arguments = self._add_arguments(jobs, confirmation, epoch, seen)
        return read_adds(jobs, await self._add(*arguments))

    def begin_add_confirmed(
        self,
        jobs: Sequence[NewJob],
        confirmation: Confirmation,
        waiter: Waiter,
        *,
        epoch: str | None = None,
        seen: Sequence[str] = (),
    ) -> bool:
        """Begin to add, if there is a connection: *waiter* hears what `read_adds` reads."""
        return self._add.begin(waiter, *self._add_arguments(jobs, confirmation, epoch, seen))

    async def look(self, job_ids: Sequence[str]) -> Looked:
        """Read where jobs stand and how their queue does, changing nothing (lua/look-1.lua)."""
        server_ms, epoch, queue, states = await self._look(_packed(list(job_ids)))
        standings = [Standing(state) for state in states]
        return Looked(int(server_ms), epoch, _condition(queue), standings)

    async def settle(self, jobs: Sequence[Unsettled], *, epoch: str | None = None) -> Settling:
        """Decide which engine runs jobs, once and for all (lua/settle-1.lua).

        With the *epoch* as it was learnt before, an absent job of a queue that has lost data is
        LOST; without it, it is ROUTED.
        """
        packed = _packed([job.packed() for job in jobs])
        server_ms, now_epoch, answers = await self._settle(packed, (epoch or "").encode())
        settled = [_settled(job.id, *answer) for job, answer in zip(jobs, answers, strict=True)]
        return Settling(int(server_ms), now_epoch, settled)

    async def sent(self, job_ids: Iterable[str]) -> int:
        """Note that Inngest has accepted the events of routed jobs (lua/sent-1.lua).

        Gives how many of them waited for that.
        """
        ids = list(job_ids)
        return int(await self._sent([self.keys.base], ids)) if ids else 0

    async def sweep(
        self,
        holder: str,
        *,
        lease_ms: int,
        alive: bool,
        limit: int = 100,
        grace_ms: int = _GRACE_MS,
        keep_ms: int = _KEEP_MS,
    ) -> Swept:
        """Route jobs that are overdue, as the one sweeper there is (lua/sweep-1.lua).

        *alive* says that workers of the queue live. The event of a routed job is left for
        *grace_ms* to whoever routed it; what became of jobs is known for *keep_ms*.
        """
        terms = {
            "holder": holder,
            "lease": lease_ms,
            "limit": limit,
            "alive": alive,
            "grace": grace_ms,
            "keep": keep_ms,
        }
        server_ms, ours, found, *counts = await self._sweep(_packed(terms))
        parcels = [_parcel(job_id, parcel) for job_id, _, parcel in found if parcel]
        fresh = frozenset(job_id for job_id, routed, _ in found if routed)
        return Swept(int(server_ms), bool(ours), parcels, fresh, *(int(count) for count in counts))

    def _add_arguments(
        self,
        jobs: Sequence[NewJob],
        confirmation: Confirmation,
        epoch: str | None,
        seen: Sequence[str],
    ) -> list[bytes]:
        return [
            self._adds.argument(jobs),
            confirmation.dispatcher.encode(),
            b"%d" % confirmation.timeout_ms,
            confirmation.pickup.value.encode(),
            (epoch or "").encode(),
            secrets.token_hex(8).encode(),
            self._rare_terms(jobs, seen),
        ]

    def _rare_terms(self, jobs: Sequence[NewJob], seen: Sequence[str]) -> bytes:
        rare: dict[str, Any] = {}
        kinds = {job.kind for job in jobs}
        if not (self._adds.plain and all(kind.is_common for kind in kinds)):
            rare["ids"] = [job.id for job in jobs]
        if any(kind.options.get("delay") for kind in kinds):
            delayed = [place for place, job in enumerate(jobs, 1) if job.options.get("delay")]
            rare["delayed"] = delayed
        if seen:
            rare["seen"] = list(seen)
        if time.monotonic() - self._tidied > _TIDY_EVERY:
            self._tidied = time.monotonic()
            rare["keep"] = _KEEP_MS
        return _packed(rare) if rare else b""


async def live_workers(store: Store, keys: QueueKeys) -> int:
    """Count the workers of a queue, of any language, by the names of their connections.

    Asks for all connections of the server: not to be done for every job.
    """
    plain = keys.base.removesuffix(":")  # the official Python client writes the queue as it is
    whole = {keys.client_name(), plain}
    beginnings = (keys.client_name(":w:"), f"{plain}:w:")
    with store.errors():
        clients = await store.client().client_list()
    names = [client["name"] for client in clients]
    return sum(name in whole or name.startswith(beginnings) for name in names)


def read_adds(jobs: Sequence[NewJob], reply: Any) -> ConfirmedAdds:
    """Read what lua/addConfirmed-12.lua answers."""
    epoch, told = reply
    if told is None:
        return ConfirmedAdds(epoch, None)
    added = [Added(Adding.ADDED, job.id) for job in jobs]
    for place, word, detail in zip(told[::3], told[1::3], told[2::3], strict=True):
        added[int(place) - 1] = Added(Adding(word), detail)
    return ConfirmedAdds(epoch, added)


def _condition(queue: Sequence[int | str]) -> Condition:
    paused, waiting, prioritized, delayed, active, concurrency, limited, claimed, held = map(
        int, queue
    )
    return Condition(
        bool(paused),
        waiting,
        prioritized,
        delayed,
        active,
        concurrency,
        limited,
        claimed,
        bool(held),
    )


def _settled(job_id: str, word: str, fresh: int = 0, parcel: Sequence[str] = ()) -> Settled:
    if word.startswith("!"):
        return Settled(Verdict.ERROR, error=word[1:])
    return Settled(Verdict(word), bool(fresh), _parcel(job_id, parcel) if parcel else None)


def _parcel(job_id: str, parcel: Sequence[str]) -> Parcel:
    name, data, options, timestamp, due_ms = parcel
    return Parcel(job_id, name, data, options, int(timestamp), int(due_ms))


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False, unicode_errors="replace")
    return packed
