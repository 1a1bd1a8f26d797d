"""`bullq serve`: the endpoint through which Inngest runs the application's jobs."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli.exits import CommandError, ExitCode, wrong_input
from bullq_cli.inputs import duration
from bullq_cli.signals import StopSignals
from bullq_cli.worker import LogFormat, LogLevel

if TYPE_CHECKING:
    import uvicorn

    from bullq.app import Bullq
    from bullq.telemetry.logging import LoggingObserver
    from bullq.web.registration import Registration

_MOST_AT_ONCE = 1_000


def serve(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8000,
    path: Annotated[
        str, typer.Option(metavar="PATH", help="Where the endpoint is.")
    ] = "/api/inngest",
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the Inngest server reaches this process, as https://shop.example. "
            "Default: INNGEST_SERVE_ORIGIN.",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(metavar="N", help="Requests that are worked on at once.")
    ] = 20,
    drain_timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long requests may take to end at a stop."),
    ] = "30s",
    log_format: Annotated[
        LogFormat | None,
        typer.Option(help="How log lines are written. Default: BULLQ_LOG_FORMAT, or text."),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="The least important lines to write.")
    ] = LogLevel.INFO,
    to_json: Annotated[
        bool, typer.Option("--json", help="Write log lines and errors as JSON.")
    ] = False,
) -> None:
    """Serve jobs to Inngest, and keep them registered there.

    Besides the endpoint there are /health/live, and /health/ready, which answers 200 once the
    Inngest server knows every job. SIGTERM and Ctrl-C let requests end, and exit with 0.
    """
    signals = StopSignals()
    signals.install()
    if not path.startswith("/"):
        raise wrong_input(f"--path begins with '/', as in '/api/inngest'; {path!r} does not.")
    if not 1 <= concurrency <= _MOST_AT_ONCE:
        raise wrong_input(
            f"--concurrency is a whole number from 1 to {_MOST_AT_ONCE:,}, not {concurrency}."
        )
    drain_seconds = duration("--drain-timeout", drain_timeout) or 0.0

    from bullq.loading import load_app
    from bullq.telemetry.logging import LoggingObserver

    app = load_app()
    style = LogFormat.JSON if to_json else log_format or app.settings.log_format
    signals.to_json = style == LogFormat.JSON
    log = LoggingObserver(LogFormat(style).value, log_level.value)
    with _listening(host, port) as listener:
        site = _Site(
            app,
            log,
            path=path,
            origin=origin,
            concurrency=concurrency,
            drain_seconds=drain_seconds,
        )
        site.run(listener, signals)


class _Site:
    """One endpoint, from its socket to the end of its last request."""

    def __init__(
        self,
        app: Bullq,
        log: LoggingObserver,
        *,
        path: str,
        origin: str | None,
        concurrency: int,
        drain_seconds: float,
    ) -> None:
        from bullq.web import asgi
        from bullq.web.endpoint import Bounds

        self._app = app
        self._log = log
        self._path = path
        self._origin = origin or app.settings.inngest_serve_origin
        self._drain_seconds = drain_seconds
        bounds = Bounds(concurrency=concurrency)
        self._web = asgi(app, path=path, origin=origin, bounds=bounds, observer=log)

    def run(self, listener: socket.socket, signals: StopSignals) -> None:
        """Serve until a signal comes."""
        import asyncio

        import uvicorn

        config = uvicorn.Config(
            self._web,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=round(self._drain_seconds),
        )
        server = uvicorn.Server(config)

        def stop() -> None:
            server.should_exit = True

        signals.attach(stop, self._drain_seconds)
        logging.getLogger("bullq").addHandler(_Told(self._log))
        logging.getLogger("bullq").setLevel(logging.INFO)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._serve(server, listener))

    async def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        local = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - as an address to call
        registration: Registration = self._web.state.bullq.registration
        dev = not self._web.state.bullq.functions.server.production
        self._log.note("serving", url=f"{local}{self._path}", signed="no" if dev else "yes")
        if self._origin is None and dev:
            registration.reach_at(f"{local}{self._path}")
        elif self._origin is None:
            self._log.note(
                "not registering: INNGEST_SERVE_ORIGIN does not say where the Inngest server "
                "reaches this process; have the server look here instead"
            )
        try:
            # Its signals are ours: serve() would put its own handlers in their place.
            await server._serve([listener])  # noqa: SLF001
        finally:
            await self._app.aclose()
        if not server.started:
            raise CommandError(
                "The endpoint could not be started; the lines above say why.",
                ExitCode.FAILED,
                "not-started",
            )


class _Told(logging.Handler):
    """Passes on what the library logs."""

    def __init__(self, log: LoggingObserver) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._log.trouble("inngest", record.getMessage())
        else:
            self._log.note(record.getMessage())


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen, or say why that cannot be."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise wrong_input(f"--host {host!r} is no address of this machine: {error}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise wrong_input(
            f"Nothing can listen on {host}:{port}: {error.strerror or error}.\n"
            "Name another port with --port, or take a free one with --port 0."
        ) from None
    with listener:
        yield listener
