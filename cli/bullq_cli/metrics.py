"""Where Prometheus reads what a worker process counts, and others whether it is ready."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from bullq_cli.exits import CommandError, ExitCode, wrong_input

if TYPE_CHECKING:
    from bullq.telemetry.hooks import Observer

_LAST_PORT = 65_535


class Endpoint(NamedTuple):
    """An address and a port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def of_process(self, number: int) -> Endpoint:
        """Give the endpoint of the worker process in the place *number*, from 1."""
        return self._replace(port=self.port + number - 1)


def endpoint(option: str, text: str | None, processes: int = 1) -> Endpoint | None:
    """Read `[HOST:]PORT`, from which on as many ports are used as there are *processes*."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= _LAST_PORT - processes + 1:
        raise wrong_input(
            f"{option} {text!r} is no port.\n"
            f"Write it like 9400, for this machine alone, or 0.0.0.0:9400."
        )
    return Endpoint(host.strip("[]") or "127.0.0.1", int(port))


def serve_metrics(where: Endpoint) -> Observer:
    """Serve metrics, and `/ready`, on *where* for as long as this process runs.

    Gives who counts, and knows whether the workers are ready.
    """
    try:
        from prometheus_client import make_wsgi_app

        from bullq.telemetry.prometheus import PrometheusObserver
    except ImportError as error:
        raise wrong_input(str(error)) from None
    from bullq.telemetry.hooks import Observers
    from bullq.telemetry.readiness import WorkerReadiness

    observer, readiness = PrometheusObserver(), WorkerReadiness()
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start: Any) -> Any:
        if environ["PATH_INFO"] != "/ready":
            return metrics(environ, start)
        told = readiness.told()
        start(
            "200 OK" if told["ready"] else "503 Service Unavailable",
            [("content-type", "application/json")],
        )
        return [json.dumps(told).encode()]

    _serve(answer, where)
    return Observers([observer, readiness])


def _serve(answer: Any, where: Endpoint) -> None:
    """Serve a WSGI application in a thread, each request in one of its own."""
    import threading
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Handler(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log no requests: they come all the time."""

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in where.host else socket.AF_INET

    try:
        server = make_server(where.host, where.port, answer, Server, Handler)
    except OSError as error:
        raise CommandError(
            f"Metrics cannot be served at {where}: {error.strerror or error}.\n"
            "Take another port, or end what listens there.",
            ExitCode.WRONG_INPUT,
            "cannot-listen",
        ) from None
    threading.Thread(target=server.serve_forever, name="bullq metrics", daemon=True).start()
