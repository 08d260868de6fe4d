"""What is read of this machine and of other labs' state folders."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.clients import docker
from lab.host import facts
from lab.host.container_engine import Condition, EngineState
from lab.settings import Settings
from lab.topology.snapshot import LabCluster, OtherLab
from tests.unit.host.hosts import ENGINE, SYSTEM


def keep(folder: Path, lab: str, text: str) -> None:
    (folder / lab).mkdir(parents=True)
    (folder / lab / "addresses.json").write_text(text)


def test_other_labs_are_read_from_their_folders(tmp_path: Path) -> None:
    cluster = {"id": 1, "pod_cidr": "10.100.0.0/16", "service_cidr": "10.150.0.0/16", "mesh_port": 32379}
    keep(tmp_path, "one", json.dumps({"node_cidr": "10.200.0.0/24", "clusters": {"mgmt": cluster}}))
    keep(tmp_path, "two", json.dumps({"node_cidr": None, "clusters": {}}))
    (tmp_path / "empty").mkdir()
    mgmt = LabCluster("mgmt", IPv4Network("10.100.0.0/16"), IPv4Network("10.150.0.0/16"))
    assert facts.other_labs(tmp_path) == (
        OtherLab("one", (mgmt,), IPv4Network("10.200.0.0/24")),
        OtherLab("two"),
    )
    assert facts.other_labs(tmp_path / "none") == ()


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"clusters": {"a": {"pod_cidr": "x"}}}', '{"clusters": []}']
)
def test_a_lab_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    keep(tmp_path, "broken", text)
    keep(tmp_path, "sound", '{"clusters": {}}')
    assert [lab.name for lab in facts.other_labs(tmp_path)] == ["sound"]
    assert "broken/addresses.json was left out" in caplog.text


def test_the_disk_of_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    disk = facts.disk(tmp_path / "not" / "yet")
    assert disk.path == tmp_path / "not" / "yet"
    assert disk.device == tmp_path.stat().st_dev
    assert 0 <= disk.free_bytes <= disk.total_bytes


@pytest.mark.parametrize(
    ("system", "engine", "here"),
    [
        (SYSTEM, ENGINE, True),
        (SYSTEM, replace(ENGINE, kernel="6.10.14-linuxkit"), False),
        (SYSTEM, replace(ENGINE, operating_system="Docker Desktop"), False),
        (replace(SYSTEM, name="darwin"), ENGINE, False),
    ],
)
def test_where_the_containers_run(system: facts.System, engine: docker.Engine, *, here: bool) -> None:
    assert facts.engine_is_here(system, EngineState(condition=Condition.RUNNING, engine=engine)) is here


def test_an_engine_that_is_away_is_here_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = EngineState(condition=Condition.STOPPED)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert facts.engine_is_here(SYSTEM, stopped)
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2376")
    assert not facts.engine_is_here(SYSTEM, stopped)


def test_this_machine_is_observed_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_arguments: object, **_options: object) -> None:
        raise docker.EngineUnreachable(docker.Reason.STOPPED)

    monkeypatch.setattr(docker, "engine", unreachable)
    monkeypatch.setattr(docker, "networks", unreachable)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    seen = facts.observe(settings)
    assert seen.cpus >= 1
    assert seen.memory_bytes > 0
    assert seen.engine.engine is None
    assert seen.clock.at_least.year >= 2024
    snapshot = facts.snapshot(settings)
    assert snapshot.networks == ()
    assert snapshot.labs == ()
    assert not (tmp_path / "cache").exists()


def test_networks_carry_their_labs_name(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [
        docker.EngineNetwork(
            name="lab-one",
            id="1",
            subnets=("10.200.0.0/24", "fc00::/64"),
            labels={"lab/name": "one"},
            bridge="b",
        ),
        docker.EngineNetwork(name="host", id="2", subnets=(), labels={}, bridge=None),
    ]
    monkeypatch.setattr(docker, "networks", lambda: networks)
    first, second = facts._container_networks()
    assert (first.name, first.subnets, first.lab) == ("lab-one", (IPv4Network("10.200.0.0/24"),), "one")
    assert (second.subnets, second.lab) == ((), None)
