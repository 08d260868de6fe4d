"""A plan as a person reads it."""

from __future__ import annotations

import pytest

from lab.plan.resolve import Seen, SeenCluster, resolve
from lab.plan.step import Plan, Step
from lab.planned import show
from tests.unit.labs import topology

BRING = (
    Step("images/program/kind", "image-part", summary="build kind", done=True),
    Step("images/image/node", "image-part", summary="make node", estimate_s=60.0),
    Step("tools/kind", "tool", summary="have kind", done=True),
    Step("tools/helm", "tool", summary="have helm", done=True),
)
WHOLE = SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True)


def lines(plan: Plan, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(plan)
    return capsys.readouterr().out.splitlines()


def test_a_fresh_lab(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(resolve(topology(egress="deny", lab="second"), Seen(), bring=BRING), capsys)
    assert shown[:12] == [
        "lab second (topology pair)",
        "  3 images, programs and tools: done",
        "  let nothing leave the machine (about 1.0 s)",
        "  container network 10.200.0.0/24 (about 1.0 s)",
        "  make node (about 1 min 00 s)",
        "  node image with everything preloaded (about 25.0 s)",
        "east (app, id 1, pods 10.100.0.0/16, services 10.150.0.0/16)",
        "  create 1 node, Kubernetes 1.35 (about 35.0 s)",
        "  DNS for the cluster only (about 1.0 s)",
        "  install Cilium, with its peers (about 8.0 s)",
        "  wait for agents, nodes and DNS (about 30.0 s)",
        "  wait for the mesh API server (about 45.0 s)",
    ]
    assert shown[-4:] == [
        "then",
        "  prove the data path between all clusters (about 15.0 s)",
        "It takes 2.1 GiB of memory, 3.9 GiB of disk and 2 CPUs.",
        "15 of 18 steps to do, at least 3 min 08 s.",
    ]


def test_a_lab_that_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen(network=True, node_image=True, verified=True, clusters={"east": WHOLE, "west": WHOLE})
    shown = lines(resolve(topology(), seen, bring=BRING), capsys)
    assert shown[0] == "lab pair"
    assert shown[-1] == "Nothing to do."
    assert "  create 1 node, Kubernetes 1.35: done" in shown


def test_what_nobody_can_estimate_is_not_estimated(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = (Step("images/image/node", "image-part", summary="pull node"), *BRING[2:])
    shown = lines(resolve(topology(), Seen(), bring=unknown), capsys)
    assert shown[-1] == "14 of 16 steps to do."
    assert "  pull node" in shown


def test_a_part_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plan = resolve(topology(), Seen(), bring=BRING).closure(["east/create"])
    assert "then" in lines(plan, capsys)
