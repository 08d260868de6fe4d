"""The story of ``up``: in what order it looks, asks and acts, and what it leaves when it may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab import actions, console, observe, ready, state, up
from lab.catalog.place import Placed
from lab.engine.run import Action, Context
from lab.errors import HostError, InputError, ProvisionError
from lab.host import builder, facts
from lab.host.doctor import Check
from lab.images.node import NodeImage
from lab.plan.resolve import Seen, SeenCluster
from lab.plan.step import Plan, Step
from lab.settings import Settings
from lab.supply import Supply
from lab.topology.snapshot import HostSnapshot
from lab.up import Request
from tests.unit.labs import settings

PROGRAM = Step("images/program/cilium", "image-part", summary="build cilium", estimate_s=400.0)
TOOLS = (
    Step("tools/kind", "tool", summary="have kind", done=True),
    Step("tools/helm", "tool", summary="have helm", done=True),
)


@dataclass
class FakeSupply:
    is_built: bool = True
    bring: Sequence[Step] = (PROGRAM, *TOOLS)
    node_image: NodeImage | None = None
    placed: Sequence[Placed] = ()
    source: Any = field(default_factory=lambda: SimpleNamespace(name="source"))
    left_out: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> Sequence[Step]:
        return self.bring

    def takes_s(self, steps: Sequence[Step]) -> float:
        assert steps == [PROGRAM]
        return 600.0


class World:
    """Everything around ``up``: what it does is in ``told``, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings(folder)
        self.told: list[str] = []
        self.seen = Seen()
        self.supply = FakeSupply()
        self.failing = ""
        monkeypatch.setattr(facts, "snapshot", lambda _: HostSnapshot())
        monkeypatch.setattr(ready, "make_ready", lambda *_, **__: self.told.append("host"))
        monkeypatch.setattr(builder, "examine", self._examine_builder)
        monkeypatch.setattr(up, "supply", lambda *_, **__: cast("Supply", self.supply))
        monkeypatch.setattr(observe, "observe", lambda *_, **__: self.seen)
        monkeypatch.setattr(actions.Maker, "require_same", lambda _: self.told.append("same"))
        monkeypatch.setattr(actions.Maker, "actions", lambda _: self.actions())
        monkeypatch.setattr(up, "evidence", lambda *_: "")

    def _examine_builder(self) -> tuple[Check, ...]:
        self.told.append("builder")
        return ()

    def actions(self) -> dict[str, Action]:
        def act(step: Step, context: Context) -> None:
            if step.id == self.failing:
                raise ProvisionError("it broke", remedy="Mend it.")
            self.told.append(step.id)

        kinds = "isolation node-network image-part tool node-image create dns cilium network mesh verify"
        return dict.fromkeys(kinds.split(), act)

    def up(self, **request: Any) -> Plan:
        return up.up(self.settings, Request(topology="pair", **({"yes": True} | request)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_host_comes_first_and_the_proof_last(world: World) -> None:
    plan = world.up()
    assert world.told[:3] == ["host", "same", "builder"]
    assert world.told[-1] == "lab/verify"
    assert set(world.told[3:]) == {step.id for step in plan.pending}
    folder = state.folder(world.settings, "pair")
    assert folder.kept() is not None
    assert (folder.ca / "ca.key").is_file()
    [journal] = folder.journals.iterdir()
    assert "-up-" in journal.name


def test_what_took_long_is_expected_to_again(world: World) -> None:
    world.up()
    plan = up.plan(world.settings, Request(topology="pair"))
    assert plan.by_id["east/create"].estimate_s == pytest.approx(0, abs=1)


def test_a_lab_that_is_up_is_left_alone(world: World) -> None:
    whole = SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True)
    world.seen = Seen(network=True, node_image=True, verified=True, clusters={"east": whole, "west": whole})
    plan = world.up(yes=False)
    assert plan.pending == ()
    assert world.told == ["host", "same"]


def test_a_failure_tells_how_to_go_on_and_keeps_what_is_done(world: World) -> None:
    world.failing = "west/cilium"
    with pytest.raises(ProvisionError) as failed:
        world.up(name="second")
    assert failed.value.brief == "step west/cilium failed: it broke"
    assert failed.value.remedy == (
        "Mend it.\nWhat is done stays done. To continue: ./invoke up -t pair --name second"
    )
    assert "east/create" in world.told
    assert "lab/verify" not in world.told


def test_nobody_is_surprised_by_an_hour_of_building(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "confirm", lambda _, *, assume_yes: assume_yes)
    with pytest.raises(HostError) as refused:
        world.up(yes=False)
    assert refused.value.brief == "images must be built, and nobody agreed to it"
    assert "--yes" in refused.value.remedy
    assert "--images registry" in refused.value.remedy
    assert world.told == ["host", "same"]
    told = capsys.readouterr().err
    # Ten minutes of building, and the longest chain of what comes after: node image, create, Cilium, mesh,
    # proof.
    assert "1 programs are built from source, once: with that it takes about 12 min 08 s" in told


def test_what_is_pulled_needs_no_consent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def confirm(*_: object, **__: object) -> bool:
        raise AssertionError("nothing is to be asked")

    monkeypatch.setattr(console, "confirm", confirm)
    world.supply = FakeSupply(is_built=False)
    world.up(yes=False)


def test_one_up_at_a_time(world: World) -> None:
    with (
        state.locked(world.settings, "pair"),
        pytest.raises(HostError, match="another command is changing the lab pair"),
    ):
        world.up()
    assert world.told == []
    world.up()


def test_a_host_that_is_not_ready_is_not_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise HostError("this host is not ready for the lab")

    monkeypatch.setattr(ready, "make_ready", refuse)
    with pytest.raises(HostError):
        world.up()
    assert not state.folder(world.settings, "pair").path.exists()


def test_an_addon_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(InputError) as refused:
        world.up(only="mesh, vault")
    assert refused.value.brief == "--only vault: the topology has no such addon"
    assert not state.folder(world.settings, "pair").path.exists()
    world.up(only="mesh")


def test_a_plan_changes_nothing(world: World, tmp_path: Path) -> None:
    plan = up.plan(world.settings, Request(topology="pair"))
    assert "east/create" in {step.id for step in plan.pending}
    assert world.told == []
    assert list(tmp_path.iterdir()) == []


def test_isolation_is_asked_for_by_option_or_environment(world: World) -> None:
    asked = up.plan(world.settings, Request(topology="pair", isolated=True))
    stated = up.plan(
        Settings(cache=world.settings.cache, state=world.settings.state, isolated=True),
        Request(topology="pair"),
    )
    assert "lab/isolation" in asked.by_id
    assert "lab/isolation" in stated.by_id
    assert "lab/isolation" not in up.plan(world.settings, Request(topology="pair")).by_id


def test_what_may_be_changed_is_to_be_proved_even_after_an_interruption(world: World) -> None:
    world.seen = Seen()
    world.failing = "east/create"
    folder = state.folder(world.settings, "pair")
    folder.write("verified", "as it was")
    with pytest.raises(ProvisionError):
        world.up()
    assert folder.read("verified") == ""
