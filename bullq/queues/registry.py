"""The one place that maps a queue's name to its spec and to the live queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bullq.errors import InvalidOptionError, SettingsError, UnknownQueueError
from bullq.queues.queue import JobQueue
from bullq.queues.spec import STANDARD_QUEUES, QueueSpec
from bullq.settings import QueueOptions, nearest
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.store.connection import Store


class QueueRegistry:
    """The queues of one application: the standard ones, its own, and those its jobs name."""

    def __init__(
        self,
        specs: Iterable[QueueSpec] = (),
        *,
        job_queues: Iterable[str] = (),
        overrides: Mapping[str, QueueOptions] | None = None,
        prefix: str = "bull",
        new_queue: Callable[..., JobQueue] = JobQueue,
    ) -> None:
        own = list(specs)
        known = {spec.name: spec for spec in (*STANDARD_QUEUES, *own)}
        for name, count in Counter(spec.name for spec in own).items():
            if count > 1:
                raise InvalidOptionError(f"The queue {name!r} has {count} specs; give it one")
        for name in sorted(job_queues):
            known.setdefault(name, QueueSpec(name=name))
        for name, options in (overrides or {}).items():
            if name not in known:
                raise SettingsError(
                    f"The settings name a queue {name!r} that does not exist; "
                    f"{nearest(name, sorted(known))}known: {', '.join(sorted(known))}"
                )
            try:
                known[name] = known[name].overridden(options)
            except InvalidOptionError as error:
                raise SettingsError(str(error)) from None
        self._specs = known
        self._prefix = prefix
        self._new_queue = new_queue
        self._live: PerLoop[dict[str, JobQueue]] = PerLoop(dict)

    @property
    def names(self) -> list[str]:
        """The queues' names, the standard ones first."""
        return list(self._specs)

    def spec(self, name: str) -> QueueSpec:
        """Give a queue's spec, or raise UnknownQueueError with the known names."""
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownQueueError(
                f"No queue is called {name!r}; {nearest(name, self.names)}"
                f"known: {', '.join(self.names)}"
            )
        return spec

    def live(self, name: str, store: Store) -> JobQueue:
        """Give the queue itself, on the running event loop."""
        queues = self._live.here()
        if name not in queues:
            queues[name] = self._new_queue(
                self.spec(name), store, self._prefix, lambda other: self.live(other, store)
            )
        return queues[name]
