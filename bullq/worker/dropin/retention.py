"""How long finished jobs are kept: as a worker says, where the jobs do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bullq.protocol.record import to_json
from bullq.protocol.terms import FinishTerms, JobTerms

if TYPE_CHECKING:
    from bullq.store.scripts import Finish

_MOST_MERGED = 1_000
"""Different terms to remember; services have a few."""


class Retention:
    """How long finished jobs are kept that do not say so themselves."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = set(given)
        self._terms = JobTerms.read(to_json(given), "")
        self._merged: dict[int, tuple[FinishTerms, FinishTerms]] = {}

    def apply(self, finish: Finish, options: Mapping[str, Any]) -> None:
        """Have *finish* keep what the worker's options say, where the job's *options* do not."""
        name = "removeOnComplete" if finish.completed else "removeOnFail"
        if name not in self._given or name in options:
            return
        own = finish.terms
        # Jobs with the same options share their terms, and settle faster where they do.
        merged = self._merged.get(id(own))
        if merged is None or merged[0] is not own:
            if len(self._merged) >= _MOST_MERGED:
                self._merged.clear()
            keep = (self._terms.completed if finish.completed else self._terms.failed).keep
            merged = self._merged[id(own)] = (own, replace(own, keep=keep))
        finish.terms = merged[1]
