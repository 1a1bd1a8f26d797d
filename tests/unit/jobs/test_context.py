from __future__ import annotations

from collections.abc import Callable

import pytest

from bullq.errors import StepMisuse
from bullq.jobs.context import Context


def test_the_port_itself_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Context()  # type: ignore[abstract]


def test_the_port_is_what_business_code_may_rely_on() -> None:
    assert set(Context.__abstractmethods__) == {"cancelled", "log", "progress"}
    assert set(Context.__annotations__) == {
        "job_id",
        "queue",
        "name",
        "engine",
        "job_attempt",
        "max_attempts",
        "fence",
    }


class Bare(Context):
    cancelled = False

    def log(self, message: str) -> None:
        """Keep nothing."""

    def progress(self, value: object) -> None:
        """Keep nothing."""


@pytest.mark.parametrize(
    "step",
    [
        lambda ctx: ctx.run("a", print),
        lambda ctx: ctx.sleep("a", 1),
        lambda ctx: ctx.parallel(),
        lambda ctx: ctx.wait_for("a", "paid", 1),
        lambda ctx: ctx.once("a", print),
        lambda ctx: ctx.sync,
    ],
)
def test_a_context_of_ones_own_says_where_steps_run(step: Callable[[Context], object]) -> None:
    with pytest.raises(StepMisuse, match=r"run the job with bullq\.testing\.Inline"):
        step(Bare())


def test_a_context_of_ones_own_counts_attempts_of_the_job() -> None:
    ctx = Bare()
    ctx.job_attempt = 3
    assert ctx.attempt == 3
