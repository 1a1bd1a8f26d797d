"""The states a job can be in, and where each keeps its ids."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """A state as BullMQ's getState answers it."""

    WAITING = "waiting"
    ACTIVE = "active"
    PRIORITIZED = "prioritized"
    DELAYED = "delayed"
    WAITING_CHILDREN = "waiting-children"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def key(self) -> str:
        """The queue-level key that holds the ids of jobs in this state."""
        return "wait" if self is JobState.WAITING else self.value

    @property
    def is_list(self) -> bool:
        """Whether that key is a Redis list; otherwise it is a sorted set."""
        return self in (JobState.WAITING, JobState.ACTIVE)

    @property
    def is_final(self) -> bool:
        """Whether a job in this state has ended."""
        return self in (JobState.COMPLETED, JobState.FAILED)


LISTED_STATES = tuple(state for state in JobState if state is not JobState.UNKNOWN)
"""Every state that has a key of its own, in the order in which a job passes them."""
