"""How outcomes are told to Inngest, and read back from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bullq.engines.inngest import sdk
from bullq.engines.inngest.exact import is_changed
from bullq.engines.inngest.messages import ENVELOPE
from bullq.errors import StepFailed
from bullq.protocol.record import to_json


class Told(sdk.Error):
    """An error as Inngest's dashboard and the next replay are to read it."""

    def __init__(self, name: str, message: str, trace: str, *, retriable: bool) -> None:
        self._name = name
        self._trace = trace
        self.is_retriable = retriable
        self.quiet = True  # bullq's own observers tell of it
        super().__init__(message)

    @property
    def name(self) -> str:
        """The type of the original error."""
        return self._name

    @property
    def stack(self) -> str:
        """The traceback of the original error."""
        return self._trace


def kept(value: Any, failures: int) -> Any:
    """Give what Inngest keeps of a step: the result itself, and its failed attempts if any."""
    if is_changed(value):
        return {ENVELOPE: {"exact": to_json(value), "failures": failures}}
    if failures or _envelope(value) is not None:
        return {ENVELOPE: {"value": value, "failures": failures}}
    return value


def output(text: str) -> Any:
    """Give a job's result (JSON text) as the server is to keep it, and to give it to a parent."""
    value = json.loads(text)
    if is_changed(value) or _envelope(value) is not None:
        return {ENVELOPE: {"exact": to_json(value)}}
    return value


def read_output(value: Any) -> str:
    """Give a child's result as JSON text out of what the server has kept."""
    told = _envelope(value)
    return json.dumps(value) if told is None or "exact" not in told else str(told["exact"])


def kept_failure(failed: StepFailed, failures: int) -> Any:
    """Give what Inngest keeps of a step that has failed before its attempts were spent.

    To the server it is a result: an error that it is not to retry it would not keep, and so make
    the step again in each replay.
    """
    told = {"name": failed.name, "message": failed.message, "trace": failed.trace}
    return {ENVELOPE: {"failed": told, "failures": failures}}


def read(step: str, value: Any) -> Any:
    """Give a step's result out of what Inngest has kept; raises its StepFailed."""
    told = _envelope(value)
    if told is None:
        return value
    if "failed" in told:
        raise StepFailed(step, **told["failed"])
    return json.loads(told["exact"]) if "exact" in told else told["value"]


def failures_of(memo: object, *, failed: bool, attempts: int) -> int:
    """Count the failed attempts that what is kept of a step tells of."""
    if failed:
        return attempts
    told = _envelope(memo)
    return 0 if told is None else int(told.get("failures", 0))


def _envelope(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, dict) and value.keys() == {ENVELOPE}:
        told: Mapping[str, Any] = value[ENVELOPE]
        return told
    return None
