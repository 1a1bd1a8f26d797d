"""Know whether the workers of a process are ready: begun, served by Redis, and to go on."""

from __future__ import annotations

from bullq.telemetry.hooks import CanaryEvent, Observer


class WorkerReadiness(Observer):
    """Hears what the workers of a process do, and says what keeps one of them from its work."""

    def __init__(self) -> None:
        self._queues: set[str] = set()
        self._stopping: set[str] = set()
        self._outages: dict[str, str] = {}
        self._canaries: dict[tuple[str, str], CanaryEvent] = {}

    @property
    def reason(self) -> str:
        """Why the workers are not ready; empty where they are."""
        if not self._queues:
            return "no worker has begun yet"
        if self._stopping:
            return f"it stops: {', '.join(sorted(self._stopping))}"
        for queue, why in self._outages.items():
            return f"Redis does not serve the worker of {queue}: {why}"
        for (queue, engine), canary in self._canaries.items():
            if engine == "bullmq" and canary.came is False:
                return f"the last canary of {queue} did not come back: {canary.reason}"
        return ""

    def told(self) -> dict[str, object]:
        """Give it for a program: canaries by queue and engine, null where that was not known."""
        canaries = {
            f"{queue}/{engine}": one.came for (queue, engine), one in self._canaries.items()
        }
        return {"ready": not self.reason, "reason": self.reason, "canaries": canaries}

    def worker_started(self, queue: str, worker: str, concurrency: int) -> None:  # noqa: ARG002
        """Note that a worker has begun."""
        self._queues.add(queue)

    def worker_stopping(self, queue: str, running: int, drain_ms: int) -> None:  # noqa: ARG002
        """Note that a worker claims no more."""
        self._stopping.add(queue)

    def redis_lost(self, queue: str, reason: str) -> None:
        """Note that Redis does not serve a worker."""
        self._outages[queue] = reason

    def redis_back(self, queue: str, outage_ms: int) -> None:  # noqa: ARG002
        """Note that Redis serves it again."""
        self._outages.pop(queue, None)

    def canary_came(self, canary: CanaryEvent) -> None:
        """Keep what became of the last canary."""
        self._canaries[canary.queue, canary.engine] = canary
