from __future__ import annotations

from collections.abc import Iterator

import pytest

from bullq.jobs import dispatching
from bullq.jobs.dispatching import Dispatcher, Receipt, bind_dispatcher, current_dispatcher


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = dispatching._source
    yield
    bind_dispatcher(before)


def test_the_source_is_asked_at_every_dispatch() -> None:
    asked: list[int] = []

    def source() -> Dispatcher:
        asked.append(1)
        return "dispatcher"  # type: ignore[return-value]

    bind_dispatcher(source)
    assert current_dispatcher() == current_dispatcher() == "dispatcher"
    assert len(asked) == 2


def test_without_a_source_the_error_says_what_to_import() -> None:
    bind_dispatcher(None)
    with pytest.raises(RuntimeError, match="No application is set up; import bullq"):
        current_dispatcher()


@pytest.mark.parametrize("port", [Dispatcher, Receipt])
def test_the_ports_themselves_cannot_be_made(port: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        port()
