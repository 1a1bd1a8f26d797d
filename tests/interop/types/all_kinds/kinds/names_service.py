from typing import Any, Literal

from pydantic import BaseModel
from typing_extensions import TypedDict

from bullq import job


class Promise(BaseModel):
    kept: bool


class Job(BaseModel):
    title: str


class string(TypedDict):  # noqa: N801 - a type of the language is called so
    length: int


class Order(BaseModel):
    """An order of names."""

    names: list[str]


class Outer:
    class Inner(BaseModel):
        depth: int


class Nothing(TypedDict):
    pass


class Names(BaseModel):
    promise: Promise
    job: Job
    lower: string
    order: Order
    inner: Outer.Inner


class Both(BaseModel):
    """Taken as data and given as a result, which are two types: what has a default is optional."""

    count: int = 0


@job
def names(data: Names) -> None:
    """Take types that have unfortunate names."""


@job(name="take:both 2")
def both(data: Both) -> Both:
    return data


@job(name="shapes")
def shapes(data: dict[str, int]) -> list[Order] | None: ...


@job(name="anything")
def anything(data: Nothing) -> Any: ...


@job(name="choice")
def choice(data: Order | Both) -> Literal["yes", "no"]:
    return "yes"
