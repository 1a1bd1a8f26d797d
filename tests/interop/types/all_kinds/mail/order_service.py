from pydantic import BaseModel

from bullq import RemoteJob


class Order(BaseModel):
    """An order by mail."""

    number: int = 1


class Packed(BaseModel):
    weight: float = 0.0


order = RemoteJob(queue="mail", name="order", data=Order, result=Packed)
announce = RemoteJob(queue="mail", name="announce", data=Packed)
