"""celery over Redis, in threads of one process, results ignored."""

from __future__ import annotations

from typing import Any

from celery import Celery

from benchmarks.peers.meter import Meter
from benchmarks.peers.stage import Data, SyncSystem, perform


class CelerySystem(SyncSystem):
    versions = ("celery", "redis")

    def __init__(self, url: str, meter: Meter) -> None:
        super().__init__(url, meter)
        self.app: Any = Celery("bench", broker=url)
        self.app.conf.task_default_queue = "bench"

        @self.app.task(name="job", ignore_result=True)
        def run_job(data: Data) -> None:
            self.handle(data)

        self.task = run_job

    def add(self, data: Data) -> None:
        self.task.delay(data)

    def work(self, concurrency: int) -> None:
        self.app.worker_main(
            [
                *("worker", "--loglevel", "ERROR", "--pool", "threads"),
                *("--concurrency", str(concurrency)),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ]
        )


if __name__ == "__main__":
    perform(CelerySystem)
