"""A job's hash, read: text fields as they are, JSON and numbers parsed where asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic_core import from_json

from bullq.protocol.arbitration import ROUTED_FIELD
from bullq.protocol.terms import JobTerms


def to_json(data: Any) -> str:
    """Write a payload as Node does: compact, its characters as they are.

    Raises ValueError for NaN and infinity, TypeError for what JSON does not know.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # halves of characters, which UTF-8 cannot hold
        return json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text


def read_json(text: str) -> Any:
    """Read JSON, halves of characters and deep nesting included; raises ValueError for the rest."""
    try:
        return from_json(text)
    except ValueError as error:  # it refuses both, and Node writes both
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise error from None


class CorruptRecord(ValueError):  # noqa: N818 - a state of the stored record
    """A job's hash holds something that no client of BullMQ writes; the message says what."""


class JobRecord:
    """One job as Redis has it. Times are milliseconds since the Unix epoch, 0 means never.

    Reading a field that is broken raises CorruptRecord; the others stay readable.
    """

    __slots__ = ("_attempts_made", "_terms", "fields", "id")

    def __init__(self, job_id: str, fields: Mapping[str, str]) -> None:
        self.id = job_id
        self.fields = fields
        self._terms: JobTerms | None = None
        self._attempts_made = -1

    @classmethod
    def from_flat(cls, job_id: str, flat: Sequence[str]) -> Self:
        """Read what HGETALL answers inside a script: names and values in turn."""
        return cls(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))

    def check(self) -> None:
        """Raise CorruptRecord where what a worker needs to know of the job is broken."""
        if (problem := self.terms.problem) is not None:
            raise CorruptRecord(problem)
        _ = self.attempts_made

    @property
    def exists(self) -> bool:
        """Whether the job was added: a claim of an id without a job leaves a hash without name."""
        return "name" in self.fields

    @property
    def is_elsewhere(self) -> bool:
        """Whether the job went to another engine, which has not ended it yet."""
        return ROUTED_FIELD in self.fields and "ended" not in self.fields

    @property
    def name(self) -> str:
        """The job's name."""
        return self.fields.get("name", "")

    @property
    def data(self) -> str:
        """The payload: JSON text, as its producer wrote it."""
        return self.fields.get("data", "{}")

    @property
    def terms(self) -> JobTerms:
        """What the job's options mean for a worker; reading them never fails."""
        if self._terms is None:
            self._terms = JobTerms.read(self.fields.get("opts") or "{}", self.id)
        return self._terms

    @property
    def options(self) -> dict[str, Any]:
        """The job's options under their long names, without its id."""
        terms = self.terms
        if terms.options is None:
            raise CorruptRecord(terms.problem)
        return terms.options

    @property
    def attempts(self) -> int:
        """How often the job may be tried in all; 1 where its options do not say."""
        terms = self.terms
        if terms.problem is not None:
            raise CorruptRecord(terms.problem)
        return terms.attempts

    @property
    def attempts_made(self) -> int:
        """How many attempts have ended (`atm`; older clients wrote `attemptsMade`)."""
        if self._attempts_made < 0:
            self._attempts_made = self._int("attemptsMade") or self._int("atm")
        return self._attempts_made

    @property
    def attempts_started(self) -> int:
        """How often a worker has picked the job up (`ats`), this time included."""
        return self._int("ats")

    @property
    def stalled_count(self) -> int:
        """How often the job was taken back from a worker that had gone silent (`stc`)."""
        return self._int("stc")

    @property
    def deferred_failure(self) -> str | None:
        """Why the job must fail as soon as it is picked up (`defa`), or None."""
        return self.fields.get("defa")

    @property
    def scheduler_id(self) -> str | None:
        """Which schedule made the job (`rjk`), or None."""
        return self.fields.get("rjk")

    @property
    def timestamp(self) -> int:
        """When the job was added."""
        return self._int("timestamp")

    @property
    def delay(self) -> int:
        """How long the job is or was to wait, in ms."""
        return self._int("delay")

    @property
    def priority(self) -> int:
        """The job's priority, 0 for none."""
        return self._int("priority")

    @property
    def processed_on(self) -> int:
        """When the last attempt began."""
        return self._int("processedOn")

    @property
    def finished_on(self) -> int:
        """When the job ended."""
        return self._int("finishedOn")

    @property
    def processed_by(self) -> str | None:
        """The name of the worker that picked the job up (`pb`), or None."""
        return self.fields.get("pb")

    @property
    def failed_reason(self) -> str | None:
        """Why the last attempt failed, or None."""
        return self.fields.get("failedReason")

    @property
    def stacktrace(self) -> list[str]:
        """The tracebacks of failed attempts, oldest first."""
        entries = self._json("stacktrace", "[]")
        return [str(entry) for entry in entries] if isinstance(entries, list) else []

    @property
    def progress(self) -> Any:
        """The job's last progress, 0 where it told none."""
        return self._json("progress", "0")

    @property
    def return_value(self) -> str | None:
        """The result as JSON text, or None."""
        return self.fields.get("returnvalue")

    def _int(self, name: str) -> int:
        text = self.fields.get(name)
        if not text:
            return 0
        try:
            return int(text) if text.isdecimal() else int(float(text))
        except (ValueError, OverflowError):
            raise CorruptRecord(f"the job's field {name!r} is no number but {text!r}") from None

    def _json(self, name: str, default: str) -> Any:
        text = self.fields.get(name) or default
        try:
            return read_json(text)
        except ValueError as error:
            raise CorruptRecord(f"the job's field {name!r} is no JSON: {error}") from None
