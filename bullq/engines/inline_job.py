"""One job of the inline engine: what a server would keep of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bullq.jobs.job import Job


@dataclass(eq=False)
class InlineJob:
    """A job's record; states and counts are BullMQ's, times are virtual ms since the epoch."""

    id: str
    job: Job[Any, Any]
    data: str
    attempts: int
    backoff: Mapping[str, Any]
    state: str
    due_ms: int
    parent: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    """The memo of its steps, as BullMQ's job hash would have it."""
    events: list[tuple[str, str]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    progress: Any = 0
    attempts_made: int = 0
    claims: int = 0
    result: str | None = None
    failure: str | None = None
    waits_for_events: bool = False
    waits_for_children: bool = False
    killed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in {"completed", "failed"}
