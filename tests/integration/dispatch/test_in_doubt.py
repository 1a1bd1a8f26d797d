"""What one engine may have is given to no other one, whatever else is heard after that."""

from __future__ import annotations

import math

import pytest

from bullq import DispatchInDoubt
from tests.integration.dispatch.conftest import QUEUE, Number, SiteFactory, double_it
from tests.support.proxy import Mode
from tests.support.workers import running_worker


async def test_what_inngest_may_have_is_not_given_to_redis_because_a_second_try_is_refused(
    make_site: SiteFactory,
) -> None:
    site = await make_site(BULLQ_FALLBACK_RATE=1)  # two at once
    async with running_worker(site.own, QUEUE):
        await site.break_redis(Mode.REFUSE)
        assert (await double_it.dispatch(Number(number=1))).engine == "inngest"
        await site.break_redis(Mode.PASS)
        site.app.handoffs.means.breaker._until = math.inf
        site.double.delay = 30  # so that its first answer does not come
        with pytest.raises(DispatchInDoubt):
            await double_it.dispatch(Number(number=2), id="unanswered", deadline=1)
    assert not site.runs("unanswered")
