"""Keep jobs that no engine could take, on this machine's disk, until one of them can.

A row is written, and synced to the disk, before its dispatch returns.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeVar

from bullq.dispatch.together import Together
from bullq.errors import SettingsError
from bullq.store.perloop import PerLoop

T = TypeVar("T")

_MOST_KEPT = 500  # in one transaction, which is one sync to the disk
_BUSY = 1.0  # seconds to wait for another process that writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A job in the outbox. Times are in ms since the epoch, by this machine's clock.

    *maybe*: an add was sent, so that BullMQ may have it. *sent*: an event was sent, so that Inngest
    may. *may_leave* says that Inngest may run it; *problem* why it stays here until somebody looks,
    as do later ones of its *order_key* (empty: it has none).
    """

    queue: str
    id: str
    name: str
    data: str
    options: str
    made_ms: int
    due_ms: int
    kept_ms: int
    dispatcher: str
    epoch: str
    pickup: str
    on_data_loss: str
    timeout_ms: int
    may_leave: bool
    maybe: bool
    known: bool
    sent: bool
    problem: str = ""
    order_key: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.queue, self.id


_NAMES = tuple(field.name for field in fields(Kept))
_FLAGS = ("may_leave", "maybe", "known", "sent")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
  place INTEGER PRIMARY KEY AUTOINCREMENT,
  {", ".join(f"{name} NOT NULL" for name in _NAMES)},
  UNIQUE (queue, id)
);
CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), holder, until REAL);
"""
_INSERT = (
    f"INSERT INTO jobs ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) "  # noqa: S608 - our own names
    "ON CONFLICT (queue, id) DO UPDATE SET maybe = maybe OR excluded.maybe, "
    "sent = sent OR excluded.sent"
)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM jobs"  # noqa: S608 - same

_IS_FREE = """(problem = '' AND (order_key = '' OR NOT EXISTS (SELECT 1 FROM jobs AS held WHERE
  held.queue = jobs.queue AND held.order_key = jobs.order_key AND held.place < jobs.place
  AND held.problem <> '')))"""
_IS_HOLDER = "EXISTS (SELECT 1 FROM lease WHERE holder = ?)"


class LeaseLost(Exception):  # noqa: N818 - what happened
    """Somebody else delivers from the outbox, or the job is there no more."""


class Outbox:
    """One file, which all processes of an application on this machine share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._parents: list[sqlite3.Connection] = []
        self._keeping: PerLoop[Together[Kept, None]] = PerLoop(
            lambda: Together(self._keep, most=_MOST_KEPT, name="bullq outbox")
        )

    async def keep(self, job: Kept) -> None:
        """Write a job down; once this returns it outlives the process and the power.

        Raises sqlite3.Error or OSError where that cannot be.
        """
        await self._keeping.here().ask(job)

    async def jobs(self, queue: str | None = None, *, limit: int = 100) -> list[Kept]:
        """List jobs, the first kept first."""
        where = "" if queue is None else " WHERE queue = ?"
        given = (limit,) if queue is None else (queue, limit)
        sql = f"{_SELECT}{where} ORDER BY place LIMIT ?"
        return await self._do(lambda db: [_kept(row) for row in db.execute(sql, given)])

    async def deliverable(self, queue: str, *, limit: int) -> list[Kept]:
        """List the jobs of a queue that are not held back by a problem, the first kept first.

        Neither are those that an earlier one of their order key holds back.
        """
        sql = f"{_SELECT} WHERE queue = ? AND {_IS_FREE} ORDER BY place LIMIT ?"
        return await self._do(lambda db: [_kept(row) for row in db.execute(sql, (queue, limit))])

    async def queues(self) -> list[str]:
        """Name the queues of jobs that can be delivered."""
        sql = f"SELECT queue FROM jobs WHERE {_IS_FREE} GROUP BY queue ORDER BY min(place)"  # noqa: S608 - our own words
        return await self._do(lambda db: [str(row[0]) for row in db.execute(sql)])

    async def keeps(self, queue: str, order_key: str) -> bool:
        """Tell whether there are jobs of an order key. Raises sqlite3.Error or OSError."""
        sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE queue = ? AND order_key = ?)"
        return bool(await self._do(lambda db: db.execute(sql, (queue, order_key)).fetchone()[0]))

    async def depth(self) -> tuple[int, int]:
        """Give how many jobs there are, and for how many ms the oldest one has been here."""
        sql = "SELECT count(*), min(kept_ms) FROM jobs"
        count, oldest = await self._do(lambda db: db.execute(sql).fetchone())
        return int(count), now_ms() - int(oldest) if count else 0

    async def begin(
        self, jobs: Iterable[Kept], holder: str, *, maybe: bool, sent: bool, epoch: str = ""
    ) -> None:
        """Note what the lease's *holder* is about to do with jobs, before it does it.

        *epoch* is the queue's now, for jobs of which nothing was added before; empty: as it is.
        Raises LeaseLost where somebody else delivers by now, who has not heard of it.
        """
        keys = [job.key for job in jobs]
        now = "epoch = CASE WHEN maybe OR ? = '' THEN epoch ELSE ? END"  # by maybe as it was
        changes = f"{now}, maybe = maybe OR ?, sent = sent OR ?"
        sql = f"UPDATE jobs SET {changes} WHERE queue = ? AND id = ? AND {_IS_HOLDER}"  # noqa: S608 - our own names
        given = [(epoch, epoch, maybe, sent, *key, holder) for key in keys]
        if await self._do(lambda db: db.executemany(sql, given).rowcount) < len(keys):
            raise LeaseLost

    async def clear_maybe(self, jobs: Iterable[Kept], holder: str) -> None:
        """Note that BullMQ has not got jobs after all."""
        given = [(*job.key, holder) for job in jobs]
        sql = f"UPDATE jobs SET maybe = 0 WHERE queue = ? AND id = ? AND {_IS_HOLDER}"  # noqa: S608 - our own names
        await self._do(lambda db: db.executemany(sql, given).rowcount)

    async def hold_back(self, job: Kept, problem: str) -> None:
        """Deliver a job no more until somebody has looked at its *problem*."""
        sql = "UPDATE jobs SET problem = ? WHERE queue = ? AND id = ?"
        await self._do(lambda db: db.execute(sql, (problem, *job.key)).rowcount)

    async def remove(self, jobs: Iterable[tuple[str, str]]) -> int:
        """Remove jobs by queue and id, and tell how many were there."""
        keys = list(jobs)
        sql = "DELETE FROM jobs WHERE queue = ? AND id = ?"
        return await self._do(lambda db: db.executemany(sql, keys).rowcount)

    async def has(self, queue: str, job_id: str) -> bool:
        """Tell whether a job is here. Raises sqlite3.Error or OSError."""
        sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE queue = ? AND id = ?)"
        return bool(await self._do(lambda db: db.execute(sql, (queue, job_id)).fetchone()[0]))

    async def take_back(self, queue: str, job_id: str) -> bool:
        """Remove a job that no engine can have; tell whether there was one."""
        sql = "DELETE FROM jobs WHERE queue = ? AND id = ? AND NOT maybe AND NOT known AND NOT sent"
        return await self._do(lambda db: db.execute(sql, (queue, job_id)).rowcount == 1)

    async def take_lease(self, holder: str, seconds: float) -> bool:
        """Become, or stay, the one who delivers from this file; tell whether that is so."""
        sql = (
            "INSERT INTO lease VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE "
            "SET holder = ?1, until = ?2 WHERE holder = ?1 OR until < ?3"
        )
        now = time.time()
        given = (holder, now + seconds, now)
        return await self._do(lambda db: db.execute(sql, given).rowcount == 1)

    async def leave_lease(self, holder: str) -> None:
        """Let another one deliver at once."""
        sql = "DELETE FROM lease WHERE holder = ?"
        await self._do(lambda db: db.execute(sql, (holder,)).rowcount)

    async def aclose(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    async def _keep(self, jobs: Sequence[Kept]) -> list[None]:
        rows = [astuple(job) for job in jobs]
        await self._do(lambda db: db.executemany(_INSERT, rows).rowcount)
        return [None] * len(jobs)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work* in a transaction of its own, in a thread, whether the caller stays or goes.

        It gives no cursor: freed in another thread, that would disturb what is done by then.
        """
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._forget_parent()
        with self._guard:
            if self._connection is None:
                self._connection = _open(self.path)
            with self._connection as db:
                return work(db)

    def _forget_parent(self) -> None:
        """Open anew after a fork: SQLite loses what two processes write on one connection.

        The parent's is kept as it is: to close it here would take the file's log away from there.
        """
        if self._pid != os.getpid():
            self._pid, self._guard = os.getpid(), threading.Lock()
            if self._connection is not None:
                self._parents.append(self._connection)
                self._connection = None

    def _close(self) -> None:
        self._forget_parent()
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def now_ms() -> int:
    """Give the time by this machine's clock, in ms since the epoch."""
    return time.time_ns() // 1_000_000


def check_outbox(path: Path) -> None:
    """Raise SettingsError where no outbox can be at *path*."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _open(path).close()
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(
            f"BULLQ_OUTBOX={str(path)!r} cannot be used: {error}. It is a file in a folder that "
            "this process can write to"
        ) from None


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    if "order_key" not in {row[1] for row in db.execute("PRAGMA table_info(jobs)")}:
        db.execute("ALTER TABLE jobs ADD COLUMN order_key NOT NULL DEFAULT ''")
    return db


def _kept(row: Sequence[object]) -> Kept:
    values = dict(zip(_NAMES, row, strict=True))
    return Kept(**values | {name: bool(values[name]) for name in _FLAGS})  # type: ignore[arg-type] # as written
