"""Runs every five seconds: the recurring job `tick` on the queue `scheduled`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from bullq import job


class Tick(BaseModel):
    """A recurring job's payload is `{}`: each of its fields has a default."""


@job(every=timedelta(seconds=5))
def tick(_: Tick) -> str:
    """Tell the time. For a time of day take cron: @job(cron="0 3 * * *", tz="Europe/Berlin")."""
    return f"{datetime.now(UTC):%H:%M:%S}"
