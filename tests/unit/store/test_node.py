from __future__ import annotations

from typing import Any

import pytest

from bullq.errors import SettingsError
from bullq.store.node import node_options


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://h", {"host": "h"}),
        (
            "redis://u:p%2F%23@h:7/2",
            {"host": "h", "port": 7, "username": "u", "password": "p/#", "db": 2},
        ),
        ("redis://:p@h", {"host": "h", "password": "p"}),
        ("unix:///run/redis.sock?db=1", {"path": "/run/redis.sock", "db": 1}),
        ("rediss://h", {"host": "h", "tls": {"verify": True, "checkHostname": True}}),
        (
            "rediss://h?ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k&ssl_check_hostname=no",
            {
                "host": "h",
                "tls": {
                    "ca": "/ca",
                    "cert": "/c",
                    "key": "/k",
                    "verify": True,
                    "checkHostname": False,
                },
            },
        ),
        (
            "rediss://h?ssl_cert_reqs=none",
            {"host": "h", "tls": {"verify": False, "checkHostname": True}},
        ),
    ],
)
def test_node_gets_the_same_server(url: str, options: dict[str, Any]) -> None:
    assert node_options(url) == options


def test_what_bullq_cannot_use_is_refused() -> None:
    with pytest.raises(SettingsError, match="names a cluster"):
        node_options("redis+cluster://h:1")
