"""How an attempt of a job with steps ends, where its engine has a say in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bullq.engines.engine import Interrupt


class Lost(Interrupt):
    """Leaves the body because the job is another worker's, or nobody's, now."""


class Parked(Exception):  # noqa: N818 - what happened, named as people say it
    """The job waits for something, and this is on record: its worker has let go of it."""


@dataclass(eq=False)
class AttemptFailed(Exception):  # noqa: N818 - what happened, named as people say it
    """The attempt has failed by *error*.

    Where *retriable*, the next one follows: it is the attempt number *counted* that failed, by
    the count that the job's policy goes by here. *fields* go on record with it.
    """

    error: BaseException
    retriable: bool
    counted: int
    fields: dict[str, str] = field(default_factory=dict)


def left_over_row(steps: str) -> str:
    """Give the row for the log of a job that has not come to *steps*, which are on record."""
    return (
        f"bullq: the job has ended without {steps}, which an earlier run of its body has made: "
        "their ids were changed or drawn by chance, or the code before them goes another way"
    )
