"""Mistakes that a type checker has to find: each line that ends with '# wrong', and no other."""

from __future__ import annotations

from pydantic import BaseModel

from bullq import Context, RemoteJob, Worker, children_of, job


class Order(BaseModel):
    order_id: int
    email: str


class Sent(BaseModel):
    message_id: str


@job(queue="default")
async def send_receipt(order: Order, ctx: Context) -> Sent:
    return Sent(message_id=order.email)


@job
def count(order: Order) -> int:
    return order.order_id


refresh = RemoteJob(queue="node", name="refresh", data=Order, result=Sent)


async def seeded(order: Order, ctx: Context) -> None:
    # A payload of another type.
    await send_receipt.dispatch(Sent(message_id="m"))  # wrong
    await send_receipt.dispatch({"order_id": 7, "email": "a@b.c"})  # wrong
    await count.dispatch_many([order, 7])  # wrong
    # A field is missing.
    await send_receipt.dispatch(Order(order_id=7))  # wrong
    # A keyword that nobody knows.
    await send_receipt.dispatch(order, dealy=5)  # wrong
    count.dispatch_sync(order, retries=5)  # wrong
    # A delay of another type.
    await send_receipt.dispatch(order, delay="5m")  # wrong
    # A result taken for another type.
    text: str = await (await count.dispatch(order)).result()  # wrong
    sent: Sent = count.dispatch_sync(order).result_sync()  # wrong
    # A job that Node runs.
    await refresh.dispatch(Sent(message_id="m"))  # wrong
    number: int = await (await refresh.dispatch(order)).result()  # wrong
    # An async job called without await, and a job called with something else.
    message: str = send_receipt(order, ctx).message_id  # wrong
    count(text)  # wrong
    await send_receipt.dispatch(order, delay=5)
    # Flows: payloads of another type, at the root and below it, and results of children.
    count.flow(Sent(message_id="m"))  # wrong
    count.flow(order, children=[send_receipt.flow(7)])  # wrong
    count.flow(order, on_failure="explode")  # wrong
    await count.flow(order, children=[order]).dispatch()  # wrong
    texts: list[str] = (await children_of(ctx)).of(count)  # wrong
    # Steps: arguments that do not fit, a result taken for another type, a payload of another type.
    await ctx.run("count", count, order.email)  # wrong
    number = await ctx.run("text", str, order.order_id)  # wrong
    text = await ctx.invoke("count", count, order)  # wrong
    await ctx.dispatch("receipt", send_receipt, Sent(message_id="m"))  # wrong
    _ = sent, message, number, texts


@job(queue="default", attempts="5")  # wrong
def options(order: Order) -> None: ...


@job(queue="default", executor="fork")  # wrong
def forked(order: Order) -> None: ...


@job(queue="default")  # wrong
def three(order: Order, ctx: Context, more: int) -> None: ...


@job(queue="default")  # wrong
async def no_context(order: Order, limit: int) -> None: ...


async def in_place_of_the_official_worker() -> None:
    # Options in the place of the processor, an id that is no text, and seconds that are none.
    worker = Worker("default", {"concurrency": 5})  # wrong
    worker.cancelJob(7)  # wrong
    await worker.close(timeout="5s")  # wrong
