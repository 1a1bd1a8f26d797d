"""Where the board is found, and with what token."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
import sys
import webbrowser
from dataclasses import dataclass, field, replace

_TOKEN_BYTES = 24


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on, and the token that whoever asks there has to know.

    Where no *token* is given, one is made for an address that other machines reach.
    """

    host: str
    port: int
    token: str | None = None
    is_made: bool = field(default=False)

    def __post_init__(self) -> None:
        if self.token is None and not _is_this_machine_only(self.host):
            object.__setattr__(self, "token", secrets.token_urlsafe(_TOKEN_BYTES))
            object.__setattr__(self, "is_made", True)

    def at(self, port: int) -> Address:
        """Give this address with the port that was really taken."""
        return replace(self, port=port)

    @property
    def url(self) -> str:
        """What to type into a browser; a token that was given stays secret."""
        return f"{self._root}?token={self.token}" if self.is_made else self._root

    def open(self) -> None:
        """Open the board in a browser where this machine has a screen."""
        has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
        if not sys.stdout.isatty() or (sys.platform.startswith("linux") and not has_screen):
            return  # webbrowser would start a text browser in the terminal
        query = "" if self.token is None else f"?token={self.token}"
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(f"{self._root}{query}")

    @property
    def _root(self) -> str:
        host = socket.gethostname() if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


def _is_this_machine_only(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
