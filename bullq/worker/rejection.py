"""How an attempt ends that no other attempt can mend."""

from __future__ import annotations


class Rejected(Exception):  # noqa: N818 - carries the error that counts
    """A payload, a result or a record does not fit: *error* says why."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
