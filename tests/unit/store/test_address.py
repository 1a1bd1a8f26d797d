"""Whatever the official client takes for a connection leads to the same Redis, or is refused."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from bullq.errors import InvalidOptionError
from bullq.store.address import address_of
from bullq.store.url import parse_address

WAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "redis://localhost:6379/0"),
    ({"host": "cache", "port": "6380", "db": 2}, "redis://cache:6380/2"),
    ({"host": "::1", "port": 6380}, "redis://[::1]:6380/0"),
    ({"password": "p@:/?#ss"}, "redis://:p%40%3A%2F%3F%23ss@localhost:6379/0"),
    ({"username": "u", "password": "p"}, "redis://u:p@localhost:6379/0"),
    ({"ssl": True, "host": "cache"}, "rediss://cache:6379/0"),
    ({"unix_socket_path": "/run/my redis.sock", "db": 1}, "unix:///run/my%20redis.sock?db=1"),
    (
        {"socket_timeout": 1, "decode_responses": False, "max_connections": 3},
        "redis://localhost:6379/0",
    ),
]


@pytest.mark.parametrize(("options", "url"), WAYS)
def test_options_are_written_as_a_url(options: dict[str, Any], url: str) -> None:
    assert address_of(options) == url


@pytest.mark.parametrize(("options", "url"), WAYS)
def test_a_client_leads_where_its_options_do(options: dict[str, Any], url: str) -> None:
    client = parse_address(address_of(redis.asyncio.Redis(**options)))
    expected = parse_address(url)
    assert {key: client.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("options", "parsed"),
    [
        ({}, {}),
        ({"ssl_cert_reqs": "optional"}, {"ssl_cert_reqs": "optional"}),
        ({"ssl_cert_reqs": None}, {"ssl_cert_reqs": "none"}),
        ({"ssl_cert_reqs": ssl.CERT_NONE}, {"ssl_cert_reqs": "none"}),
        ({"ssl_check_hostname": False}, {"ssl_check_hostname": False}),
        ({"ssl_ca_certs": "/etc/my ca.pem"}, {"ssl_ca_certs": "/etc/my ca.pem"}),
        ({"ssl_min_version": ssl.TLSVersion.TLSv1_3}, {"ssl_min_version": ssl.TLSVersion.TLSv1_3}),
    ],
)
def test_the_options_of_tls_come_along(options: dict[str, Any], parsed: dict[str, Any]) -> None:
    for connection in ({"ssl": True, **options}, redis.asyncio.Redis(ssl=True, **options)):
        read = parse_address(address_of(connection))
        assert read["connection_class"] is redis.asyncio.connection.SSLConnection
        assert {key: read[key] for key in parsed} == parsed


def test_a_url_stays_as_it_is() -> None:
    url = "rediss://u:p@cache:1/3?ssl_cert_reqs=none"
    assert address_of(url) == url


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        (redis.Redis(), "not redis.client.Redis, which bullq cannot use"),
        (7, "is a URL, a dict of options or a redis.asyncio.Redis, not builtins.int"),
        ({"tls": {}, "url": "redis://x"}, "has 'tls', which bullq cannot honour: give 'ssl': True"),
        ({"url": "redis://x"}, "has 'url', .* give the URL itself as the connection"),
        ({"hots": "x"}, "has 'hots', which bullq cannot honour: leave it out, or give a URL"),
        ({"credential_provider": object()}, "'credential_provider', .* give 'username' and"),
        (Sentinel([("localhost", 1)]).master_for("main"), "give the URL of the master"),
    ],
)
def test_what_bullq_cannot_honour_is_refused(connection: Any, sentence: str) -> None:
    with pytest.raises(InvalidOptionError, match=sentence):
        address_of(connection)
