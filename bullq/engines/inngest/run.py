"""One request of Inngest for a job, read: which job, which attempt, under which policy."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.engines.inngest import sdk
from bullq.engines.inngest.errors import failures_of
from bullq.engines.inngest.messages import ENVELOPE
from bullq.jobs.retry import asked_wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bullq.jobs.job import Job
    from bullq.jobs.retry import Backoff
    from bullq.queues.spec import QueueSpec

MOST_ATTEMPTS = 21
"""A server retries 20 times at most."""

_LONGEST_WAIT_MS = 7 * 24 * 3_600_000
_FOREIGN = (ENVELOPE, "_inngest")
_CRON_EVENT = "inngest/scheduled.timer"


def attempts_of(job: Job[Any, Any], spec: QueueSpec) -> int:
    """Give how often Inngest tries each request of a job."""
    own = spec.attempts if job.policy.attempts is None else job.policy.attempts
    return min(own, MOST_ATTEMPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A request. *attempt* counts from 1 since the last step that finished, as Inngest does."""

    job_id: str
    data: str
    """The payload as JSON text."""
    attempt: int
    attempts: int
    server_attempts: int
    """After how many attempts the server gives up by itself."""
    failures: int
    """Failed attempts before the last step that finished, on other engines, too."""
    steps: int
    backoff: Backoff
    timeout_ms: int | None
    began_ms: int
    guard: Mapping[str, Any] | None = None
    """What is to be asked of the queue first: the job may be on BullMQ, too."""

    @classmethod
    def read(cls, job: Job[Any, Any], spec: QueueSpec, ctx: sdk.Context) -> Run:
        """Read what the SDK has received."""
        told = _told(ctx.event.data)
        server_attempts = sdk.max_attempts(ctx) or attempts_of(job, spec)
        own_attempts = told.get("attempts") or attempts_of(job, spec)
        memos = sdk.memos(ctx)
        timeout = spec.job_timeout
        return cls(
            job_id=_job_id(ctx, told),
            data=_data(ctx, told),
            attempt=ctx.attempt + 1,
            attempts=min(int(own_attempts), server_attempts),
            server_attempts=server_attempts,
            failures=int(told.get("failures") or 0)
            + sum(
                failures_of(data, failed=failed, attempts=server_attempts) for data, failed in memos
            ),
            steps=len(memos),
            backoff=job.policy.backoff or spec.backoff,
            timeout_ms=job.policy.timeout_ms or (None if timeout is None else to_ms(timeout)),
            began_ms=int(ctx.event.ts) or time.time_ns() // 1_000_000,
            guard=told.get("guard"),
        )

    @property
    def job_attempt(self) -> int:
        """Which attempt of the whole job this is, from 1."""
        return self.failures + self.attempt

    @property
    def fence(self) -> int:
        """Grow with each request for the body; those for planned steps share one."""
        return self.steps + self.failures + self.attempt

    @property
    def is_last_request(self) -> bool:
        """Whether the server would not ask again after a failure."""
        return self.attempt >= self.server_attempts

    def wait_ms(self, error: BaseException) -> int | None:
        """Give the ms until the next attempt, None where there is none."""
        if self.attempt >= self.attempts:
            return None
        asked = asked_wait(error)
        if asked is not None:
            return min(round(asked * 1000), _LONGEST_WAIT_MS)
        return min(self.backoff.wait_ms(self.attempt), _LONGEST_WAIT_MS)


def _told(data: Mapping[str, Any]) -> Mapping[str, Any]:
    told = data.get(ENVELOPE)
    return told if isinstance(told, dict) else {}


def _job_id(ctx: sdk.Context, told: Mapping[str, Any]) -> str:
    """Give the id that the dispatcher gave; who sends an event without bullq names it by its id."""
    if isinstance(told.get("id"), str):
        return str(told["id"])
    has_own = ctx.event.id and not ctx.event.name.startswith("inngest/")
    return ctx.event.id if has_own else ctx.run_id


def _data(ctx: sdk.Context, told: Mapping[str, Any]) -> str:
    if ctx.event.name == _CRON_EVENT:
        return "{}"
    if isinstance(told.get("exact"), str):
        return str(told["exact"])
    return json.dumps({name: one for name, one in ctx.event.data.items() if name not in _FOREIGN})
