"""Why a job went where it went: the closed list that receipts, counters and log lines speak in."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Pickup = Literal["alive", "started"]
"""Whether live workers excuse that a job has not begun in time."""

OnDataLoss = Literal["raise", "rerun", "drop"]
"""What becomes of a job where Redis lost data, so that nobody can know whether it ran."""

Durability = Literal["default", "strict"]
"""Whether what decides on a job has to outlive the server before anybody acts on it."""


class Reason(StrEnum):
    """Why a job is not simply running on BullMQ. Programs read the value, people the sentence."""

    SWITCHED_OFF = "switched-off"
    REDIS_AWAY = "redis-away"
    REDIS_CUT = "redis-cut"
    REDIS_SILENT = "redis-silent"
    BREAKER_OPEN = "breaker-open"
    NO_WORKERS = "no-workers"
    NOT_STARTED = "not-started"
    WORKERS_STUCK = "workers-stuck"
    REROUTED = "rerouted"
    PAUSED = "paused"
    DELAYED = "delayed"
    BACKLOG = "backlog"
    RATE_LIMITED = "rate-limited"
    AT_CONCURRENCY = "at-concurrency"
    DUPLICATE = "duplicate"
    IN_ORDER = "in-order"
    DATA_LOST = "data-lost"

    @property
    def sentence(self) -> str:
        """Say it to people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.SWITCHED_OFF: "BullMQ is switched off for this job (USE_BULLMQ)",
    Reason.REDIS_AWAY: "Redis could not be reached, or said that it cannot serve",
    Reason.REDIS_CUT: "the connection to Redis broke before it answered",
    Reason.REDIS_SILENT: "Redis did not answer in time",
    Reason.BREAKER_OPEN: "Redis has failed a moment ago and is given time to recover",
    Reason.NO_WORKERS: "no worker is connected to the queue",
    Reason.NOT_STARTED: "no worker has begun the job in time",
    Reason.WORKERS_STUCK: "workers are connected to the queue, and none of them takes jobs",
    Reason.REROUTED: "a sweeper, or another dispatch, had given the job to the other engine",
    Reason.PAUSED: "the queue is paused",
    Reason.DELAYED: "the job is not due yet",
    Reason.BACKLOG: "other jobs are before it, and workers are taking them",
    Reason.RATE_LIMITED: "the queue's rate limit holds it back",
    Reason.AT_CONCURRENCY: "as many jobs of the queue are running as may",
    Reason.DUPLICATE: "another job stands for it",
    Reason.IN_ORDER: "earlier jobs of its order key are in the outbox",
    Reason.DATA_LOST: "Redis has lost data, and the job with it",
}
