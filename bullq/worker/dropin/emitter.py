"""Tell listeners what happens, so that no listener can harm what it listens to."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

Listener = TypeVar("Listener", bound=Callable[..., Any])

_log = logging.getLogger("bullq")


class Emitter:
    """Calls listeners by the name of an event, plain functions and coroutine functions alike.

    What one of them raises becomes an `error` event, and a line in the log where nobody listens
    to those: it reaches neither the others nor whoever emits.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._under_way: set[asyncio.Future[Any]] = set()

    def on(self, event_name: str, function: Listener) -> Listener:
        """Call *function* at every event of this name; give it back."""
        self._listeners.setdefault(event_name, []).append(function)
        return function

    def once(self, event_name: str, function: Listener) -> Listener:
        """Call *function* at the next event of this name only; give it back."""
        self._listeners.setdefault(event_name, []).append(_Once(function))
        return function

    def off(self, event_name: str, function: Callable[..., Any]) -> None:
        """Call *function* no more; raises ValueError where it does not listen."""
        listeners = self._listeners.get(event_name, [])
        for listener in listeners:
            if function in (listener, getattr(listener, "function", listener)):
                # A new list: the old one may be under way.
                self._listeners[event_name] = [one for one in listeners if one is not listener]
                return
        raise ValueError(f"{function!r} does not listen to {event_name!r}")

    def hears(self, event_name: str) -> bool:
        """Tell whether anybody listens to events of this name."""
        return bool(self._listeners.get(event_name))

    def emit(self, event_name: str, *args: Any, **kwargs: Any) -> None:
        """Call those who listen, in the order in which they came; nothing they raise comes out."""
        for listener in self._listeners.get(event_name, ()):
            if isinstance(listener, _Once):
                self.off(event_name, listener)
            try:
                given = listener(*args, **kwargs)
                if inspect.isawaitable(given):
                    self._follow_listener(event_name, given)
            except Exception as error:  # noqa: BLE001 - listeners may raise anything
                self._blame_listener(event_name, error)

    def tell_error(self, error: BaseException, *about: Any) -> None:
        """Emit an `error`, or log it where nobody listens to errors."""
        if self.hears("error"):
            self.emit("error", error, *about)
        else:
            _log.error("%s: %s", type(error).__name__, error, exc_info=error)

    def _follow_listener(self, event_name: str, call: Awaitable[Any]) -> None:
        future = asyncio.ensure_future(call)
        self._under_way.add(future)  # the loop alone would let it go before its end
        future.add_done_callback(partial(self._listener_ended, event_name))

    def _listener_ended(self, event_name: str, future: asyncio.Future[Any]) -> None:
        self._under_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._blame_listener(event_name, error)

    def _blame_listener(self, event_name: str, error: BaseException) -> None:
        error.add_note(f"raised by a listener to {event_name!r} events")
        if event_name == "error":
            _log.error("a listener to 'error' events failed", exc_info=error)
        else:
            self.tell_error(error)


class _Once:
    """A listener that is to be called once."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)
