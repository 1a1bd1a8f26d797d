"""Queues that are obliterated: what the arbiter knew of them goes, or does no harm."""

from __future__ import annotations

from bullq import Observer
from bullq.worker.sweeper import Sweeper
from tests.integration.dispatch.conftest import QUEUE, Number, Site, SiteFactory, double_it
from tests.integration.dispatch.test_handoff import _accept
from tests.support.deadline import DEADLINE
from tests.support.workers import running_worker


async def _used(site: Site) -> str:
    """Have a job on each engine, one whose event is not accepted, and one that waits."""
    async with running_worker(site.own, QUEUE):
        begun = await double_it.dispatch(Number(number=1))
        assert begun.engine == "bullmq"
        assert await begun.result(DEADLINE) == 2
    away = await double_it.dispatch(Number(number=1))
    assert away.engine == "inngest"
    await site.double.finished(away.id)
    await double_it.send_event(away.id, "late")
    waits = await double_it.dispatch(Number(number=1), delay=3_600)
    assert waits.state == "delayed"
    return away.id


async def _left(site: Site) -> set[str]:
    """Name what is left, but for the lease that the gateway's sweeper takes, and that runs out."""
    queue = site.own.queue(QUEUE)
    base = queue.keys.base
    found = {key async for key in queue.store.client().scan_iter(f"{base}*")}
    return {key.removeprefix(base) for key in found} - {"bullq:sweeper"}


async def test_obliterating_takes_the_arbiters_keys_away(make_site: SiteFactory) -> None:
    site = await make_site()
    away = await _used(site)
    before = await _left(site)
    assert {"bullq:pickups", "bullq:routed", "bullq:epoch", f"{away}:signals"} <= before
    await site.own.queue(QUEUE).control.obliterate()
    assert not await _left(site)


async def test_what_another_clients_obliteration_leaves_does_no_harm(
    make_site: SiteFactory,
) -> None:
    site = await make_site()
    away = await _used(site)
    queue = site.own.queue(QUEUE)
    await queue.live.obliterate()  # by the script that Node runs, too
    assert {"bullq:pickups", "bullq:routed", "bullq:epoch"} <= await _left(site)
    assert not await Sweeper(queue, _accept, Observer()).sweep()
    async with running_worker(site.own, QUEUE):
        fresh = await double_it.dispatch(Number(number=4))
        assert (fresh.engine, fresh.state) == ("bullmq", "started")
        assert await fresh.result(DEADLINE) == 8
    again = await double_it.dispatch(Number(number=1), id=away)
    assert again.engine == "inngest"
    assert site.runs(away) == {"inngest": 1}
    await queue.control.obliterate()
    assert not {one for one in await _left(site) if one.startswith("bullq:")}
