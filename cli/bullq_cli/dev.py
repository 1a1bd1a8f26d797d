"""`bullq dev`: a server, workers for every queue, and new ones whenever the code changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.inputs import duration

if TYPE_CHECKING:
    from bullq.settings import Settings
    from bullq.store.embedded import EmbeddedServer


def dev(
    *,
    drain_timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long running jobs may take at a reload."),
    ] = "5s",
    to_json: Annotated[
        bool, typer.Option("--json", help="Write log lines and errors as JSON.")
    ] = False,
) -> None:
    """Run a server and every worker here; reload on change.

    Without REDIS_URL it starts the embedded server, which other commands in this folder find
    by themselves. Ctrl-C ends it all.
    """
    drain_seconds = duration("--drain-timeout", drain_timeout) or 0

    import asyncio

    from bullq.settings import load_settings
    from bullq_cli.reloader import Reloader

    settings = load_settings()
    words = ["worker", "--all", "--until-stdin-closes", "--drain-timeout", drain_timeout]
    # Held here, so that the server and its address survive every reload.
    share = _server(settings)
    try:
        _introduce(settings, share, to_json=to_json)
        asyncio.run(Reloader([*words, *(["--json"] if to_json else [])], drain_seconds).run())
    finally:
        if share is not None:
            share.release()


def _server(settings: Settings) -> EmbeddedServer | None:
    """Give a share in the embedded server; None where REDIS_URL names one, which must answer."""
    if settings.redis_url is not None:
        import asyncio

        asyncio.run(_check(settings.redis_url))
        return None
    from bullq.store.embedded import acquire_embedded

    return acquire_embedded(Path.cwd())


async def _check(url: str) -> None:
    from bullq.store.connection import Store

    store = Store(url)
    try:
        await store.check()
    finally:
        await store.aclose()


def _introduce(settings: Settings, share: EmbeddedServer | None, *, to_json: bool) -> None:
    from bullq.settings import mask_url

    url = share.url if share is not None else mask_url(settings.redis_url or "")
    if to_json:
        output.as_json(
            {"redis_url": url, "embedded": share is not None, "watching": str(Path.cwd())}
        )
        return
    if share is None:
        output.line(f"Redis: {url}, from REDIS_URL")
    else:
        output.line(f"Redis: {url}, an embedded server with its data in .bullq/")
        output.line("  Other clients, Node's too, find it by")
        output.line(f"    export REDIS_URL={url}")
    output.line("  Now, in another terminal and this folder:")
    output.line("    bullq dispatch NAME '{...}' --wait 10s")
    output.line("    bullq queues ls")
    output.line("Watching *.py in this folder; Ctrl-C ends it all.")
