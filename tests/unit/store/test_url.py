from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.asyncio.connection import SSLConnection

from bullq.errors import SettingsError
from bullq.store.connection import Store
from bullq.store.url import parse_address


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://cache:6380/2", {"host": "cache", "port": 6380, "db": 2}),
        ("REDIS://cache", {"host": "cache"}),
        ("redis://cache?max_connections=2&timeout=1", {"host": "cache"}),
        ("redis://cache?protocol=3&socket_timeout=9", {"protocol": 3, "socket_timeout": 9.0}),
        ("rediss://cache?ssl_cert_reqs=none", {"connection_class": SSLConnection}),
        ("unix:///run/redis.sock?db=1", {"path": "/run/redis.sock", "db": 1}),
    ],
)
def test_a_url_is_read_as_redis_py_does(url: str, options: dict[str, Any]) -> None:
    read = parse_address(url)
    assert {name: read.get(name) for name in options} == options


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://cache?family=0", "bullq knows no option 'family' of a connection; leave it out"),
        ("redis://cache?ssl_cert_reqs=none", "leave it out, or begin it with rediss://"),
        ("redis://cache?protocol=7", "protocol must be either 2 or 3"),
        ("redis://cache?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis+cluster://cache", "names a cluster, which this version of bullq cannot use yet"),
    ],
)
def test_an_option_that_means_nothing_here_is_named(url: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        parse_address(url)
    assert str(refused.value).startswith(f"REDIS_URL='{url}'")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("REDIS://cache:6380/2?max_connections=2", redis.Connection),
        ("rediss://cache?ssl_check_hostname=false", redis.SSLConnection),
        ("unix:///run/redis.sock", redis.UnixDomainSocketConnection),
    ],
)
def test_a_thread_connects_to_what_the_event_loop_does(
    url: str, kind: type[redis.Connection]
) -> None:
    pool = Store(url).thread_client().connection_pool
    assert pool.connection_class is kind
    made = pool.make_connection()
    own = parse_address(url)
    for name in ("host", "port", "db", "path"):
        if name in own:
            assert getattr(made, name) == own[name]
