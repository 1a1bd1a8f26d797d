"""Send jobs to Inngest in place of BullMQ: only if it would run them, and not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from bullq.dispatch.breaker import Breaker
from bullq.dispatch.together import Together
from bullq.engines.inngest.messages import LARGEST_EVENT, JobMessage, Outcome, Sending
from bullq.engines.inngest.probe import Readiness, probe
from bullq.errors import PayloadError
from bullq.store.perloop import PerLoop

if TYPE_CHECKING:
    from bullq.dispatch.bucket import TokenBucket
    from bullq.engines.inngest.events import EventSender
    from bullq.engines.inngest.server import InngestServer

_READY_LASTS = 30.0  # seconds; then it is asked again, while the old answer is still believed
_UNREADY_LASTS = 1.0
_PROBE_DEADLINE = 2.0
_ENVELOPE_BYTES = 8_192  # of an event, beside its payload
_MOST_SENT = 100  # events in one request
_FULL = Sending(Outcome.REFUSED, "as many jobs as may fall back in a second have done so")
_SPARED = Sending(Outcome.REFUSED, "Inngest has failed a moment ago and is given time to recover")


class InngestFallback:
    """The way to one Inngest server; *functions* names those that are to be known there."""

    def __init__(
        self,
        server: InngestServer,
        sender: EventSender,
        functions: Callable[[], Iterable[str]],
        breaker: Breaker,
        bucket: TokenBucket,
    ) -> None:
        self.breaker = breaker
        self._server = server
        self._sender = sender
        self._functions = functions
        self._bucket = bucket
        self._readiness: tuple[float, Readiness] | None = None
        self._probes: PerLoop[dict[str, asyncio.Task[Readiness]]] = PerLoop(dict)
        self._events: PerLoop[Together[tuple[JobMessage, float], Sending]] = PerLoop(
            lambda: Together(self._send, most=_MOST_SENT, name="bullq events")
        )

    def warm(self) -> None:
        """Have the server asked whether it is ready, before that is needed."""
        if self._readiness is None:
            self._probe()

    @staticmethod
    def takes(size: int) -> bool:
        """Tell whether a payload of *size* bytes fits into an event."""
        return size + _ENVELOPE_BYTES <= LARGEST_EVENT

    async def is_ready(self, function: str, seconds: float) -> bool:
        """Tell, within *seconds*, whether the server would run a job (`<queue>.<job>`)."""
        now = asyncio.get_running_loop().time()
        known = self._readiness
        if known is None or now - known[0] > (_READY_LASTS if known[1].ready else _UNREADY_LASTS):
            asked = self._probe()
            if known is None or not known[1].ready:
                await asyncio.wait([asked], timeout=seconds)
        if self._readiness is None:
            return False
        readiness = self._readiness[1]
        return readiness.ready or (bool(readiness.missing) and function not in readiness.missing)

    @property
    def why_not(self) -> str:
        """Say why the server is not ready, as far as that is known."""
        return "" if self._readiness is None else self._readiness[1].reason

    async def send(self, message: JobMessage, seconds: float) -> Sending:
        """Send a job within *seconds*, together with others."""
        if not self._bucket.take():
            return _FULL
        if not self.breaker.lets_pass():
            return _SPARED
        try:
            async with asyncio.timeout(seconds):
                sending = await self._events.here().ask((message, seconds))
        except TimeoutError:
            sending = Sending(Outcome.UNKNOWN, f"Inngest did not answer within {seconds:g} s")
        match sending.outcome:
            case Outcome.ACCEPTED:
                self.breaker.succeeded()
            case Outcome.REFUSED:
                self.breaker.refused()
            case Outcome.UNKNOWN:
                self.breaker.unanswered()
        return sending

    async def cancel(self, job_id: str, seconds: float) -> Sending:
        """Have the server end a job's run, whatever it waits for, before its next step."""
        from bullq.engines.inngest.cancelling import cancel_run  # noqa: PLC0415 - the SDK is heavy

        return await cancel_run(self._sender, job_id, deadline=seconds)

    async def aclose(self) -> None:
        """End what is under way on the running event loop."""
        for asked in (self._probes.pop() or {}).values():
            asked.cancel()
            await asyncio.wait([asked])

    async def _send(self, given: Sequence[tuple[JobMessage, float]]) -> list[Sending]:
        messages = [message for message, _ in given]
        seconds = max(seconds for _, seconds in given)
        try:
            return [await self._sender.send(messages, deadline=seconds)] * len(messages)
        except PayloadError as error:
            if len(given) == 1:
                return [Sending(Outcome.REFUSED, str(error))]
            # One of them is too large as JSON: nobody fails for what another one sends.
            return [sending for one in given for sending in await self._send([one])]

    def _probe(self) -> asyncio.Task[Readiness]:
        probes = self._probes.here()
        asked = probes.get("asked")
        if asked is None or asked.done():
            asked = asyncio.create_task(self._probed(), name="bullq inngest probe")
            probes["asked"] = asked
        return asked

    async def _probed(self) -> Readiness:
        readiness = await probe(self._server, self._functions(), deadline=_PROBE_DEADLINE)
        self._readiness = asyncio.get_running_loop().time(), readiness
        return readiness
