"""A tree of jobs of the interop tests, in a form that Node and bullq can both be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bullq import Backoff, Flow, QueueSpec
from bullq.jobs.flow import OnFailure
from bullq.queues.options import job_options
from tests.interop.play import Play, playing

FLAGS = {
    "fail": "failParentOnFailure",
    "continue": "continueParentOnFailure",
    "ignore": "ignoreDependencyOnFailure",
    "remove": "removeDependencyOnFailure",
}

QUEUES = ("parents", "default", "data-sync")
SPECS = [QueueSpec(name=name, attempts=1, backoff=Backoff.fixed(0.02)) for name in QUEUES]


@dataclass(frozen=True)
class Branch:
    """A job of a tree and those below it; *play* is what it does, *options* are dispatch()'s."""

    queue: str
    id: str
    play: dict[str, Any] = field(default_factory=dict)
    children: tuple[Branch, ...] = ()
    on_failure: OnFailure = "fail"
    options: dict[str, Any] = field(default_factory=dict)

    def for_bullq(self) -> Flow[Play, Any]:
        return playing(self.queue).flow(
            Play(**self.play),
            children=[child.for_bullq() for child in self.children],
            on_failure=self.on_failure,
            id=self.id,
            **self.options,
        )

    def for_node(self, *, is_root: bool = True) -> dict[str, Any]:
        """Give the tree for Node's FlowProducer, with all options that bullq gives its jobs."""
        spec = next(spec for spec in SPECS if spec.name == self.queue)
        flow = self.for_bullq()
        options: dict[str, Any] = {**job_options(flow.job, spec, flow.options), "jobId": self.id}
        if not is_root and (flag := FLAGS.get(self.on_failure)):
            options[flag] = True
        tree: dict[str, Any] = {
            "name": "play",
            "queueName": self.queue,
            "data": Play(**self.play).model_dump(mode="json"),
            "opts": options,
        }
        if self.children:
            tree["children"] = [child.for_node(is_root=False) for child in self.children]
        return tree
