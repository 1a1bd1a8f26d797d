"""The memo of a job's steps: one small JSON text per step, kept where the engine keeps the job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bullq.engines.engine import Step
from bullq.engines.lines import path_of
from bullq.errors import StepFailed
from bullq.protocol.record import read_json

PREFIX = "step:"
"""What the fields of finished and begun steps begin with, beside BullMQ's own in a job's hash."""

BODY = "steps"
"""The field that counts failures of the body: how many, and how many steps were on record."""

_RESULT = '{"result":'


@dataclass(frozen=True, slots=True)
class Entry:
    """What is on record of one step.

    *failures* are its failed attempts, *until* (ms since the epoch) when it goes on, *child* the
    id of the job it has started, *event* the number of the one it has taken; *round* counts how
    often its job has failed for good and was tried again by somebody.
    """

    result: str | None = None
    error: Mapping[str, str] | None = None
    failures: int = 0
    until: int | None = None
    child: str | None = None
    event: int | None = None
    round: int = 0

    @classmethod
    def read(cls, text: str) -> Entry:
        """Read an entry; its result stays JSON text."""
        if text.startswith(_RESULT):
            return cls(result=text[len(_RESULT) : -1])
        stored: dict[str, Any] = read_json(text)
        if "result" in stored:
            stored["result"] = json.dumps(stored["result"])
        return cls(**stored)

    @property
    def text(self) -> str:
        """The entry as JSON text, for one without a result."""
        parts = {
            "failures": self.failures,
            "until": self.until,
            "child": self.child,
            "round": self.round,
        }
        return json.dumps({name: value for name, value in parts.items() if value})

    @property
    def is_finished(self) -> bool:
        """Whether the step gives this from now on."""
        return self.result is not None or self.error is not None

    def outcome(self, step: Step) -> str:
        """Give the result of a finished step (JSON text), or raise its StepFailed."""
        if self.error is not None:
            raise StepFailed(step.id, **self.error)
        return self.result or "null"


_NOTHING = Entry()


def result_text(result: str, *, event: int | None = None) -> str:
    """Give the entry of a step with a result (JSON text)."""
    if event is not None:
        return f'{{"event":{event},"result":{result}}}'
    return f"{_RESULT}{result}}}"


def error_text(failed: StepFailed, rounds: int) -> str:
    """Give the entry of a step that has failed for good."""
    error = {"name": failed.name, "message": failed.message, "trace": failed.trace}
    return json.dumps({"error": error, **({"round": rounds} if rounds else {})})


def read_steps(fields: Mapping[str, str]) -> dict[str, Any]:
    """Give what a job's hash has on record of its steps, by their keys, as plain data."""
    steps: dict[str, Any] = {}
    for name in sorted(name for name in fields if name.startswith(PREFIX)):
        try:
            steps[name.removeprefix(PREFIX)] = read_json(fields[name])
        except ValueError:
            steps[name.removeprefix(PREFIX)] = fields[name]
    return steps


class Memo:
    """The steps of one job: those on record, and those that are to be recorded next.

    *fields* are the job's own, the memo's under PREFIX; *attempts_made* are its failed attempts,
    which count as the body's where no step was ever made.
    """

    def __init__(self, fields: Mapping[str, str], attempts_made: int = 0) -> None:
        skip = len(PREFIX)
        self._texts = {
            name[skip:]: text for name, text in fields.items() if name.startswith(PREFIX)
        }
        self._known = tuple(self._texts)
        self._unseen = set(self._texts)
        self._advanced: set[str] = set()
        self._left_over = dict.fromkeys(self._texts)
        self._unwritten: dict[str, str] = {}
        self.taken_events = {
            event
            for text in self._texts.values()
            if text.startswith('{"event":') and (event := Entry.read(text).event) is not None
        }
        self._body_failures = attempts_made if not self._texts else 0
        self._body_progress = 0
        if BODY in fields:
            body = read_json(fields[BODY])
            self._body_failures, self._body_progress = body["failures"], body["progress"]

    def repeats(self, line: str) -> bool:
        """Tell whether a line of steps, by its path, is where an earlier run has been.

        That run went on from a step that it finished as far as it could. So a line has left it
        behind once a step of it finishes in this run. The body has, too, after all that is on
        record, where its next attempt begins.
        """
        if any(one.startswith(line) for one in self._advanced):
            return False
        if any(key.startswith(line) for key in self._unseen):
            return True
        if not line or self.body_failures:
            return False
        beside = line[: line.rindex(".") + 1]
        return any(key.startswith(beside) for key in self._known)

    @property
    def left_over(self) -> list[str]:
        """The steps on record that this run of the body has not come to, in their order."""
        return list(self._left_over)

    @property
    def is_used(self) -> bool:
        """Whether the job has made a step, now or earlier."""
        return bool(self._texts)

    @property
    def body_failures(self) -> int:
        """How often the body has failed since the last step that finished."""
        return self._body_failures if self._progress <= self._body_progress else 0

    @property
    def _progress(self) -> int:
        return _progress(self._texts)

    def take(self, key: str) -> Entry:
        """Give what is on record of a step that the body has come to."""
        self._unseen.discard(key)
        self._left_over.pop(key, None)
        text = self._texts.get(key)
        entry = _NOTHING if text is None else Entry.read(text)
        if not entry.is_finished:
            self._advanced.add(path_of(key))
        return entry

    def go_on(self) -> None:
        """Note that the body is beyond all that is on record."""
        self._advanced.add("")

    def note(self, key: str, text: str) -> None:
        """Note what is to be recorded of a step."""
        self._texts[key] = self._unwritten[key] = text
        if text.startswith('{"event":') and (event := Entry.read(text).event) is not None:
            self.taken_events.add(event)

    def unwritten(self) -> dict[str, str]:
        """Give what is not on record yet, to be recorded by the caller.

        What is noted meanwhile, by another branch, is for the next one.
        """
        unwritten, self._unwritten = self._unwritten, {}
        return unwritten

    def put_back(self, entries: Mapping[str, str]) -> None:
        """Take back what could not be recorded, unless there is something newer of a step."""
        self._unwritten = {**entries, **self._unwritten}

    def fields(self, *, failed_body: bool = False, failed_for_good: bool = False) -> dict[str, str]:
        """Give the fields that go on record with the end of this run.

        A job that has *failed_for_good* forgets failures: whoever has it tried again wants the
        failed steps tried again, and not the finished ones.
        """
        if failed_for_good:
            for key, text in list(self._texts.items()):
                entry = Entry.read(text)
                if entry.error is not None or entry.failures:
                    self._unwritten[key] = Entry(round=entry.round + 1).text
        fields = {PREFIX + key: text for key, text in self._unwritten.items()}
        if failed_for_good:
            fields[BODY] = json.dumps({"failures": 0, "progress": self._progress})
        elif failed_body:
            fields[BODY] = json.dumps(
                {"failures": self.body_failures + 1, "progress": self._progress}
            )
        return fields


def _progress(texts: Mapping[str, str]) -> int:
    """Count the steps that have come to something; a failed attempt alone is nothing."""
    return sum(not text.startswith('{"failures":') for text in texts.values())
