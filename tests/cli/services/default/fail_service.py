"""Fail for good."""

from __future__ import annotations

from pydantic import BaseModel

from bullq import GiveUp, job


class Nothing(BaseModel):
    pass


@job
def fail(data: Nothing) -> None:
    raise GiveUp("the till is closed")
