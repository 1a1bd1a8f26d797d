"""Bound the time that answers may take in the middle of a test, once all that it needs is there."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from bullq.store.connection import Store


def hurry(store: Store, seconds: float) -> None:
    """Let what is under way, and what is asked from now on in this loop, take so long at most."""
    shared = store.pipelined()
    shared.timeout = shared._connect_timeout = seconds
    if shared._wire is not None:
        _hurry_up(shared._wire, seconds)
    pool = store.client().connection_pool
    pool.timeout = seconds
    bounds = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    pool.connection_kwargs.update(bounds)
    for connection in (*pool._available_connections, *pool._in_use_connections):
        for name, bound in bounds.items():
            setattr(connection, name, bound)


def _hurry_up(wire: Any, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    wire.timeout = seconds
    wire._waiting = deque((waiter, min(deadline, due)) for waiter, deadline in wire._waiting)
    if wire._watch is not None:
        wire._watch.cancel()
        wire._watch = loop.call_at(due, wire._look_at_clock)
