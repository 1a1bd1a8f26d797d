"""Jobs of many kinds in one outbox: delivered in order, and what was not sent is known as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bullq import StoreUnavailable
from bullq.dispatch.outbox import Outbox
from bullq.store.arbiter import Arbiter
from tests.integration.dispatch.conftest import (
    QUEUE,
    Number,
    Site,
    SiteFactory,
    double_it,
    here_only,
    promptly,
)
from tests.support.proxy import Mode

KINDS = (double_it, here_only, promptly)
COUNT = 130


async def kept(make_site: SiteFactory, outbox: Outbox) -> tuple[Site, list[str]]:
    """Have jobs of all kinds in the outbox, of a queue that nobody works on."""
    site = await make_site(registered=False, BULLQ_OUTBOX=outbox.path)
    await site.break_redis(Mode.REFUSE)
    receipts = [
        await KINDS[number % len(KINDS)].dispatch(Number(number=number)) for number in range(COUNT)
    ]
    await site.app.handoffs.aclose()
    await site.break_redis(Mode.PASS)
    return site, [one.id for one in receipts]


async def waiting(site: Site) -> list[str]:
    queue = site.own.queue(QUEUE)
    ids: list[str] = await queue.store.client().lrange(queue.keys.key("wait"), 0, -1)
    return ids[::-1]


async def test_kinds_are_delivered_in_the_order_in_which_they_were_kept(
    make_site: SiteFactory, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    site, ids = await kept(make_site, outbox)
    relay = site.app.handoffs.relay()
    assert relay is not None
    assert await relay.flush() == (COUNT, 0)
    assert await waiting(site) == ids
    await outbox.aclose()


@pytest.mark.parametrize("in_doubt", [False, True])
async def test_a_delivery_that_is_cut_short_knows_what_was_sent(
    make_site: SiteFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_doubt: bool
) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    site, ids = await kept(make_site, outbox)
    add, calls = Arbiter.add_confirmed, 0

    async def cut(self: Arbiter, *given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += bool(given[0])  # who adds nothing asks for the epoch
        if calls > 4 and given[0]:
            raise StoreUnavailable("away", in_doubt=in_doubt)
        return await add(self, *given, **more)

    relay = site.app.handoffs.relay()
    assert relay is not None
    with monkeypatch.context() as patched:
        patched.setattr(Arbiter, "add_confirmed", cut)
        assert (await relay.flush())[0] == 4
    left = await outbox.jobs(limit=COUNT)
    assert [job.id for job in left] == ids[4:]
    assert [job.id for job in left if job.maybe] == (ids[4:5] if in_doubt else [])
    assert await relay.flush() == (COUNT - 4, 0)
    assert await waiting(site) == ids
    await outbox.aclose()
