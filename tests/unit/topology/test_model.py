from __future__ import annotations

from pathlib import Path

import pytest

from lab.topology.model import Topology
from lab.topology.read import read_topology

TEXT = """\
version: lab/v1
name: t
clusters:
  mgmt: {role: mgmt, nodes: {control_plane: 3, workers: 2}}
  app1: {role: app}
  app2: {role: app}
"""


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return read_topology(str(file), folder=tmp_path)


def names(topology: Topology, *on: str) -> list[str]:
    return [cluster.name for cluster in topology.select(on)]


def test_clusters_are_found_by_name(topology: Topology) -> None:
    assert topology.cluster("app1").role == "app"
    with pytest.raises(KeyError):
        topology.cluster("app3")


def test_roles_are_each_there_once_in_file_order(topology: Topology) -> None:
    assert topology.roles == ("mgmt", "app")


def test_select_takes_roles_and_names_in_file_order(topology: Topology) -> None:
    assert names(topology, "app") == ["app1", "app2"]
    assert names(topology, "app2", "mgmt") == ["mgmt", "app2"]
    assert names(topology, "app", "app1") == ["app1", "app2"]
    assert names(topology) == []


def test_contexts_are_lab_and_cluster(topology: Topology) -> None:
    assert topology.context("mgmt") == "t-mgmt"


def test_nodes_add_up(topology: Topology) -> None:
    assert topology.cluster("mgmt").nodes.total == 5


def test_what_is_kept_is_what_was_given(topology: Topology) -> None:
    assert topology.kept.node_cidr == topology.network.node_cidr
    assert topology.kept.clusters["app1"] == topology.cluster("app1").addresses
