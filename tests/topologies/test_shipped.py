"""The topologies that come with the lab: each loads, is what its golden table says, and suits editors."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

from lab.topology.model import Topology
from lab.topology.read import known_topologies, read_topology
from lab.topology.schema import schema_text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "topologies"
GOLDEN = Path(__file__).parent / "golden"
NAMES = [name for name, _ in known_topologies(FOLDER)]


def table(topology: Topology) -> str:
    """Write down everything that a topology came to, one cluster a line."""
    mesh, network = topology.mesh, topology.network
    stale = mesh.stale_backends.policy
    joined = f"mesh {mesh.kind} {mesh.tunnel} {stale} {mesh.max_clusters}"
    lines = [f"{topology.name}: {joined}, egress {network.egress}, nodes {network.node_cidr}"]
    for c in topology.clusters:
        nodes = f"{c.nodes.control_plane}+{c.nodes.workers}"
        lines.append(
            f"{c.name} {c.role} {c.provider} {c.kubernetes} {nodes} id={c.id} pods={c.pod_cidr} "
            f"services={c.service_cidr} mesh_port={c.mesh_port}"
        )
    return "\n".join(lines) + "\n"


def test_all_are_here() -> None:
    assert NAMES == [
        "article",
        "existing-pair",
        "flat-mesh",
        "hub-spoke",
        "hub-spoke-ha",
        "hub-spoke-small",
        "pair",
        "pair-multipass",
        "scale-255",
    ]
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_to_what_its_golden_table_says(name: str) -> None:
    topology = read_topology(name, folder=FOLDER)
    assert table(topology) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_has_its_files_name_and_says_what_it_is_for(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=topology.schema.json"
    assert lines[1].startswith("# ")
    assert lines[1].endswith(".")
    assert read_topology(name, folder=FOLDER).declared_name == name


@pytest.mark.parametrize("name", NAMES)
def test_editors_find_nothing_wrong_with_it(name: str) -> None:
    schema = json.loads((FOLDER / "topology.schema.json").read_text(encoding="utf-8"))
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)


def test_the_schema_is_current() -> None:
    # To renew it: python -c 'from lab.topology.schema import schema_text as t; print(t(), end="")'
    assert (FOLDER / "topology.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_default_has_the_networks_that_the_readme_shows() -> None:
    clusters = read_topology("hub-spoke", folder=FOLDER).clusters
    assert [str(c.pod_cidr) for c in clusters] == [f"10.{100 + i}.0.0/16" for i in range(3)]
    assert [str(c.service_cidr) for c in clusters] == [f"10.{150 + i}.0.0/16" for i in range(3)]


def test_255_clusters_share_no_address() -> None:
    topology = read_topology("scale-255", folder=FOLDER)
    networks = [network for c in topology.clusters for network in (c.pod_cidr, c.service_cidr)]
    networks = sorted([*networks, topology.network.node_cidr])
    assert len(topology.clusters) == 255
    for earlier, later in pairwise(networks):
        assert int(earlier.broadcast_address) < int(later.network_address)
    assert all(network.subnet_of(IPv4Network("10.0.0.0/8")) for network in networks)
