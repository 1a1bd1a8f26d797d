"""Where the board is, who needs a token for it, and when a browser is opened."""

from __future__ import annotations

import socket
import sys

import pytest
from bullq_cli.dashboard import address
from bullq_cli.dashboard.address import Address

TOKEN = "a-token-that-is-long-enough"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert Address(host, 1).token is None
    assert Address(host, 1, TOKEN).token == TOKEN


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "board.example", "localhost.example"]
)
def test_any_other_address_needs_one_and_each_gets_its_own(host: str) -> None:
    made = [Address(host, 1).token for _ in range(2)]
    assert made[0] != made[1]
    assert all(token is not None and len(token) == 32 for token in made)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7/"),
        ("::1", "http://[::1]:7/"),
        ("0.0.0.0", f"http://{socket.gethostname()}:7/"),
    ],
)
def test_the_url_can_be_typed_and_hides_a_given_token(host: str, url: str) -> None:
    assert Address(host, 0, TOKEN).at(7).url == url


def test_the_url_tells_a_token_that_was_made_and_keeps_it() -> None:
    made = Address("10.0.0.1", 0)
    assert made.at(7).url == f"http://10.0.0.1:7/?token={made.token}"


@pytest.mark.parametrize(
    ("platform", "terminal", "display", "opens"),
    [
        ("linux", True, ":0", True),
        ("linux", True, "", False),
        ("linux", False, ":0", False),
        ("darwin", True, "", True),
    ],
)
def test_a_browser_is_opened_on_a_terminal_with_a_screen(
    monkeypatch: pytest.MonkeyPatch, platform: str, display: str, *, terminal: bool, opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(address.webbrowser, "open", opened.append)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Address("127.0.0.1", 7, TOKEN).open()
    assert opened == ([f"http://127.0.0.1:7/?token={TOKEN}"] if opens else [])
