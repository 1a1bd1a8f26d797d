"""What the parts of a drop-in worker know of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bullq.worker.dropin.emitter import Emitter
from bullq.worker.dropin.retention import Retention


class Host(Emitter):
    """The worker as its attempts see it: what they call, where they tell, and on which terms."""

    processor: Callable[..., Any]
    processor_is_async: bool
    """Whether calling the processor gives a coroutine; otherwise it is called in a thread."""
    gives_signal: bool
    """Whether the processor takes an AbortSignal."""
    backoff_strategy: Callable[..., Any] | None
    retention: Retention | None
    forceClosing: bool  # noqa: N815 - the official name
    backend: Any
    qualifiedName: str  # noqa: N815 - the official name

    def let_go(self, token: str) -> None:
        """Note that a processor has moved its job itself, and that its lock is no more."""
