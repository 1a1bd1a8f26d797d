"""Where Prometheus reads what a worker process counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    """Serve metrics on *where* for as long as this process runs, and give who counts them."""
    try:
        from prometheus_client import start_http_server

        from bullq.telemetry.prometheus import PrometheusObserver
    except ImportError as error:
        raise wrong_input(str(error)) from None
    observer = PrometheusObserver()
    try:
        start_http_server(where.port, where.host)
    except OSError as error:
        raise CommandError(
            f"Metrics cannot be served at {where}: {error.strerror or error}.\n"
            "Take another port, or end what listens there.",
            ExitCode.WRONG_INPUT,
            "cannot-listen",
        ) from None
    return observer
