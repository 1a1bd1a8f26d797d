"""Tell the board what data jobs take, so that its editors can help to write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bullq.jobs.job import Job


def payload_schemas(jobs: Iterable[Job[Any, Any]]) -> dict[str, dict[str, Any]]:
    """Give the JSON Schema of a job's data for each queue that has jobs.

    bullq knows the data of each job, bull-board one schema for a queue: any of them will do.
    """
    from bullq.contract.schema import contract_schema

    contract = contract_schema(jobs)
    schemas: dict[str, dict[str, Any]] = {}
    for queue, described in contract["properties"].items():
        data = [job["properties"]["data"] for job in described["properties"].values()]
        choice = data[0] if len(data) == 1 else {"anyOf": data}
        schemas[queue] = {"$defs": contract["$defs"], **choice}
    return schemas
