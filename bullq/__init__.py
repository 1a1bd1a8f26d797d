"""Typed background jobs on BullMQ queues, for Python services that share them with Node.

General layout, from the top down; imports point down only:

app                        one application, wired
dispatch | worker          send jobs | claim, execute and settle them
engines                    what fits an engine to the context that jobs see
queues                     specs, registry, schedules, results, inspection
store                      the only code that talks to Redis
jobs | protocol            what business code sees | BullMQ's wire format
telemetry, settings, clock, errors
"""

from bullq.app import Bullq
from bullq.errors import (
    BullqError,
    ActionRefused,
    DispatchInDoubt,
    GiveUp,
    InvalidOptionError,
    JobDefinitionError,
    JobFailed,
    PayloadError,
    JobNotFound,
    ResultError,
    ResultGone,
    ResultTimeout,
    RetryAfter,
    SettingsError,
    StoreUnavailable,
    UnknownJobError,
    UnknownQueueError,
)
from bullq.jobs.context import Context
from bullq.jobs.dispatching import Receipt
from bullq.jobs.job import Job, job
from bullq.jobs.retry import Backoff
from bullq.queues.spec import Keep, QueueSpec, RateLimit
from bullq.telemetry.hooks import JobEvent, Observer

__all__ = [
    "Backoff",
    "Bullq",
    "BullqError",
    "ActionRefused",
    "Context",
    "DispatchInDoubt",
    "GiveUp",
    "InvalidOptionError",
    "Job",
    "JobDefinitionError",
    "JobEvent",
    "JobFailed",
    "Keep",
    "Observer",
    "PayloadError",
    "JobNotFound",
    "QueueSpec",
    "RateLimit",
    "Receipt",
    "ResultError",
    "ResultGone",
    "ResultTimeout",
    "RetryAfter",
    "SettingsError",
    "StoreUnavailable",
    "UnknownJobError",
    "UnknownQueueError",
    "job",
]
