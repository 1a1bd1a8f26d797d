"""Tell Node's Redis client (ioredis) how to reach the server that a URL names."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import SSLConnection

from bullq.store.url import parse_address

_SAME_NAME = ("host", "port", "username", "password", "db", "path")
_FILES = {"ssl_ca_certs": "ca", "ssl_certfile": "cert", "ssl_keyfile": "key"}
_OFF = ("none", "0", "false", "no", "off")


def node_options(url: str) -> dict[str, Any]:
    """Give ioredis' options for *url*, whose query string redis-py defines.

    `tls` names files where ioredis wants their text, and says whether to verify the server and
    its name. Raises SettingsError for a URL that bullq cannot use.
    """
    given = parse_address(url)
    options = {name: given[name] for name in _SAME_NAME if name in given}
    if given.get("connection_class") is SSLConnection:
        options["tls"] = {
            **{name: given[option] for option, name in _FILES.items() if option in given},
            "verify": not _is_off(given.get("ssl_cert_reqs")),
            "checkHostname": not _is_off(given.get("ssl_check_hostname")),
        }
    return options


def _is_off(value: Any) -> bool:
    return value is not None and str(value).lower() in _OFF
