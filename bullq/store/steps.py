"""The scripts by which steps of jobs are recorded, children asked after, and events sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgpack

from bullq.store.lua import script

if TYPE_CHECKING:
    from bullq.protocol.keys import QueueKeys
    from bullq.store.pipelined import Scripting

_RECORD_KEYS = (
    "wait",
    "active",
    "prioritized",
    "events",
    "stalled",
    "limiter",
    "delayed",
    "paused",
    "meta",
    "pc",
    "marker",
    "waiting-children",
    "",
)
_EVENT_KEYS = (
    "delayed",
    "wait",
    "paused",
    "meta",
    "prioritized",
    "active",
    "pc",
    "events",
    "marker",
    "",
)


@dataclass(frozen=True, slots=True)
class FieldTimer:
    """A field of a parked job that gets *head*, a time in ms and '}' for its value.

    The time is *at_ms* (since the epoch) or, where that is None, *delay_ms* from now.
    """

    field: str
    head: str
    delay_ms: int = 0
    at_ms: int | None = None

    def packed(self) -> dict[str, Any]:
        """Give the map that lua/recordSteps-13.lua reads."""
        if self.at_ms is not None:
            return {"field": self.field, "head": self.head, "at": self.at_ms}
        return {"field": self.field, "head": self.head, "delay": self.delay_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What is to be recorded of a running job, by the worker that holds its lock (*token*).

    *effect* is a key, its result and how many ms to keep it. *park* lets go of the job: until the
    first of *timers*, or until its children have ended. *failed* counts that as a failed attempt;
    *sent* is how many events a job has seen that waits for the next one.
    """

    job_id: str
    token: str
    fields: dict[str, str] = field(default_factory=dict)
    effect: tuple[str, str, int] | None = None
    park: Literal["delayed", "children"] | None = None
    timers: Sequence[FieldTimer] = ()
    failed: bool = False
    sent: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes the record has."""
        effect = 0 if self.effect is None else len(self.effect[1])
        return sum(map(len, self.fields.values())) + effect

    def packed(self) -> dict[str, Any]:
        """Give the map that lua/recordSteps-13.lua reads."""
        record: dict[str, Any] = {"id": self.job_id, "token": self.token}
        if self.fields:
            record["fields"] = [part for pair in self.fields.items() for part in pair]
        if self.effect is not None:
            record["effect"] = list(self.effect)
        if self.park is not None:
            record["park"] = self.park
            record["timers"] = [timer.packed() for timer in self.timers]
            record["failed"] = self.failed
            if self.sent is not None:
                record["sent"] = self.sent
        return record


class StepScripts:
    """The scripts of one queue."""

    def __init__(self, client: Scripting, keys: QueueKeys) -> None:
        self._keys = keys
        self._record = client.register_script(script("recordSteps-13"))
        self._child = client.register_script(script("childState-3"))
        self._event = client.register_script(script("sendEvent-10"))

    async def record_steps(self, records: Sequence[StepRecord]) -> list[int | str]:
        """Record steps, and park jobs (lua/recordSteps-13.lua).

        Gives one answer each: 0, a negative number when refused, '=' and an effect's recorded
        result, or '!' and an error's text.
        """
        packed = msgpack.packb(
            [record.packed() for record in records],
            use_bin_type=False,
            unicode_errors="replace",
        )
        answers: Any = await self._record(
            keys=[self._keys.key(name) for name in _RECORD_KEYS], args=[packed]
        )
        return list(answers)

    async def child_state(self, parent_key: str, child_id: str) -> tuple[str, str]:
        """Tell how a job of this queue stands that is the child of another (lua/childState-3.lua).

        Gives 'completed' and the result, 'failed' and the reason, or 'pending' or 'absent'.
        """
        answer: Any = await self._child(
            keys=[parent_key, self._keys.job(child_id), self._keys.base], args=[child_id]
        )
        return answer[0], answer[1] if len(answer) > 1 else ""

    async def send_event(self, job_id: str, event: str) -> int:
        """Keep an event (JSON text) for a job and wake it where it waits (lua/sendEvent-10.lua).

        Gives the event's number, or a negative number when refused.
        """
        answer: Any = await self._event(
            keys=[self._keys.key(name) for name in _EVENT_KEYS], args=[job_id, event]
        )
        return int(answer)
