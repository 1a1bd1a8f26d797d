"""Give the address of the Redis that a connection of the official client leads to."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import redis.asyncio
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from bullq.errors import InvalidOptionError

_PLACE = {"host", "port", "db", "username", "password", "unix_socket_path", "path", "ssl"}
_TLS = {
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_check_hostname",
    "ssl_min_version",
    "ssl_ciphers",
    "ssl_password",
}
_CHANGES_THE_WAY = {
    "credential_provider": "give 'username' and 'password'",
    "connection_pool": "give the redis.asyncio.Redis that uses it",
    "redis_connect_func": "leave it out",
    "ssl_include_verify_flags": "leave it out",
    "ssl_exclude_verify_flags": "leave it out",
    "url": "give the URL itself as the connection",
    "tls": "give 'ssl': True",
}
"""What another connection would have to honour, and bullq cannot; with what to do instead."""

_OWN = {
    "auto_close_connection_pool",
    "client_name",
    "decode_responses",
    "driver_info",
    "encoding",
    "encoding_errors",
    "event_dispatcher",
    "health_check_interval",
    "legacy_responses",
    "lib_name",
    "lib_version",
    "maint_notifications_config",
    "max_connections",
    "protocol",
    "retry",
    "retry_on_error",
    "retry_on_timeout",
    "single_connection_client",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_keepalive_options",
    "socket_read_size",
    "socket_timeout",
}
"""How a connection behaves: bullq's own have deadlines, retries and names of their own."""


def address_of(connection: Any) -> str:
    """Give the URL of the Redis behind *connection*: a URL, options, or a redis.asyncio.Redis.

    A client is asked where it leads; it is neither used nor closed. Raises InvalidOptionError
    for what leads nowhere that bullq can go.
    """
    if isinstance(connection, str):
        return connection
    if isinstance(connection, Mapping):
        return _address(connection)
    if not isinstance(connection, redis.asyncio.Redis):
        raise InvalidOptionError(
            f"The option 'connection' is a URL, a dict of options or a redis.asyncio.Redis, not "
            f"{type(connection).__module__}.{type(connection).__qualname__}, which bullq cannot use"
        )
    pool = connection.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        raise InvalidOptionError(
            "The option 'connection' is a client of a Sentinel, which this version of bullq cannot "
            "use yet: give the URL of the master"
        )
    given = pool.connection_kwargs
    options = {key: given[key] for key in given if key in _PLACE | _TLS | set(_CHANGES_THE_WAY)}
    options["ssl"] = issubclass(pool.connection_class, SSLConnection)
    if issubclass(pool.connection_class, UnixDomainSocketConnection):
        options["unix_socket_path"] = options.pop("path")
    return _address(options)


def _address(given: Mapping[str, Any]) -> str:
    """Write redis-py's options as a URL."""
    options = {key: value for key, value in given.items() if value not in (None, False)}
    for key in options:
        if key not in _PLACE | _TLS | _OWN:
            remedy = _CHANGES_THE_WAY.get(key, "leave it out, or give a URL")
            raise InvalidOptionError(
                f"The option 'connection' has {key!r}, which bullq cannot honour: {remedy}"
            )
    path = options.get("unix_socket_path") or options.get("path")
    user = quote(str(options.get("username", "")), safe="")
    password = quote(str(options.get("password", "")), safe="")
    identity = f"{user}:{password}@" if user or password else ""
    if path:
        return f"unix://{identity}{quote(str(path))}?{urlencode({'db': options.get('db', 0)})}"
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    host = f"[{host}]" if ":" in str(host) else quote(str(host))
    scheme = "rediss" if options.get("ssl") else "redis"
    url = f"{scheme}://{identity}{host}:{port}/{options.get('db', 0)}"
    tls = _tls(given) if scheme == "rediss" else {}
    return f"{url}?{urlencode(tls)}" if tls else url


def _tls(given: Mapping[str, Any]) -> dict[str, str]:
    """Write the options of TLS as a URL has them."""
    options = {key: given[key] for key in sorted(_TLS & given.keys()) if given[key] is not None}
    if "ssl_cert_reqs" in given:  # None asks for no certificate, as ssl.CERT_NONE does
        mode = given["ssl_cert_reqs"]
        name = mode.name.removeprefix("CERT_").lower() if isinstance(mode, ssl.VerifyMode) else mode
        options["ssl_cert_reqs"] = name or "none"
    return {
        key: str(int(value) if isinstance(value, ssl.TLSVersion) else value)
        for key, value in options.items()
    }
