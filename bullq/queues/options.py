"""The options of a new job: what its dispatch says, else its job, else its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bullq.clock import to_ms
from bullq.errors import InvalidOptionError
from bullq.jobs.dispatching import DeduplicationMode, DispatchOptions
from bullq.protocol.options import Deduplication, JobOptions

if TYPE_CHECKING:
    from bullq.jobs.definition import JobDefinition
    from bullq.jobs.retry import Backoff
    from bullq.queues.spec import QueueSpec


def queue_options(spec: QueueSpec, backoff: Backoff | None = None) -> JobOptions:
    """Give the options for BullMQ of a job of which nothing is known but its queue.

    *backoff* is the job's own; None takes the queue's.
    """
    backoff = backoff or spec.backoff
    options: JobOptions = {
        "attempts": spec.attempts,
        "backoff": {"type": backoff.kind, "delay": backoff.delay_ms},
        "removeOnComplete": spec.keep_completed.option,
        "removeOnFail": spec.keep_failed.option,
    }
    if backoff.jitter:
        options["backoff"]["jitter"] = backoff.jitter
    if spec.keep_logs is not None:
        options["keepLogs"] = spec.keep_logs
    return options


def job_options(
    job: JobDefinition[Any, Any], spec: QueueSpec, given: DispatchOptions | None = None
) -> JobOptions:
    """Give a job's options for BullMQ, all but its id.

    Raises ValueError for a duration that cannot be, InvalidOptionError for a time to
    deduplicate without an id to do it by.
    """
    given = given or DispatchOptions()
    options = queue_options(spec, job.policy.backoff)
    own_attempts = spec.attempts if job.policy.attempts is None else job.policy.attempts
    options["attempts"] = own_attempts if given.attempts is None else given.attempts
    # Where a dispatch says both, the queue refuses it; a job's own priority gives way to lifo.
    own_priority = None if given.lifo else job.policy.priority
    if priority := own_priority if given.priority is None else given.priority:
        options["priority"] = priority
    if given.delay:
        options["delay"] = to_ms(given.delay)
    if given.lifo:
        options["lifo"] = True
    if deduplication := _deduplication(given):
        options["deduplication"] = deduplication
    return options


_MODES: dict[DeduplicationMode, Deduplication] = {
    "first": {},
    "replace": {"replace": True},
    "debounce": {"replace": True, "extend": True},
    "last": {"keepLastIfActive": True},
}


def _deduplication(given: DispatchOptions) -> Deduplication | None:
    """Give how later jobs stand to an earlier one; raises InvalidOptionError where that is odd."""
    ttl, mode = given.deduplication_ttl, given.deduplication_mode
    if given.deduplication_id is None:
        if ttl is not None or mode != "first":
            raise InvalidOptionError(
                "deduplication_ttl and deduplication_mode say how; say deduplication_id, too"
            )
        return None
    if mode not in _MODES:
        known = ", ".join(map(repr, _MODES))
        raise InvalidOptionError(f"A deduplication_mode is one of {known}, not {mode!r}")
    if mode in ("replace", "debounce") and not given.delay:
        raise InvalidOptionError(
            f"deduplication_mode={mode!r} takes a later job while the earlier one is delayed; "
            "give a delay"
        )
    if mode == "debounce" and ttl is None:
        raise InvalidOptionError(
            "deduplication_mode='debounce' counts deduplication_ttl anew with each job; give one"
        )
    found: Deduplication = {"id": given.deduplication_id, **_MODES[mode]}
    if ttl is not None:
        found["ttl"] = to_ms(ttl)
    return found
