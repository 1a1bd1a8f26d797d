"""The lines of a job's steps, one step after the other, and the keys by which steps are known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bullq.jobs.context import Context

_LONGEST_SLUG = 60  # characters of a step's key in the id of a child
_LIKE_A_PATH = re.compile(r"/*\d+\.\d+/")
_PATH = re.compile(r"(?:\d+\.\d+/)*")


@dataclass(slots=True, eq=False)
class Line:
    """The body of a job, or one branch of ctx.parallel; *busy* names the step under way."""

    context: Context
    path: str = ""
    busy: str | None = None
    splits: int = 0
    rows: int = 0
    keys: set[str] = field(default_factory=set)

    def next_key(self, step: str) -> str:
        """Number the ids that are used again, as Inngest does: 'mail', 'mail:1', ..."""
        key, number = step, 0
        while key in self.keys:
            number += 1
            key = f"{step}:{number}"
        self.keys.add(key)
        # An id that looks like a branch's path is told from one.
        return f"{self.path}/{key}" if _LIKE_A_PATH.match(key) else self.path + key

    def next_place(self) -> str:
        """Number the rows that are logged: the same place each time that the body comes by."""
        self.rows += 1
        return f"{self.path}{self.rows}"

    def split(self, branches: int) -> list[Line]:
        """Give a line for each branch of the next ctx.parallel."""
        self.splits += 1
        return [Line(self.context, f"{self.path}{self.splits}.{n}/") for n in range(branches)]


def path_of(key: str) -> str:
    """Give the path of the line that a step belongs to, by its key; '' for the body's own."""
    found = _PATH.match(key)
    return found[0] if found else ""


def is_step_id(step: object) -> bool:
    """Tell whether a step's id can be kept: UTF-8 has no halves of characters."""
    if not isinstance(step, str) or not step:
        return False
    return step.isascii() or step == step.encode("utf-8", "replace").decode()


def child_id(job_id: str, key: str) -> str:
    """Give the id of the job that a step starts: the same each time, on every engine.

    What parts it from the job's own id is in no step's, so that a child's child has another one.
    A job that a schedule has made has colons in its id, which no other job may have.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]", "-", key)[:_LONGEST_SLUG]
    if slug != key:
        slug += "-" + sha256(key.encode()).hexdigest()[:8]
    return f"{job_id.replace(':', '-')}.{slug}"
