from __future__ import annotations

from bullq_cli.jobs import State

from bullq.protocol.states import LISTED_STATES


def test_the_command_line_knows_every_state_that_lists_jobs() -> None:
    assert [state.value for state in State] == [state.value for state in LISTED_STATES]
