"""Typed background jobs on BullMQ queues, for Python services that share them with Node.

General layout, from the top down; imports point down only:

loading                    the application that a process works for
app                        one application, wired
dispatch | worker          send jobs | claim, execute and settle them
| contract                 what jobs take and give, written down for other languages
engines                    what fits an engine to the context that jobs see
queues                     specs, registry, schedules, results, inspection
store                      the only code that talks to Redis
jobs | protocol            what business code sees | BullMQ's wire format
telemetry, settings, clock, errors
"""

from bullq.app import Bullq
from bullq.errors import (
    ActionRefused,
    BullqError,
    DispatchError,
    DispatchInDoubt,
    DispatchUnavailable,
    GiveUp,
    InvalidOptionError,
    JobDefinitionError,
    JobFailed,
    JobNotFound,
    PayloadError,
    RemoteJobError,
    ResultError,
    ResultGone,
    ResultTimeout,
    RetryAfter,
    SettingsError,
    StepFailed,
    StepMisuse,
    StoreUnavailable,
    UnknownJobError,
    UnknownQueueError,
)
from bullq.jobs.context import Context
from bullq.jobs.dispatching import Receipt
from bullq.jobs.flow import ChildResults, Flow, FlowReceipt, children_of, children_of_sync
from bullq.jobs.job import Job, job
from bullq.jobs.reasons import Reason
from bullq.jobs.remote import RemoteJob
from bullq.jobs.retry import Backoff
from bullq.loading import load_app
from bullq.protocol.events import QueueEvent
from bullq.protocol.states import JobState
from bullq.queues.schedules import Schedule
from bullq.queues.spec import Keep, QueueSpec, RateLimit
from bullq.telemetry.hooks import JobEvent, Observer
from bullq.worker.dropin.worker import Worker

__all__ = [
    "ActionRefused",
    "Backoff",
    "Bullq",
    "BullqError",
    "ChildResults",
    "Context",
    "DispatchError",
    "DispatchInDoubt",
    "DispatchUnavailable",
    "Flow",
    "FlowReceipt",
    "GiveUp",
    "InvalidOptionError",
    "Job",
    "JobDefinitionError",
    "JobEvent",
    "JobFailed",
    "JobNotFound",
    "JobState",
    "Keep",
    "Observer",
    "PayloadError",
    "QueueEvent",
    "QueueSpec",
    "RateLimit",
    "Reason",
    "Receipt",
    "RemoteJob",
    "RemoteJobError",
    "ResultError",
    "ResultGone",
    "ResultTimeout",
    "RetryAfter",
    "Schedule",
    "SettingsError",
    "StepFailed",
    "StepMisuse",
    "StoreUnavailable",
    "UnknownJobError",
    "UnknownQueueError",
    "Worker",
    "children_of",
    "children_of_sync",
    "job",
    "load_app",
]
