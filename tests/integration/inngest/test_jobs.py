"""Jobs on Inngest: the same bodies, steps, retries and outcomes as on BullMQ."""

from __future__ import annotations

from pydantic import BaseModel

from bullq import Backoff, Context, job
from tests.integration.inngest.conftest import SiteFactory

CALLS: list[str] = []


class Order(BaseModel):
    id: int = 0


class Sent(BaseModel):
    text: str


@job(queue="default", attempts=3, backoff=Backoff.fixed(1))
async def receipt(order: Order, ctx: Context) -> Sent:
    text = await ctx.run("render", render, order.id)
    await ctx.sleep("pause", 1)
    return Sent(text=await ctx.run("mail", render, f"{text}!"))


def render(what: object) -> str:
    CALLS.append(f"render {what}")
    return f"<{what}>"


async def test_a_job_runs_step_by_step_and_gives_its_result(make_site: SiteFactory) -> None:
    CALLS.clear()
    site = await make_site(receipt)
    run = await site.run(receipt, Order(id=7))
    assert (run.status, run.output) == ("Completed", {"text": "<<7>!>"})
    assert CALLS == ["render 7", "render <7>!"]
    assert site.heard.told == [("started", run.event["id"]), ("completed", run.event["id"])]
