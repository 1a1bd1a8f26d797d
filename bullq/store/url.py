"""Read the URL of a Redis: where it is, and how to connect to it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import RedisError

from bullq.errors import SettingsError
from bullq.settings import mask_url

_BY_ONE_SERVER = ("redis", "rediss", "unix")
_BY_MANY_SERVERS = ("redis+sentinel", "redis+cluster")
_OF_A_POOL = ("max_connections", "timeout")
"""Options of redis-py's pools: bullq's own have bounds of their own."""


def parse_address(url: str) -> dict[str, Any]:
    """Give redis-py's options for *url*; raises SettingsError for one that bullq cannot use."""
    scheme = url.partition("://")[0].lower()
    allowed = ", ".join(f"{name}://" for name in _BY_ONE_SERVER)
    if scheme in _BY_MANY_SERVERS:
        raise SettingsError(
            f"REDIS_URL={mask_url(url)!r} names a {scheme.partition('+')[2]}, which this version "
            f"of bullq cannot use yet; it takes {allowed}"
        )
    if scheme not in _BY_ONE_SERVER or "://" not in url:
        raise SettingsError(
            f"REDIS_URL={mask_url(url)!r} is no address of a Redis; it begins with {allowed} "
            "for example redis://127.0.0.1:6379/0"
        )
    try:
        path = urlsplit(url).path.strip("/")
        if scheme != "unix" and path and not path.isdecimal():
            raise ValueError(f"its path is the number of a database, not {path!r}")  # noqa: TRY301
        options = {name: one for name, one in parse_url(url).items() if name not in _OF_A_POOL}
        _try_out(dict(options))
    except (ValueError, RedisError) as error:
        raise SettingsError(f"REDIS_URL={mask_url(url)!r} cannot be read: {error}") from None
    return options


def place_of(url: str) -> str:
    """Give the host and port, or the socket's path, for messages."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _try_out(options: dict[str, Any]) -> None:
    """Make a connection that is never opened: redis-py asks nothing of its options before."""
    try:
        options.pop("connection_class", Connection)(**options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise ValueError(str(error)) from None
        hint = ", or begin it with rediss://" if unknown[1].startswith("ssl_") else ""
        raise ValueError(
            f"bullq knows no option {unknown[1]!r} of a connection; leave it out{hint}"
        ) from None
