"""Dispatch jobs, and write down what comes of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bullq import DispatchError, DispatchInDoubt
from bullq.jobs.dispatching import DispatchOptions
from tests.drills.history import ACCEPTED, ASKED, RAISED, History
from tests.drills.jobs import JOBS, Task

if TYPE_CHECKING:
    from bullq import Bullq, Receipt


async def send(
    app: Bullq, history: History, kind: str, job_id: str, *, pause: float = 0.0
) -> Receipt[None] | None:
    """Dispatch a job of a *kind* through *app*; None where that raised."""
    job = JOBS[kind]
    history.note(ASKED, job_id, policy=job.policy.on_data_loss or "raise")
    try:
        receipt = await app.dispatcher.dispatch(job, Task(pause=pause), DispatchOptions(id=job_id))
    except asyncio.CancelledError:
        history.note(RAISED, job_id, doubt=True, error="cancelled")
        raise
    except DispatchError as error:
        doubt = isinstance(error, DispatchInDoubt) or getattr(error, "in_doubt", False)
        history.note(RAISED, job_id, doubt=doubt, error=f"{type(error).__name__}: {error}")
        return None
    reason = None if receipt.reason is None else receipt.reason.value
    history.note(ACCEPTED, receipt.id, receipt.engine, state=receipt.state, reason=reason)
    return receipt


async def send_all(
    app: Bullq,
    history: History,
    jobs: Iterable[tuple[str, str]],
    *,
    at_once: int,
    pause: float = 0.0,
    pace: float = 0.0,
) -> None:
    """Dispatch jobs (kind and id), *at_once* at a time, each *pace* seconds after another."""
    left = iter(jobs)

    async def one_after_the_other() -> None:
        for kind, job_id in left:
            await send(app, history, kind, job_id, pause=pause)
            await asyncio.sleep(pace)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
