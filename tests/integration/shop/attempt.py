"""An attempt of a job without an engine: what the job tells is kept."""

from __future__ import annotations

from typing import Any

from bullq import Context


class Attempt(Context):
    """The context that tests call services with."""

    def __init__(self, number: int = 1, of: int = 3) -> None:
        self.job_id, self.queue, self.name, self.engine = "1", "", "", "none"
        self.job_attempt, self.max_attempts = number, of
        self.rows: list[str] = []
        self.told: list[Any] = []
        self.is_cancelled = False

    @property
    def cancelled(self) -> bool:
        return self.is_cancelled

    def log(self, message: str) -> None:
        self.rows.append(message)

    def progress(self, value: Any) -> None:
        self.told.append(value)
