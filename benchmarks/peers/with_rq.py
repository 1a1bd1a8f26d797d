"""rq with its SimpleWorker, which runs jobs in the worker's own process, one at a time."""

from __future__ import annotations

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import Data, NotOffered, SyncSystem, perform

_system: Rq | None = None


def run_job(data: Data) -> None:
    """Run one job; rq finds it by name."""
    assert _system is not None  # noqa: S101 - the worker's process has made it
    _system.handle(data)


class Rq(SyncSystem):
    versions = ("rq", "redis")
    offers_bulk = True

    def __init__(self, url: str, meter: Meter) -> None:
        global _system  # noqa: PLW0603 - rq knows functions of modules only
        super().__init__(url, meter)
        self.redis = Redis.from_url(url)
        self.queue = Queue("bench", connection=self.redis)
        _system = self

    def add(self, data: Data) -> None:
        self.queue.enqueue("benchmarks.peers.with_rq.run_job", data, result_ttl=0)

    def add_many(self, jobs: list[Data]) -> None:
        self.queue.enqueue_many(
            [
                Queue.prepare_data("benchmarks.peers.with_rq.run_job", (data,), result_ttl=0)
                for data in jobs
            ]
        )

    def work(self, concurrency: int) -> None:
        if concurrency > 1:
            raise NotOffered("one job at a time per process")
        SimpleWorker([self.queue], connection=self.redis).work(logging_level="WARNING")


if __name__ == "__main__":
    from benchmarks.peers import with_rq  # noqa: PLW0406 - the module that rq finds run_job in

    perform(with_rq.Rq)
