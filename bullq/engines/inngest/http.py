"""Clients of Inngest's HTTP interface."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from bullq.engines.inngest.server import InngestServer


def new_client(server: InngestServer) -> httpx.AsyncClient:
    """Make a client for the running event loop; whoever asks for it closes it.

    Reading the certificates takes tens of milliseconds, which a dispatch has to spare least when
    it falls back: they are read once, and not at all for servers without TLS.
    """
    uses_tls = any(url.startswith("https:") for url in (server.api_url, server.event_url))
    return httpx.AsyncClient(verify=_certificates() if uses_tls else False)


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()
