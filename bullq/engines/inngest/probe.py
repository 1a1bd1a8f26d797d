"""Find out whether an Inngest server would run our jobs: acknowledged events may have no function.

A server answers 200 to an event that nobody listens to, and forgets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from bullq.clock import Duration, to_ms
from bullq.engines.inngest.http import new_client

if TYPE_CHECKING:
    from bullq.engines.inngest.server import InngestServer

_SHOWN = 5
_NOT_KNOWN = (401, 403)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether jobs sent to the server would run, and what is in the way."""

    ready: bool
    reason: str = ""
    reachable: bool = True
    """Whether a server has answered."""
    missing: tuple[str, ...] = ()
    """The ids of functions that the server does not know, as `<queue>.<job>`."""


async def probe(
    server: InngestServer, functions: Iterable[str], *, deadline: Duration = 2.0
) -> Readiness:
    """Ask the server which of *functions* (`<queue>.<job>`) it knows for this application."""
    seconds = to_ms(deadline) / 1000
    try:
        async with asyncio.timeout(seconds):
            response = await _asked(server, seconds)
    except (httpx.HTTPError, TimeoutError) as error:
        told = str(error) or f"no answer within {seconds:g} s"
        reason = f"No Inngest server at {server.api_url}: {told}"
        return Readiness(ready=False, reason=reason, reachable=False)
    if not response.is_success:
        return Readiness(
            ready=False,
            reason=f"Inngest at {server.api_url} does not tell its functions: it answered "
            f"{response.status_code}",
        )
    known = _names(response, server.app)
    missing = tuple(sorted(set(functions) - known))
    if not missing:
        return Readiness(ready=True)
    shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
    return Readiness(
        ready=False,
        reason=f"Inngest at {server.api_url} does not know {len(missing)} of our jobs ({shown}): "
        f"what is sent to them would be lost. Register the application {server.app!r}",
        missing=missing,
    )


async def _asked(server: InngestServer, seconds: float) -> httpx.Response:
    """Ask with the key that is good; the second one is while the first is being replaced."""
    url = f"{server.api_url}/v1/apps/{server.app}/functions"
    keys: list[str | None] = [*server.signing_keys] if server.production else []
    async with new_client(server) as client:
        for key in keys or [None]:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            response = await client.get(url, headers=headers, timeout=seconds)
            if response.status_code not in _NOT_KNOWN:
                break
        return response


def _names(response: httpx.Response, app: str) -> set[str]:
    """Read the known functions' ids, without the application's name before them."""
    try:
        told: Any = response.json()
    except ValueError:
        return set()
    rows = told.get("data") if isinstance(told, dict) else told
    names = (
        row.get(key)
        for row in rows or ()
        if isinstance(row, dict)
        for key in ("slug", "name", "id")
    )
    return {name.removeprefix(f"{app}-") for name in names if isinstance(name, str)}
