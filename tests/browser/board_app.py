"""What BULLQ_APP names in the board's process."""

from __future__ import annotations

from tests.browser.application import make_board_app

app = make_board_app()
