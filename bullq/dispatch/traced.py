"""Flows whose jobs carry the trace in which they are added."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from bullq.dispatch.flows import BullmqFlows, Planned
from bullq.jobs.flow import Flow, FlowReceipt
from bullq.queues.traced import carrying
from bullq.store.flows import NewNode
from bullq.telemetry import otel

ResultT = TypeVar("ResultT")


class TracedFlows(BullmqFlows):
    """Adds flows within spans of *telemetry*: one for the tree, in it one for each job."""

    def __init__(self, telemetry: otel.OpenTelemetry, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._telemetry = telemetry

    async def dispatch(self, flow: Flow[Any, ResultT]) -> FlowReceipt[ResultT]:
        """Queue a tree of jobs, as BullmqFlows.dispatch() does."""
        queue = flow.job.queue
        with self._telemetry.sending("addFlow", queue, queue) as sending:
            sending.span.set_attribute(otel.FLOW_NAME, flow.job.name)
            return await super().dispatch(flow)

    def _nodes(self, planned: list[Planned]) -> list[NewNode]:
        carriers: dict[str, str] = {}
        self._trace(planned[0], carriers)
        return [
            replace(node, job=carrying(node.job, carriers[one.key]))
            for one, node in zip(planned, super()._nodes(planned), strict=True)
        ]

    def _trace(self, planned: Planned, carriers: dict[str, str]) -> None:
        """Make the spans of a job and, within it, of its children."""
        queue, job = planned.flow.job.queue, planned.flow.job
        with self._telemetry.sending("addNode", queue, queue) as sending:
            sending.span.set_attributes({otel.JOB_NAME: job.name, otel.JOB_ID: planned.id})
            carriers[planned.key] = sending.carrier
            for child in planned.children:
                self._trace(child, carriers)
