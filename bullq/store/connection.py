"""Connections to one Redis: one shared client per process and event loop, made by us.

The official client's own connections are not used: redis-py's default `socket_timeout` of 5 s
under its 10 s blocking reads makes an idle worker deaf, its retries resend scripts that are not
idempotent, and a client without `decode_responses` hands out jobs without names.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import (
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from bullq.errors import StoreUnavailable
from bullq.settings import mask_url
from bullq.store.cancellation import cancellable
from bullq.store.perloop import PerLoop
from bullq.store.pipelined import Command, PipelinedConnection
from bullq.store.url import parse_address, place_of

CONNECT_TIMEOUT = 2.0
"""Seconds to wait for a connection."""
COMMAND_TIMEOUT = 5.0
"""Seconds to wait for an answer; blocking reads have deadlines of their own."""
MAX_CONNECTIONS = 64
"""How many connections a shared client opens before callers wait for a free one."""

_IN_THREADS = {
    Connection: redis.Connection,
    SSLConnection: redis.SSLConnection,
    UnixDomainSocketConnection: redis.UnixDomainSocketConnection,
}
"""What stands for a connection of an event loop where there is none."""

_REFUSALS = (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
_ELSEWHERE = ("MOVED ", "ASK ", "CROSSSLOT")  # what a node of a cluster says of keys it has not
# These have no class of their own. UNBLOCKED is told to who waits on a master that is demoted.
_REFUSAL_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNBLOCKED ")


class Store:
    """The way to one Redis, for one process.

    Every command has a deadline and none is resent by the client: a lost answer is told as
    StoreUnavailable with `in_doubt` set, and whoever called knows whether a resend is harmless.
    """

    def __init__(self, url: str) -> None:
        self._options = parse_address(url)
        self.url = url
        self.address = place_of(url)
        self._shared = PerLoop(self._new_client)
        self._pipelined = PerLoop(self._new_pipelined)
        self._prompt: PerLoop[dict[float, PipelinedConnection]] = PerLoop(dict)
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Store {mask_url(self.url)}>"

    def client(self) -> Any:
        """Give the redis-py client that everything on the running event loop shares.

        Untyped, because redis-py's own types do not know that replies are decoded here.
        """
        self._forget_parent()
        return self._shared.here()

    def loose_client(self, *, blocking: bool = False) -> Any:
        """Make a redis-py client that no event loop shares; whoever asks for it closes it.

        Where it is for *blocking* reads, its reader sets the deadline.
        """
        return self._new_client(blocking=blocking)

    def pipelined(self) -> PipelinedConnection:
        """Give the connection for scripts that everything on the running event loop shares."""
        self._forget_parent()
        return self._pipelined.here()

    def prompt(self, seconds: float) -> PipelinedConnection:
        """Give a connection for scripts that counts as lost after *seconds* without an answer.

        It is shared on the running event loop by all who ask with the same bound.
        """
        self._forget_parent()
        made = self._prompt.here()
        if seconds not in made:
            made[seconds] = self._new_pipelined(seconds)
        return made[seconds]

    async def open_blocking(self, name: str) -> Any:
        """Open a client with one connection for blocking reads; whoever asks for it closes it.

        Its reads have no deadline of their own: the reader sets one above the time it blocks.
        *name* is what CLIENT LIST shows, also after the client has reconnected by itself; a server
        that refuses names is put up with, since only dashboards need them.
        """

        async def connect(connection: Any) -> None:
            await connection.on_connect()
            await connection.send_command("CLIENT", "SETNAME", name, check_health=False)
            with contextlib.suppress(NoPermissionError, ResponseError):
                await connection.read_response()

        pool = BlockingConnectionPool(
            max_connections=1,
            timeout=COMMAND_TIMEOUT,
            redis_connect_func=connect,
            **self._async_options(blocking=True),
        )
        client = redis.asyncio.Redis.from_pool(pool)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT + COMMAND_TIMEOUT):
                with self.errors():
                    await client.ping()
        except BaseException:
            await client.aclose(close_connection_pool=True)
            raise
        return client

    def thread_client(self) -> redis.Redis:
        """Open a client for a thread without an event loop; whoever asks for it closes it."""
        options = {**_common_options(), **self._options, "retry": Retry(NoBackoff(), 0)}
        kind = _IN_THREADS[options.pop("connection_class", Connection)]
        return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, **options))

    async def check(self) -> None:
        """Raise StoreUnavailable unless Redis answers and accepts our credentials."""
        with self.errors():
            await self.client().ping()

    async def aclose(self) -> None:
        """Close what was opened on the running event loop."""
        client, connection = self._shared.pop(), self._pipelined.pop()
        if client is not None:
            await client.aclose(close_connection_pool=True)
        if connection is not None:
            await connection.aclose()
        for prompt in (self._prompt.pop() or {}).values():
            await prompt.aclose()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what redis-py raises into StoreUnavailable with a sentence for people.

        Errors that are no state of the server, such as a script's own, pass through.
        """
        try:
            yield
        except (RedisError, OSError) as error:
            sentence = self._sentence(error)
            if sentence is None:
                raise
            raise StoreUnavailable(
                sentence, in_doubt=_in_doubt(error), silent=isinstance(error, RedisTimeoutError)
            ) from error

    def _sentence(self, error: Exception) -> str | None:
        text = str(error).rstrip(".")
        if mistake := self._mistake(error, text):
            return mistake
        if _is_elsewhere(error):
            return self._elsewhere(text)
        if _is_refusal(error):
            return f"Redis at {self.address} cannot serve now: {text}."
        if isinstance(error, RedisTimeoutError):
            return (
                f"Redis at {self.address} does not answer ({text.lower()}). "
                "Check that it runs and is not blocked, or set REDIS_URL to another one."
            )
        if isinstance(error, RedisConnectionError | OSError):
            return (
                f"No Redis at {self.address} ({_cause(error)}). "
                "Start one with 'bullq dev', or set REDIS_URL."
            )
        return None

    def _mistake(self, error: Exception, text: str) -> str | None:
        """Say what is wrong with REDIS_URL, where a server answers and that is the trouble."""
        if isinstance(error, AuthenticationError | AuthorizationError) or "NOAUTH" in text:
            return (
                f"Redis at {self.address} refuses our credentials ({text.partition('. ')[0]}). "
                "Check the user and password in REDIS_URL."
            )
        if isinstance(error, InvalidResponse):
            return (
                f"What answers at {self.address} is no Redis ({text}). "
                "Set REDIS_URL to the address of one."
            )
        if "DB index" in text:
            return (
                f"Redis at {self.address} has no database {self._options.get('db')} ({text}). "
                "Its number is the path in REDIS_URL, such as 0 in redis://127.0.0.1:6379/0."
            )
        return None

    def _elsewhere(self, text: str) -> str:
        """Say where a cluster has the keys that this node has not (MOVED slot host:port)."""
        address = text.rpartition(" ")[2]
        where = address if ":" in address else "several nodes"
        return (
            f"Redis at {self.address} is a node of a cluster, and these keys are at {where}. "
            "All keys have to be on one node: give their prefix a hash tag, such as "
            "BULLQ_PREFIX={bull}, and name the node that has it in REDIS_URL."
        )

    def _forget_parent(self) -> None:
        """Open anew after a fork: a child must not write to its parent's sockets."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._shared.clear()
            self._pipelined.clear()
            self._prompt.clear()

    def _new_client(self, *, blocking: bool = False) -> redis.asyncio.Redis:
        pool = BlockingConnectionPool(
            max_connections=MAX_CONNECTIONS,
            timeout=COMMAND_TIMEOUT,
            **self._async_options(blocking=blocking),
        )
        return redis.asyncio.Redis.from_pool(pool)

    def _new_pipelined(self, seconds: float | None = None) -> PipelinedConnection:
        return PipelinedConnection(
            self._open_transport,
            self._greeting(),
            address=self.address,
            connect_timeout=seconds or CONNECT_TIMEOUT,
            timeout=seconds or COMMAND_TIMEOUT,
        )

    async def _open_transport(
        self, protocol: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, Any]:
        loop, options = asyncio.get_running_loop(), self._options
        if "path" in options:
            return await loop.create_unix_connection(protocol, options["path"])
        host, port = options.get("host", "localhost"), int(options.get("port", 6379))
        if options.get("connection_class") is not SSLConnection:
            return await loop.create_connection(protocol, host, port)
        given = {key: value for key, value in options.items() if key != "connection_class"}
        context = SSLConnection(**given).ssl_context.get()
        return await loop.create_connection(protocol, host, port, ssl=context)

    def _greeting(self) -> list[Command]:
        """Give what a new connection says first: who it is, and which database it wants."""
        options, greeting = self._options, []
        if options.get("password"):
            user = (options["username"],) if options.get("username") else ()
            greeting.append(("AUTH", *user, options["password"]))
        if options.get("db"):
            greeting.append(("SELECT", options["db"]))
        return greeting

    def _async_options(self, *, blocking: bool = False) -> dict[str, Any]:
        options = {**_common_options(), **self._options, "retry": AsyncRetry(NoBackoff(), 0)}
        options["connection_class"] = cancellable(options.get("connection_class", Connection))
        if "path" not in self._options:
            options["socket_keepalive"] = True
        return {**options, "socket_timeout": None} if blocking else options


@functools.cache
def _driver() -> DriverInfo:
    """Say who connects; without it redis-py reads its package's metadata for every connection."""
    return DriverInfo().add_upstream_driver("bullq", version("bullq"))


def _common_options() -> dict[str, Any]:
    return {
        "driver_info": _driver(),
        "decode_responses": True,
        "encoding_errors": "replace",  # bytes that are no UTF-8 end one job, not its worker
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": COMMAND_TIMEOUT,
    }


def _in_doubt(error: Exception) -> bool:
    """Tell whether the command may have been executed: it was sent, and no answer came."""
    if (
        str(error).startswith(_ELSEWHERE)
        or _is_refusal(error)
        or isinstance(error, AuthenticationError | AuthorizationError)
    ):
        return False
    text = str(error)
    return not any(sign in text for sign in ("connecting to", "No connection available"))


def _is_elsewhere(error: Exception) -> bool:
    """Tell whether a node of a cluster answered that it has not got the keys."""
    return isinstance(error, MovedError | AskError | ClusterCrossSlotError) or str(
        error
    ).startswith(_ELSEWHERE)


def _is_refusal(error: Exception) -> bool:
    """Tell whether Redis answered that it executed nothing and cannot serve now."""
    return isinstance(error, _REFUSALS) or str(error).startswith(_REFUSAL_CODES)


def _cause(error: BaseException) -> str:
    """Find the operating system's word for it, such as 'connection refused'."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno:
            # The numbers of name look-ups are negative and have words of their own.
            return (
                os.strerror(current.errno) if current.errno > 0 else str(current.strerror)
            ).lower()
        current = current.__cause__ or current.__context__
    if number := re.match(r"Error (\d+) connecting", str(error)):
        return os.strerror(int(number[1])).lower()
    return str(error).rstrip(".").lower()
