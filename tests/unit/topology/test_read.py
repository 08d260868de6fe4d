from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import InputError
from lab.topology.read import known_topologies, read_topology

TEXT = """\
# yaml-language-server: $schema=topology.schema.json
# What it is for.
version: lab/v1
name: one
clusters: {a: {role: app}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "topologies"
    folder.mkdir()
    (folder / "one.yaml").write_text(TEXT, encoding="utf-8")
    (folder / "other.yml").write_text(
        "version: lab/v1\nname: other\nclusters: {b: {role: app}}\n", encoding="utf-8"
    )
    (folder / "topology.schema.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_name_is_looked_up_in_the_folder(folder: Path) -> None:
    topology = read_topology("one", folder=folder)
    assert (topology.name, topology.declared_name, topology.path) == ("one", "one", folder / "one.yaml")
    assert read_topology("other", folder=folder).clusters[0].name == "b"


def test_a_path_is_a_path(folder: Path, tmp_path: Path) -> None:
    path = str(folder / "one.yaml")
    assert read_topology(path, folder=tmp_path).name == "one"


def test_a_second_lab_has_a_name_of_its_own(folder: Path) -> None:
    topology = read_topology("one", folder=folder, lab_name="two")
    assert (topology.name, topology.declared_name, topology.context("a")) == ("two", "one", "two-a")


@pytest.mark.parametrize("name", ["Two", "-", "", "x" * 33, "a.b", "a/b", "two "])
def test_a_lab_cannot_be_called_anything(folder: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_topology("one", folder=folder, lab_name=name)
    assert str(caught.value) == (
        f'"{name}" cannot be the name of a lab\n'
        "Use lower-case letters, digits and inner dashes, at most 32 characters."
    )


def test_an_unknown_name_is_answered_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_topology("onne", folder=folder)
    assert str(caught.value) == (
        'there is no topology "onne"; did you mean "one"?\n'
        "one: What it is for.\n"
        "other: \n"
        "Give one of these names, or the path of a file of your own."
    )


def test_a_path_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_topology("mine/two.yaml", folder=folder)
    assert str(caught.value) == (
        "mine/two.yaml does not exist\nGive the path of a topology file, or a name: one or other."
    )


def test_a_folder_is_not_a_topology(folder: Path) -> None:
    with pytest.raises(InputError, match="is a folder, not a topology"):
        read_topology(f"{folder}/", folder=folder)


def test_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, which tests in containers often are.
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError) as caught:
        read_topology("one", folder=folder)
    assert (
        str(caught.value) == "topologies/one.yaml cannot be read\nPermission denied\nCheck its permissions."
    )


def test_topologies_are_listed_with_what_they_are_for(folder: Path, tmp_path: Path) -> None:
    assert known_topologies(folder) == [("one", "What it is for."), ("other", "")]
    assert known_topologies(tmp_path / "nowhere") == []


FULL = """\
version: lab/v1
name: full
defaults: {provider: kind, kubernetes: "1.35", nodes: {control_plane: 1, workers: 0}}
network: {egress: allow, node_cidr: 10.201.0.0/24}
mesh: {kind: none, tunnel: geneve, stale_backends: {drop_after: 1h30m}, max_clusters: 511}
clusters:
  mgmt: {role: mgmt, id: 9, pod_cidr: 10.30.0.0/16, service_cidr: 10.31.0.0/16, mesh_port: 31000}
  vm: {role: app, provider: multipass, multipass: {memory: 4G, cpus: 2, disk: 20G}}
  far: {role: x, provider: existing, existing: {context: c}, pod_cidr: 10.4.0.0/16, service_cidr: 10.5.0.0/20}
  edges: {count: 2, prefix: edge, role: edge, kind: {image: x}}
addons:
  - {use: vault, on: mgmt}
  - {use: demo, on: [app, mgmt], with: {replicas: 2}}
"""


def test_every_key_at_once_is_a_topology(tmp_path: Path) -> None:
    (tmp_path / "full.yaml").write_text(FULL, encoding="utf-8")
    topology = read_topology("full", folder=tmp_path)
    assert [cluster.name for cluster in topology.clusters] == ["mgmt", "vm", "far", "edge-001", "edge-002"]
    assert topology.mesh.stale_backends.seconds == 5400
    assert topology.cluster("vm").provider_options == {"memory": "4G", "cpus": 2, "disk": "20G"}
    assert [cluster.id for cluster in topology.clusters] == [9, 2, 3, 4, 5]


PIECES = st.sampled_from(
    ["", " ", "\n", "\n  ", ":", "{", "}", "[", "]", ",", "null", "app", "0", "-", "10.30.0.0/8", "&x ", "*x"]
)


@given(st.lists(st.tuples(st.integers(0, len(FULL)), st.integers(0, 12), PIECES), min_size=1, max_size=4))
@settings(max_examples=400)
def test_whatever_is_wrong_is_said_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]]
) -> None:
    text = FULL
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    file = tmp_path_factory.mktemp("t") / "t.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        topology = read_topology(str(file), folder=file.parent)
    except InputError as error:
        lines = error.details.splitlines()
        assert lines
        assert all(re.match(r"\S+/t\.yaml:\d+:\d+ \S+", line) for line in lines)
    else:
        assert topology.clusters


def test_one_problem_is_not_two(folder: Path) -> None:
    (folder / "one.yaml").write_text(TEXT.replace("role", "rol"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_topology("one", folder=folder)
    assert caught.value.brief == "1 problem in topologies/one.yaml"
    assert caught.value.exit_code == 2
