"""Ask the queue, before a job's first line, whether BullMQ has the job: one of them runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from bullq.errors import DispatchInDoubt, StoreUnavailable
from bullq.store.arbiter import Unsettled, Verdict

if TYPE_CHECKING:
    from bullq.engines.inngest import sdk
    from bullq.engines.inngest.run import Run
    from bullq.engines.inngest.shared import Shared

_MARK = "verdict"
_AWAY = "away"
_LONGEST_WAITS = (60, 900)  # seconds, for the first hour and from then on
_PATIENCE = 65  # waits, most of them of a minute


class Guard:
    """The question of one run, which Inngest remembers as its first steps.

    The queue may be away for long: waiting for it spends none of the job's attempts.
    """

    def __init__(self, told: Mapping[str, Any], run: Run, name: str) -> None:
        self._epoch = str(told.get("epoch") or "")
        self._reruns = told.get("on_data_loss") == "rerun"
        self._drops = told.get("on_data_loss") == "drop"
        self._job = Unsettled(
            id=run.job_id,
            known=bool(told.get("known")),
            name=name,
            data=run.data,
            options=str(told.get("options") or "{}"),
            timestamp=int(told.get("timestamp") or run.began_ms),
        )

    async def lets_run(self, ctx: sdk.Context, shared: Shared) -> bool:
        """Tell, once that can be known, whether the job is to run here.

        Raises DispatchInDoubt where Redis has lost the job, and its terms leave that to people.
        """
        verdict = await self._verdict(ctx, shared)
        if verdict not in (Verdict.LOST, Verdict.NOWHERE):
            return verdict is Verdict.ROUTED
        if self._reruns or self._drops:
            return self._reruns
        raise DispatchInDoubt(
            f"Redis has lost data, and the job {self._job.id} with it: nobody can know whether it "
            "ran on BullMQ. Dispatch it again if it may run twice",
            self._job.id,
        )

    async def _verdict(self, ctx: sdk.Context, shared: Shared) -> Verdict:

        async def settle() -> dict[str, str]:
            try:
                verdict = await shared.settle(self._job, self._epoch)
            except StoreUnavailable:
                return {_MARK: _AWAY}
            return {_MARK: verdict.value}

        for number in count():
            kept: Any = await ctx.step.run(f"bullq: who runs it ({number})", settle)
            if kept[_MARK] != _AWAY:
                return Verdict(kept[_MARK])
            await ctx.step.sleep(
                f"bullq: Redis is away ({number})", timedelta(seconds=wait_after(number))
            )
        raise AssertionError("counting does not end")


def wait_after(number: int) -> int:
    """Give the seconds to wait after the look of that number, from 0, twice as long each time.

    A server ends a run at 1,000 steps, and each look is two of them: days are waited out.
    """
    return min(1 << min(number, 10), _LONGEST_WAITS[number >= _PATIENCE])
