from __future__ import annotations

import dataclasses
import json

import pytest

from lab.graph import GraphError
from lab.plan.step import Budget, Plan, PlannedCluster, Step


def step(id: str, *needs: str, done: bool = False, estimate_s: float | None = None) -> Step:
    cluster = id.partition("/")[0] if "/" in id else None
    return Step(id, "kind", cluster=cluster, summary=id, needs=needs, done=done, estimate_s=estimate_s)


def plan(*steps: Step) -> Plan:
    cluster = PlannedCluster(
        name="mgmt",
        role="mgmt",
        provider="kind",
        id=1,
        pod_cidr="10.100.0.0/16",
        service_cidr="10.150.0.0/16",
        nodes=1,
    )
    budget = Budget(memory_mib=2048, disk_mib=4096, cpus=1.5)
    return Plan(lab="hub", topology="hub-spoke", clusters=(cluster,), steps=steps, budget=budget)


def ids(steps: tuple[Step, ...]) -> list[str]:
    return [each.id for each in steps]


def test_steps_are_held_in_order():
    made = plan(step("mesh", "a/create", "b/create"), step("a/create"), step("b/create"))

    assert ids(made.steps) == ["a/create", "b/create", "mesh"]
    assert ids(made.reversed_steps()) == ["mesh", "b/create", "a/create"]
    assert made.by_id["mesh"].needs == ("a/create", "b/create")


def test_an_id_that_is_there_twice():
    with pytest.raises(GraphError, match="more than one step is called a"):
        plan(step("a"), step("b"), step("a"))


def test_needs_that_are_not_there():
    with pytest.raises(GraphError, match="b needs 'c'"):
        plan(step("a"), step("b", "c"))


def test_a_closure_is_a_plan_of_its_own():
    made = plan(step("a"), step("b", "a"), step("c", "b"), step("d"))

    part = made.closure(["b"])

    assert ids(part.steps) == ["a", "b"]
    assert part == dataclasses.replace(made, steps=part.steps)


def test_pending_leaves_out_what_is_done():
    assert ids(plan(step("a", done=True), step("b", "a")).pending) == ["b"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("a", estimate_s=5), step("b", "a", estimate_s=3), step("c", estimate_s=6)], 8),
        ([step("a", done=True), step("b", "a", estimate_s=3)], 3),
        ([step("a", estimate_s=5), step("b")], None),
        ([], 0),
    ],
)
def test_the_estimate_is_the_longest_chain_of_what_is_left(steps, expected):
    assert plan(*steps).estimate_s == expected


def test_as_json_has_what_scripts_rely_on():
    made = plan(step("mgmt/create", done=True), step("mesh", "mgmt/create"))

    assert json.loads(json.dumps(made.as_json())) == {
        "lab": "hub",
        "topology": "hub-spoke",
        "clusters": [
            {
                "name": "mgmt",
                "role": "mgmt",
                "provider": "kind",
                "id": 1,
                "pod_cidr": "10.100.0.0/16",
                "service_cidr": "10.150.0.0/16",
                "nodes": 1,
            }
        ],
        "steps": [
            {"id": "mgmt/create", "cluster": "mgmt", "needs": [], "done": True},
            {"id": "mesh", "cluster": None, "needs": ["mgmt/create"], "done": False},
        ],
        "budget": {"memory_mib": 2048, "disk_mib": 4096, "cpus": 1.5},
    }
