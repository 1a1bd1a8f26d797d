from __future__ import annotations

import pytest

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
    }
