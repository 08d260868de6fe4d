"""Is this host ready for this lab? What is asked of it depends on the lab, and on what of it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import ready
from lab.addons import catalog
from lab.clients.docker_cli import EngineUnreachable, Reason
from lab.errors import DaemonUnreachable, HostError, InputError
from lab.host import doctor, facts, prepare
from lab.host.doctor import Check
from lab.plan.resolve import CONTROL_PLANE_MIB
from lab.plan.step import Budget
from lab.providers.base import ClusterState
from lab.providers.multipass import Multipass
from lab.settings import Settings
from lab.topology.read import read_topology
from lab.topology.snapshot import ContainerNetwork, HostSnapshot
from lab.workspace import TOPOLOGIES, Workspace
from tests.unit.host.hosts import SOUND
from tests.unit.labs import settings, state, topology, workspace

OK = Check(id="engine", ok=True, found="28", needed="20.10", remedy="")


class Asked:
    """What the doctor was asked to judge."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.budget: Budget | None = None
        self.ports: dict[int, str] = {}
        self.problems: list[str] = []
        self.settings: Settings | None = None
        self.nodes: dict[str, ClusterState] = {}
        self.networks: tuple[ContainerNetwork, ...] = ()
        monkeypatch.setattr(doctor, "examine", self._examine)
        monkeypatch.setattr(facts, "observe", lambda _: SOUND)
        monkeypatch.setattr(facts, "snapshot", lambda _: HostSnapshot(networks=self.networks))
        monkeypatch.setattr(prepare, "fixes", self._fixes)
        monkeypatch.setattr(ready, "states", lambda _: self.nodes)

    def _examine(self, found: object, *, budget: Budget, ports: Any, address_problems: Any, **_: Any) -> Any:
        assert found is SOUND
        self.budget, self.ports, self.problems = budget, ports, list(address_problems)
        return (OK,)

    def _fixes(self, own: Settings, found: object) -> dict[str, object]:
        self.settings = own
        return {}


def of_addons(folder: Path, role: str) -> int:
    """What the addons of hub-spoke ask for on each cluster of a role."""
    used = read_topology("hub-spoke", folder=TOPOLOGIES).addons
    addons = [catalog(settings(folder)).addons[each.use] for each in used]
    return sum(each.memory_mib for each in addons if role in each.on)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_a_new_lab_needs_memory_for_all_its_clusters(asked: Asked, tmp_path: Path) -> None:
    assert ready.examine(settings(tmp_path), "hub-spoke", name=None) == (OK,)
    assert asked.budget is not None
    assert asked.budget.memory_mib == (
        3 * CONTROL_PLANE_MIB + of_addons(tmp_path, "mgmt") + 2 * of_addons(tmp_path, "app")
    )
    assert asked.problems == []


def test_what_runs_has_its_memory_already(asked: Asked, tmp_path: Path) -> None:
    asked.nodes = {
        "mgmt": state("mgmt", "10.200.0.2"),
        "app1": state("app1", "10.200.0.3", running=False),
    }
    ready.examine(settings(tmp_path), "hub-spoke", name=None)
    assert asked.budget is not None
    assert asked.budget.memory_mib == 2 * CONTROL_PLANE_MIB + 2 * of_addons(tmp_path, "app")


def test_without_an_engine_everything_is_still_to_make(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Workspace) -> None:
        raise EngineUnreachable(Reason.STOPPED)

    monkeypatch.setattr(ready, "states", gone)
    ready.examine(settings(tmp_path), "pair", name=None)
    assert asked.budget is not None
    assert asked.budget.memory_mib == 2 * CONTROL_PLANE_MIB


def test_addresses_that_meet_the_hosts_are_the_doctors_to_tell(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "fixed.yaml"
    path.write_text(
        "version: lab/v1\nname: fixed\nclusters:\n  one: {role: app, pod_cidr: 10.44.0.0/16}\n"
        "  two: {role: app}\n"
    )
    asked.networks = (ContainerNetwork("office", (topology().cluster("east").pod_cidr.supernet(8),), None),)
    assert ready.examine(settings(tmp_path), str(path), name=None) == (OK,)
    assert any("10.44.0.0/16" in problem for problem in asked.problems)


def test_a_topology_that_is_wrong_anywhere_is_not(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(InputError, match='there is no topology "pear"'):
        ready.examine(settings(tmp_path), "pear", name=None)


def with_port(folder: Path) -> Workspace:
    made = workspace(folder)
    clusters = tuple(
        replace(each, provider_options={"api_port": 6443}) if each.name == "east" else each
        for each in made.topology.clusters
    )
    return replace(made, topology=replace(made.topology, clusters=clusters))


def test_a_port_is_asked_for_until_the_cluster_has_it(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "make_ready", lambda examine, **_: examine())
    ready.make_ready(with_port(tmp_path), assume_yes=True)
    assert asked.ports == {6443: "API server of east"}
    asked.nodes = {"east": state("east", "10.200.0.2")}
    ready.make_ready(with_port(tmp_path), assume_yes=True)
    assert asked.ports == {}


class Daemon:
    """What the doctor is told of Multipass, and for how much."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.needed: list[Budget] = []
        self.check = Check(id="multipass", ok=False, found="none", needed="1.14", remedy="Install it.")
        monkeypatch.setattr(Multipass, "checks", self._checks)

    def _checks(self, needed: Budget) -> tuple[Check, ...]:
        self.needed.append(needed)
        return (self.check,)


def test_machines_have_checks_of_their_own_and_take_nothing_of_what_others_share(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(monkeypatch)
    assert ready.examine(settings(tmp_path), "pair-multipass", name=None) == (OK, daemon.check)
    assert asked.budget is not None
    assert (asked.budget.memory_mib, asked.budget.cpus) == (0, 2)
    asked.nodes = {"east": state("east", "10.200.0.2")}
    ready.examine(settings(tmp_path), "pair-multipass", name=None)
    assert [needed.memory_mib for needed in daemon.needed] == [6144, 3072]
    # No other lab is asked what Multipass needs.
    ready.examine(settings(tmp_path), "pair", name=None)
    assert len(daemon.needed) == 2


def test_without_its_daemon_every_machine_is_still_to_make(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Workspace) -> None:
        raise DaemonUnreachable("Multipass' daemon does not answer")

    daemon = Daemon(monkeypatch)
    monkeypatch.setattr(ready, "states", gone)
    ready.examine(settings(tmp_path), "pair-multipass", name=None)
    assert [needed.memory_mib for needed in daemon.needed] == [6144]


def test_an_isolated_lab_starts_no_engine_that_is_not(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever asked for isolation, the engine's rules are there before its first container."""
    monkeypatch.setattr(prepare, "make_ready", lambda examine, **_: examine())
    ready.make_ready(workspace(tmp_path, egress="deny"), assume_yes=True)
    assert asked.settings is not None
    assert asked.settings.isolated
    ready.make_ready(workspace(tmp_path), assume_yes=True)
    assert not asked.settings.isolated


def test_without_a_terminal_nobody_is_asked(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def make_ready(examine: Callable[[], Iterable[Check]], **options: Any) -> None:
        given.update(options)
        raise HostError("this host is not ready for the lab")

    monkeypatch.setattr(prepare, "make_ready", make_ready)
    with pytest.raises(HostError):
        ready.make_ready(workspace(tmp_path), assume_yes=False)
    assert given["ask"] is None
    assert given["assume_yes"] is False
