"""What a check-up finds: a fact, whether it endangers jobs, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at; nothing is known to be wrong."""
    WARNING = "warning"
    """It works, and will not under load or after an accident."""
    PROBLEM = "problem"
    """Jobs are lost, wait or fail now, or at the next occasion."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    *subject* is what it is about ('redis', 'queue default'), *check* its name for programs,
    *advice* what to do next, None where there is nothing to do.
    """

    subject: str
    check: str
    level: Level
    message: str
    advice: str | None = None
