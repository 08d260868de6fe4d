"""``down``: what carries the lab's label goes, whatever the topology says; everything else stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from lab import down as module
from lab import kubeconfig, state
from lab.clients import docker
from lab.clients.docker_objects import Container, EngineNetwork, Volume
from lab.down import down
from lab.errors import HostError, ProvisionError
from lab.host import sandbox, tools
from lab.settings import LABEL, Timeouts
from tests.unit.labs import network, node, settings, topology

T = TypeVar("T", EngineNetwork, Volume)


class Engine:
    """A container engine of three lists; what is removed is gone from them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers: list[Container] = []
        self.networks: list[EngineNetwork] = []
        self.volumes: list[Volume] = []
        self.released: list[str] = []
        self.stuck: set[str] = set()
        monkeypatch.setattr(docker, "containers", self._containers)
        monkeypatch.setattr(docker, "networks", lambda label=None: self._labelled(self.networks, label))
        monkeypatch.setattr(docker, "volumes", lambda label=None: self._labelled(self.volumes, label))
        monkeypatch.setattr(docker, "remove_container", self._remove_container)
        monkeypatch.setattr(docker, "remove_network", self._remove_network)
        monkeypatch.setattr(docker, "remove_volume", self._remove_volume)
        monkeypatch.setattr(sandbox, "available", lambda: True)
        self.rules: set[str] = set()
        monkeypatch.setattr(sandbox, "release", self._release)

    def _release(self, lab: str) -> bool:
        self.released.append(lab)
        return lab in self.rules

    def _containers(self, *, labels: Mapping[str, str | None]) -> list[Container]:
        def carries(each: Container) -> bool:
            return all(
                name in each.labels and value in {None, each.labels[name]} for name, value in labels.items()
            )

        return list(filter(carries, self.containers))

    def _labelled(self, things: Sequence[T], label: str | None) -> list[T]:
        name, _, value = (label or "").partition("=")
        return [each for each in things if label is None or each.labels.get(name) == value]

    def _remove_container(self, name: str) -> None:
        if name in self.stuck:
            raise ProvisionError(f"{name} cannot be removed")
        self.containers = [each for each in self.containers if each.name != name]

    def _remove_network(self, name: str) -> None:
        self.networks = [each for each in self.networks if each.name != name]

    def _remove_volume(self, name: str) -> None:
        self.volumes = [each for each in self.volumes if each.name != name]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


def lab(engine: Engine, folder: Path) -> state.LabFolder:
    """The lab ``pair`` with all that it may have, and another one beside it."""
    registry = node("pair", "x", labels={LABEL: "pair"})
    engine.containers = [
        node("pair", "east"),
        node("pair", "gone-from-the-file", status="exited", addresses={}),
        node("other", "east"),
        node("pair", "west", networks=("kind",)),
        registry,
    ]
    engine.networks = [network("pair"), network("other")]
    engine.volumes = [
        Volume(name="ours", driver="local", labels={LABEL: "pair"}),
        Volume(name="theirs", driver="local", labels={}),
    ]
    own = state.folder(settings(folder), "pair")
    own.keep(topology().kept)
    return own


def test_all_of_the_lab_goes_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    folder = lab(engine, tmp_path)
    removed = down(settings(tmp_path), "pair")
    assert removed == [
        "cluster east",
        "cluster gone-from-the-file",
        "container pair-x-control-plane",
        "volume ours",
        "network lab-pair",
        "its kubeconfigs, CA and journals",
    ]
    # A stranger's cluster of one of our names stands in another network.
    assert [each.name for each in engine.containers] == [
        "other-east-control-plane",
        "pair-west-control-plane",
    ]
    assert [each.name for each in engine.networks] == ["lab-other"]
    assert [each.name for each in engine.volumes] == ["theirs"]
    assert engine.released == ["pair"]
    assert not folder.path.exists()
    assert list((tmp_path / "state" / "locks").iterdir()) == []


def test_what_is_not_there_is_no_error(engine: Engine, tmp_path: Path) -> None:
    assert down(settings(tmp_path), "pair") == []
    assert engine.released == ["pair"]


def test_firewall_rules_of_a_lab_that_is_gone_otherwise(engine: Engine, tmp_path: Path) -> None:
    engine.rules = {"pair"}
    assert down(settings(tmp_path), "pair") == ["its firewall rules"]


def test_nothing_is_removed_while_another_command_changes_the_lab(engine: Engine, tmp_path: Path) -> None:
    lab(engine, tmp_path)
    with (
        state.locked(settings(tmp_path), "pair"),
        pytest.raises(HostError, match="another command is changing the lab pair"),
    ):
        down(settings(tmp_path), "pair")
    assert len(engine.containers) == 5


def test_what_cannot_be_removed_stays_known(engine: Engine, tmp_path: Path) -> None:
    """The folder goes last, so that the next ``down`` still finds everything."""
    folder = lab(engine, tmp_path)
    engine.stuck = {"pair-east-control-plane"}
    with pytest.raises(ProvisionError, match="cannot be removed"):
        down(settings(tmp_path), "pair")
    assert folder.path.exists()
    assert [each.name for each in engine.networks] == ["lab-pair", "lab-other"]
    engine.stuck = set()
    assert "cluster east" in down(settings(tmp_path), "pair")
    assert not folder.path.exists()


def test_merged_contexts_are_taken_back(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab(engine, tmp_path)
    monkeypatch.setattr(kubeconfig, "forget", lambda *_: ["contexts pair-east, pair-west"])
    assert "contexts pair-east, pair-west" in down(settings(tmp_path), "pair")


def test_without_firewall_rules_there_is_nothing_to_release(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "available", lambda: False)
    down(settings(tmp_path), "pair")
    assert engine.released == []


def test_a_cluster_that_others_made_is_left_first_and_stays(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab(engine, tmp_path)
    path = folder.kubeconfig("theirs")
    path.parent.mkdir(parents=True)
    mark = {"name": "lab/existing", "extension": {"nodes": []}}
    path.write_text(yaml.safe_dump({"contexts": [{"name": "c", "context": {"extensions": [mark]}}]}))
    monkeypatch.setattr(tools, "tool", lambda *_, **__: Path("/helm"))
    left: list[str] = []

    def leave(folder: state.LabFolder, lab: str, cluster: str, *, helm: Path, timeouts: Timeouts) -> None:
        if not left:
            left.append("tried")
            raise HostError(f"{cluster} does not answer")
        assert len(engine.containers) == 5
        left.append(cluster)

    monkeypatch.setattr(module, "detach", leave)
    with pytest.raises(HostError, match="theirs does not answer"):
        down(settings(tmp_path), "pair")
    # While it does not answer, nothing else goes.
    assert len(engine.containers) == 5
    removed = down(settings(tmp_path), "pair")
    assert removed[:2] == ["all of it from theirs, which stays", "cluster east"]
    assert "cluster theirs" not in removed
    assert left == ["tried", "theirs"]
