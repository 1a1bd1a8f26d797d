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
from bullq.jobs.flow import ChildResults, Flow, FlowReceipt, children_of, children_of_sync
from bullq.queues.spec import Keep, QueueSpec, RateLimit
from bullq.telemetry.hooks import JobEvent, Observer

from bullq.protocol.events import QueueEvent
from bullq.protocol.states import JobState
__all__ = [
    "Backoff",
    "Bullq",
    "BullqError",
    "ChildResults",
    "Context",
    "DispatchInDoubt",
    "GiveUp",
    "InvalidOptionError",
    "Job",
    "JobDefinitionError",
    "Flow",
    "FlowReceipt",
    "JobEvent",
    "JobFailed",
    "Keep",
    "Observer",
    "PayloadError",
    "QueueEvent",
    "JobNotFound",
    "JobState",
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
    "children_of",
    "children_of_sync",
