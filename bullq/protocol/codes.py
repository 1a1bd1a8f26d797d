"""The negative numbers that BullMQ's scripts answer, in words."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """What a script says when it refuses (BullMQ's error-code enum)."""

    JOB_NOT_EXIST = -1
    LOCK_NOT_EXIST = -2
    NOT_IN_STATE = -3
    PENDING_DEPENDENCIES = -4
    PARENT_NOT_EXIST = -5
    LOCK_MISMATCH = -6
    PARENT_CANNOT_BE_REPLACED = -7
    BELONGS_TO_SCHEDULER = -8
    FAILED_CHILDREN = -9
    SCHEDULER_ID_COLLISION = -10
    SCHEDULER_SLOTS_BUSY = -11

    @property
    def sentence(self) -> str:
        """The refusal for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Code.JOB_NOT_EXIST: "the job's record is gone",
    Code.LOCK_NOT_EXIST: "the job's lock has expired",
    Code.NOT_IN_STATE: "the job is not in the expected state",
    Code.PENDING_DEPENDENCIES: "the job has children that have not finished",
    Code.PARENT_NOT_EXIST: "the parent job does not exist",
    Code.LOCK_MISMATCH: "another worker holds the job's lock",
    Code.PARENT_CANNOT_BE_REPLACED: "the job's parent cannot be replaced",
    Code.BELONGS_TO_SCHEDULER: "the job belongs to a schedule; remove the schedule",
    Code.FAILED_CHILDREN: "at least one child of the job has failed",
    Code.SCHEDULER_ID_COLLISION: "a job with the id of the schedule's next run exists already",
    Code.SCHEDULER_SLOTS_BUSY: "the schedule's current and next runs exist already",
}

LOST_OWNERSHIP = frozenset(
    {Code.JOB_NOT_EXIST, Code.LOCK_NOT_EXIST, Code.NOT_IN_STATE, Code.LOCK_MISMATCH}
)
"""Answers that mean: this worker no longer has the job."""


def explain(code: int) -> str:
    """Put any negative answer into words, an unknown one by its number."""
    try:
        return Code(code).sentence
    except ValueError:
        return f"BullMQ's script answered {code}"
