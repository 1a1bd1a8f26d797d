"""`bullq dashboard`: bull-board on the application's queues, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bullq_cli import output
from bullq_cli.session import with_app
from bullq_cli.signals import StopSignals

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from bullq.app import Bullq
    from bullq_cli.dashboard.address import Address
    from bullq_cli.dashboard.board import BoardConfig

PORT = 3900
"""Where the board listens unless told otherwise: Node's own programs like to take 3000."""

_STOP_PATIENCE = 20.0  # seconds for the board and the connections to close


def dashboard(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = PORT,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, change nothing.")
    ] = False,
    open_browser: Annotated[
        bool,
        typer.Option(
            "--open/--no-open",
            show_default="on a screen",
            help="Open the board in the browser here.",
        ),
    ] = True,
    install_only: Annotated[
        bool, typer.Option("--install-only", help="Install bull-board and end, as for an image.")
    ] = False,
    to_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Show queues, jobs and workers in a browser.

    The page is bull-board's. It needs Node with npm, and is installed at first use. On an address
    that other machines reach it demands a token: BULLQ_DASHBOARD_TOKEN, or one that it prints.
    """
    signals = StopSignals()
    signals.install()
    if install_only:
        import asyncio

        asyncio.run(_until_signalled(_install(to_json=to_json), signals))
        return

    async def serve(app: Bullq) -> None:
        from bullq_cli.dashboard.address import Address

        token = app.settings.dashboard_token
        address = Address(host, port, token.get_secret_value() if token else None)
        await _serve(app, address, read_only=read_only, opens=open_browser, to_json=to_json)

    with_app(lambda app: _until_signalled(serve(app), signals))


async def _until_signalled(work: Coroutine[Any, Any, None], signals: StopSignals) -> None:
    """Do *work* to its end, or until the first signal cancels it."""
    import asyncio

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    signals.attach(lambda: _schedule(loop, task), _STOP_PATIENCE)
    try:
        await task
    except asyncio.CancelledError:
        if not signals.received:
            raise


def _schedule(loop: AbstractEventLoop, task: Future[None]) -> None:
    """Cancel *task* from a signal's handler, which may come anywhere in it."""
    loop.call_soon_threadsafe(task.cancel)


async def _install(*, to_json: bool) -> None:
    from bullq_cli.dashboard.installation import find_node, folder, install, version

    await find_node()
    target, fresh = folder(), False
    if not target.is_dir():
        await install(target)
        fresh = True
    if to_json:
        output.as_json({"folder": str(target), "bull_board": version(), "installed": fresh})
        return
    output.line(f"bull-board {version()} {'is now' if fresh else 'was already'} in {target}")


async def _serve(
    app: Bullq, address: Address, *, read_only: bool, opens: bool, to_json: bool
) -> None:
    from bullq_cli.dashboard.board import running_board

    await app.store.check()
    node, folder = await _ready()
    config = _config(app, address, read_only=read_only)
    async with running_board(node, folder, config) as board:
        listening = address.at(board.port)
        _tell(app, listening, config, to_json=to_json)
        if opens:
            listening.open()
        await board.follow()


async def _ready() -> tuple[Path, Path]:
    """Give Node and the folder of bull-board, which is installed if need be."""
    from bullq_cli.dashboard.installation import find_node, folder, install, version

    node, target = await find_node(), folder()
    if not target.is_dir():
        output.note(f"Installing bull-board {version()} into {target}, this once ...")
        await install(target)
    return node, target


def _config(app: Bullq, address: Address, *, read_only: bool) -> BoardConfig:
    from bullq.queues.options import queue_options
    from bullq.store.node import node_options
    from bullq_cli.dashboard.board import BoardConfig
    from bullq_cli.dashboard.payloads import payload_schemas

    schemas = payload_schemas(app.jobs)
    return BoardConfig(
        redis=node_options(app.store.url),
        prefix=app.settings.prefix,
        queues=[
            {
                "name": name,
                "defaultJobOptions": queue_options(app.queues.spec(name)),
                "jobDataSchema": schemas.get(name),
            }
            for name in app.queues.names
        ],
        title="bullq",
        host=address.host,
        port=address.port,
        token=address.token,
        readOnly=read_only,
    )


def _tell(app: Bullq, address: Address, config: BoardConfig, *, to_json: bool) -> None:
    from bullq.settings import mask_url

    names = app.queues.names
    if to_json:
        output.as_json(
            {
                "url": address.url,
                "queues": names,
                "prefix": config.prefix,
                "redis_url": mask_url(app.store.url),
                "read_only": config.readOnly,
            }
        )
        return
    output.line(f"bull-board: {address.url}{' (read-only)' if config.readOnly else ''}")
    if address.token is not None and not address.is_made:
        output.line("  It asks for the token of BULLQ_DASHBOARD_TOKEN.")
    output.line(f"  Redis: {mask_url(app.store.url)}, prefix {config.prefix}")
    output.line(f"  Queues: {', '.join(names)}")
    output.line("Ctrl-C ends it.")
