"""What a job's options mean for the worker that runs it, read once per text that is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from bullq.protocol.options import PARENT_FLAGS, KeepJobs, decode_options

_MOST_KNOWN = 1_000
"""Different texts to remember; services write a few each, in which nothing but the id varies."""


@dataclass(frozen=True, slots=True)
class FinishTerms:
    """What moveToFinished wants to know beside the outcome.

    *attempts* is how many there are in all; *keep* says which finished jobs to keep, and
    *parent* what a failed child does to its parent (BullMQ's fpof, cpof, idof, rdof).
    """

    keep: KeepJobs
    attempts: int
    parent: dict[str, bool]

    @property
    def trims(self) -> bool:
        """Whether the retention can ask for older jobs to be removed."""
        return self.keep.get("count", -1) > 0 or "age" in self.keep


@dataclass(frozen=True, slots=True)
class JobTerms:
    """The options of a job that a worker goes by.

    Where they cannot be read, *problem* says why, and the rest is what holds in their absence.
    """

    options: dict[str, Any] | None
    """All but the id under their long names, None where they are no JSON object.

    Not to be changed: other jobs have the same.
    """
    attempts: int
    completed: FinishTerms
    failed: FinishTerms
    problem: str | None = None

    @classmethod
    def read(cls, text: str, job_id: str) -> JobTerms:
        """Read the options of the job *job_id* from JSON *text*; its id is not among them."""
        text = text.replace(f'"jobId":"{job_id}"', '"jobId":""', 1)
        known = _known.get(text)
        if known is None:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            known = _known[text] = _read(text)
        return known


_known: dict[str, JobTerms] = {}


def _read(text: str) -> JobTerms:
    try:
        stored = from_json(text)
    except ValueError as error:
        return _terms(None, f"the job's field 'opts' is no JSON: {error}")
    if not isinstance(stored, dict):
        return _terms(None, f"the job's options are no JSON object but {stored!r}")
    stored.pop("jobId", None)
    return _terms(decode_options(stored), None)


def _terms(options: dict[str, Any] | None, problem: str | None) -> JobTerms:
    given = options or {}
    attempts = given.get("attempts") or 1
    if not _is_number(attempts):
        problem = problem or f"the job's option 'attempts' is no number but {attempts!r}"
        attempts = 1
    attempts = max(1, int(attempts))
    parent = {short: bool(given.get(long)) for short, long in PARENT_FLAGS.items()}
    return JobTerms(
        options,
        attempts,
        FinishTerms(_keep(given.get("removeOnComplete")), attempts, parent),
        FinishTerms(_keep(given.get("removeOnFail")), attempts, parent),
        problem,
    )


def _keep(option: Any) -> KeepJobs:
    """Read removeOnComplete or removeOnFail in all the forms BullMQ has for it."""
    if option is True:
        return {"count": 0}
    given = option if isinstance(option, dict) else {"count": option}
    # What is no number would end the script after it has taken the job out of 'active'.
    bounds: KeepJobs = {}
    for name in ("count", "age", "limit"):
        if _is_number(given.get(name)):
            bounds[name] = int(given[name])
    return bounds or {"count": -1}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
