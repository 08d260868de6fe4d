"""A plan: the steps that make a lab, what each needs, and what the whole will cost the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property

from lab import graph
from lab.graph import GraphError


@dataclass(frozen=True)
class Step:
    """One thing that must happen, once. A value only: what to do for a ``kind`` is the engine's caller's."""

    id: str
    """Unique in its plan and the same from run to run, as ``app1/cilium``."""

    kind: str
    """Which action does it."""

    _: KW_ONLY

    cluster: str | None = None
    """The cluster it happens on; None for what concerns the lab as a whole."""

    summary: str
    """What a person reads while it happens, as ``cilium: install``."""

    needs: tuple[str, ...] = ()
    """Ids of the steps that must be done before."""

    done: bool = False
    """Whether it was seen to be done already; it is then shown and skipped."""

    estimate_s: float | None = None
    """Seconds that it is likely to take, where that is known."""


@dataclass(frozen=True, kw_only=True)
class PlannedCluster:
    """A cluster as it will be, addresses and all."""

    name: str
    role: str
    provider: str
    id: int
    pod_cidr: str
    service_cidr: str
    nodes: int
    """All of them, control plane included."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a lab takes of the machine when everything runs."""

    memory_mib: int
    disk_mib: int
    cpus: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``up`` will do, in order.

    Whatever order ``steps`` are given in, they are held in the one that :func:`lab.graph.order`
    defines. Raises :class:`lab.graph.GraphError` for two steps of one id, needs that are not
    there, and cycles.
    """

    lab: str
    topology: str
    clusters: tuple[PlannedCluster, ...] = ()
    steps: tuple[Step, ...]
    budget: Budget
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Addons that were asked for and cannot be had, and why."""

    prove: tuple[str, ...] | None = None
    """The addons that are proved in the end, where nothing else changes; None: everything is."""

    def __post_init__(self) -> None:
        """Put the steps in order."""
        twice = [each for each, count in Counter(step.id for step in self.steps).items() if count > 1]
        if twice:
            raise GraphError(f"more than one step is called {', '.join(twice)}")
        given = {step.id: step for step in self.steps}
        order = graph.order(_graph(self.steps))
        object.__setattr__(self, "steps", tuple(map(given.__getitem__, order)))

    @cached_property
    def by_id(self) -> dict[str, Step]:
        """Every step, found by its id."""
        return {step.id: step for step in self.steps}

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that are not done yet, in order."""
        return tuple(step for step in self.steps if not step.done)

    @property
    def estimate_s(self) -> float | None:
        """Seconds that the steps still to do take along the longest chain of needs.

        None unless every one of them has an estimate. It is a lower bound: steps share cores.
        """
        ends: dict[str, float] = {}
        for step in self.steps:
            if not step.done and step.estimate_s is None:
                return None
            own = 0.0 if step.done else step.estimate_s or 0.0
            ends[step.id] = own + max((ends[need] for need in step.needs), default=0.0)
        return max(ends.values(), default=0.0)

    def closure(self, ids: Collection[str]) -> Plan:
        """The same plan with only ``ids`` and all that they need.

        Raises :class:`lab.graph.GraphError` for an id that is not in it.
        """
        wanted = graph.closure(_graph(self.steps), ids)
        return replace(self, steps=tuple(step for step in self.steps if step.id in wanted))

    def reversed_steps(self) -> tuple[Step, ...]:
        """The steps in the order in which to undo them: each before everything that it needs."""
        return self.steps[::-1]

    def as_json(self) -> dict[str, object]:
        """What ``plan --json`` prints; scripts rely on its keys."""
        return {
            "lab": self.lab,
            "topology": self.topology,
            "clusters": [
                {
                    "name": cluster.name,
                    "role": cluster.role,
                    "provider": cluster.provider,
                    "id": cluster.id,
                    "pod_cidr": cluster.pod_cidr,
                    "service_cidr": cluster.service_cidr,
                    "nodes": cluster.nodes,
                }
                for cluster in self.clusters
            ],
            "steps": [
                {"id": step.id, "cluster": step.cluster, "needs": list(step.needs), "done": step.done}
                for step in self.steps
            ],
            "budget": {
                "memory_mib": self.budget.memory_mib,
                "disk_mib": self.budget.disk_mib,
                "cpus": self.budget.cpus,
            },
        }


def _graph(steps: Collection[Step]) -> dict[str, tuple[str, ...]]:
    return {step.id: step.needs for step in steps}
