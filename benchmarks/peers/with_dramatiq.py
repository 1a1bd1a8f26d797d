"""dramatiq with its Redis broker, in threads of one process."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import Data, SyncSystem, perform


class Dramatiq(SyncSystem):
    versions = ("dramatiq", "redis")

    def __init__(self, url: str, meter: Meter) -> None:
        super().__init__(url, meter)
        self.broker = RedisBroker(url=url)
        dramatiq.set_broker(self.broker)

        @dramatiq.actor(actor_name="job", queue_name="bench", broker=self.broker)
        def run_job(data: Data) -> None:
            self.handle(data)

        self.actor = run_job

    def add(self, data: Data) -> None:
        self.actor.send(data)

    def work(self, concurrency: int) -> None:
        dramatiq.Worker(self.broker, worker_threads=concurrency).start()
        threading.Event().wait()


if __name__ == "__main__":
    perform(Dramatiq)
