"""Greet somebody."""

from __future__ import annotations

from pydantic import BaseModel

from bullq import job


class Hello(BaseModel):
    name: str = "world"


@job
def hello(data: Hello) -> str:
    return f"Hello, {data.name}!"
