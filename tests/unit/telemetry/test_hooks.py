from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest

from bullq.telemetry.hooks import JobEvent, Observer, Observers

EVENT = JobEvent(queue="default", name="mail", id="order-7", attempt=1, attempts=3, waited_ms=5)
CALLS = [name for name in vars(Observer) if not name.startswith("_")]


class Hearing(Observer):
    def __init__(self) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        for name in CALLS:
            setattr(self, name, lambda *args, name=name: self.heard.append((name, args)))


class Raising(Observer):
    def job_completed(self, job: JobEvent) -> None:
        raise ValueError("observer")


def arguments(name: str) -> list[Any]:
    parameters = list(inspect.signature(getattr(Observer, name)).parameters)[1:]
    return [EVENT if parameter == "job" else parameter for parameter in parameters]


@pytest.mark.parametrize("name", CALLS)
def test_an_observer_may_leave_out_what_it_does_not_care_for(name: str) -> None:
    assert getattr(Observer(), name)(*arguments(name)) is None


@pytest.mark.parametrize("name", CALLS)
def test_every_observer_hears_everything_in_order(name: str) -> None:
    one, two = Hearing(), Hearing()
    given = arguments(name)
    getattr(Observers([one, two]), name)(*given)
    assert one.heard == two.heard == [(name, tuple(given))]


def test_what_an_observer_raises_reaches_neither_the_worker_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hearing = Hearing()
    with caplog.at_level(logging.ERROR, logger="bullq"):
        Observers([Raising(), hearing]).job_completed(EVENT)
    assert hearing.heard == [("job_completed", (EVENT,))]
    assert "an observer of bullq failed in job_completed" in caplog.text
    assert "ValueError: observer" in caplog.text


def test_a_call_of_the_process_end_is_not_swallowed() -> None:
    class Ending(Observer):
        def job_completed(self, job: JobEvent) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Observers([Ending()]).job_completed(EVENT)


def test_observers_of_nobody_are_silent() -> None:
    Observers([]).job_completed(EVENT)


def test_observers_can_be_nested() -> None:
    hearing = Hearing()
    Observers([Observers([hearing])]).worker_stopped("default", 2)
    assert hearing.heard == [("worker_stopped", ("default", 2))]
