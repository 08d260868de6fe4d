from __future__ import annotations

import pytest

from lab.engine.journal import Journal
from lab.plan.step import Budget, Plan, Step


@pytest.fixture
def book(tmp_path):
    with Journal(tmp_path / "journal" / "run.jsonl") as journal:
        yield journal


@pytest.fixture
def step():
    """Makes a step from its id, as ``app1/cilium``, and what it needs."""

    def make(
        id: str, *needs: str, kind: str = "work", done: bool = False, estimate_s: float | None = None
    ) -> Step:
        cluster = id.partition("/")[0] if "/" in id else None
        return Step(
            id, kind, cluster=cluster, summary=f"do {id}", needs=needs, done=done, estimate_s=estimate_s
        )

    return make


@pytest.fixture
def plan():
    """Makes a plan from steps."""

    def make(*steps: Step) -> Plan:
        budget = Budget(memory_mib=0, disk_mib=0, cpus=0)
        return Plan(lab="hub", topology="hub-spoke", steps=steps, budget=budget)

    return make
