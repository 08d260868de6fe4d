"""The phases of an experiment, in order, and the undoing, whatever happens. Nothing here is a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lab.catalog.contract import Contract
from lab.catalog.words import LabView
from lab.clients.kube_objects import Reference
from lab.degrade import experiment as module
from lab.degrade import probers
from lab.degrade.experiment import Experiment
from lab.degrade.faults import Fault, Kind
from lab.degrade.profiles import Profile
from lab.degrade.recorder import Recorder
from lab.degrade.sampler import Latest
from lab.degrade.scope import Case, Told
from lab.errors import ProvisionError
from lab.platform.steps import Attempted
from tests.unit import labs

TARGET = "lab/mgmt/api"
SHORT = Profile("short", baseline=0.05, hold=0.05, recover=0.6, settle=0.05)


class World:
    """What an experiment meets: a target that answers or not, and what was done to it, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.answers = True
        self.dies, self.returns, self.undoes = True, True, True
        self.asked = float("inf")
        self.keeps = ""
        self.sets_up = True
        self.on_halt: Callable[[], None] = lambda: None
        self.patience = 0.0


class Hand:
    """Does what a fault does, to the world."""

    world: World

    def __init__(self, _: object) -> None:
        pass

    def inject(self, fault: Fault, _: object) -> Fault:
        self.world.done.append("inject")
        self.world.answers = not self.world.dies
        self.world.on_halt()
        return fault

    def undo(self, _: Fault) -> None:
        self.world.done.append("undo")
        if not self.world.undoes:
            raise ProvisionError("the node does not start")
        self.world.answers = self.world.returns


class Samples:
    """Samples of one series, which fails when the target is away, or when it is told to."""

    world: World
    failing = ""
    acts_fail = False
    enough: Mapping[str, float | None] = {}

    def __init__(self, *_: object) -> None:
        self.lost: dict[str, int] = {}
        self.made: dict[str, int] = {}
        self.acts: dict[str, Attempted] = {}

    @property
    def latest(self) -> dict[str, Latest]:
        ok = self.world.answers
        return {TARGET: Latest(ok, self.world.asked, "" if ok else "refused")}

    def start(self, _: object) -> None:
        self.world.done.append("start")

    def watch_api(self, *_: object, every: float) -> None:
        pass

    def act(self, phase: str, *, started: float) -> list[Future[None]]:
        self.world.done.append(f"act {phase}")
        if self.acts_fail and phase == "baseline":
            self.acts["C9/app1/seed"] = Attempted(False, "no answer", 1.0)
        return []

    def endures(self, case: Case) -> float | None:
        return self.enough[case.cluster]

    def stop(self) -> None:
        self.world.done.append("stop")


class Left:
    """What is in the clusters."""

    world: World

    def __init__(self, _: object) -> None:
        self.there: list[str] = []

    def add(self, cluster: str, objects: list[Reference]) -> None:
        assert objects == [probers.ALL]
        self.world.done.append(f"note {cluster}")
        self.there.append(cluster)

    def remove(self, _: object, *, answers_within: float) -> dict[str, str]:
        self.world.done.append("clean up")
        self.world.patience = answers_within
        return {each: "no answer" for each in self.there if each == self.world.keeps}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(Hand, "world", made, raising=False)
    monkeypatch.setattr(Samples, "world", made, raising=False)
    monkeypatch.setattr(module, "Hand", Hand)
    monkeypatch.setattr(module, "Sampler", Samples)
    monkeypatch.setattr(Left, "world", made, raising=False)
    monkeypatch.setattr(module, "Left", Left)
    monkeypatch.setattr(module, "_CLEAN_FOR_S", 0.0)
    monkeypatch.setattr(module, "_CLEAN_S", 0.5)
    monkeypatch.setattr(module, "_SEEN_S", 0.5)

    def set_up(_: object, cluster: str, *__: object, **___: object) -> None:
        assert f"note {cluster}" in made.done, "it is written down first"
        if not made.sets_up:
            raise ProvisionError("the probers do not start")
        made.done.append("set up")

    monkeypatch.setattr(probers, "set_up", set_up)
    return made


def conduct(
    folder: Path,
    *,
    cancelled: Event | None = None,
    cases: tuple[Case, ...] = (),
    kind: Kind = "kill",
) -> tuple[list[dict[str, Any]], Exception | None]:
    """An experiment's history, and what it ended with."""
    error: Exception | None = None
    path = folder / "history.jsonl"
    with Recorder(path) as recorder:
        this = Experiment(
            labs.workspace(folder, "hub-spoke"),
            LabView("hub-spoke", (), b""),
            cases,
            Fault(kind, "mgmt", "r1"),
            None,
            SHORT,
            recorder,
            lambda _: None,
            cancelled or Event(),
        )
        try:
            this.run()
        except ProvisionError as raised:
            error = raised
    return [json.loads(line) for line in path.read_text().splitlines()], error


def told(history: list[dict[str, Any]], kind: str, key: str) -> list[str]:
    return [each[key] for each in history if each["kind"] == kind and key in each]


def test_every_phase_in_its_order(tmp_path: Path, world: World) -> None:
    history, error = conduct(tmp_path)
    assert error is None
    assert told(history, "phase", "phase") == ["baseline", "inject", "hold", "recover", "settle", "end"]
    assert told(history, "fault", "what") == ["injected", "seen", "undone"]
    assert told(history, "note", "text") == []
    assert [each for each in world.done if each != "set up" and not each.startswith("note ")] == [
        "start",
        "act baseline",
        "act inject",
        "inject",
        "act hold",
        "act recover",
        "undo",
        "act settle",
        "stop",
        "clean up",
    ]
    # Who answers is set up first everywhere.
    assert world.done[: world.done.index("start")].count("set up") == 3


def test_where_all_is_not_well_nothing_is_broken(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Samples, "acts_fail", True)
    history, _ = conduct(tmp_path)
    assert "inject" not in world.done
    [note] = [each for each in history if each["kind"] == "note"]
    assert note["code"] == "unclean"
    assert "nothing was broken: C9/app1/seed: no answer" in note["text"]
    assert world.done[-2:] == ["stop", "clean up"]


def test_that_an_outage_is_longer_than_something_endures_is_said_before(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_by = Told(Contract(id="C2", claim="c", away="mgmt", each=()), "x", {})
    cases = tuple(Case(told_by, name, "mgmt", (), ()) for name in ("app1", "app2", "app3"))
    monkeypatch.setattr(Samples, "enough", {"app1": 0.04, "app2": None, "app3": 7200.0})
    history, _ = conduct(tmp_path, cases=cases)
    kinds = [each.get("text") or each.get("phase") for each in history if each["kind"] in ("note", "phase")]
    assert kinds[:2] == ["C2/app1 endures an outage of 0 s; this one is to last 0.05 s", "baseline"]
    assert kinds[-1] == "end"


def test_a_fault_that_has_no_effect_is_undone_and_told(tmp_path: Path, world: World) -> None:
    world.dies = False
    history, _ = conduct(tmp_path)
    assert told(history, "note", "code") == ["not-seen"]
    assert world.done.count("undo") == 1
    assert told(history, "phase", "phase") == ["baseline", "inject", "recover", "end"]


def test_a_sample_from_before_the_fault_does_not_show_it(tmp_path: Path, world: World) -> None:
    world.asked = 0.0
    history, _ = conduct(tmp_path)
    [note, *_] = [each for each in history if each["kind"] == "note"]
    assert note["code"] == "not-seen"
    assert "mgmt was not asked since" in note["text"]


def test_ctrl_c_undoes_it(tmp_path: Path, world: World) -> None:
    cancelled = Event()
    world.on_halt = cancelled.set
    history, _ = conduct(tmp_path, cancelled=cancelled)
    assert told(history, "note", "code") == ["interrupted"]
    assert world.done.count("undo") == 1
    assert world.answers


def test_a_target_that_comes_back_is_waited_for_to_remove_what_is_there(tmp_path: Path, world: World) -> None:
    cancelled = Event()
    world.on_halt = cancelled.set
    world.returns = False
    conduct(tmp_path, cancelled=cancelled)
    assert world.done[-1] == "clean up"
    assert world.patience >= 60


def test_a_target_that_is_away_still_is_not_waited_for(tmp_path: Path, world: World) -> None:
    world.undoes = False
    conduct(tmp_path)
    assert world.done[-1] == "clean up"
    assert world.patience <= 10


def test_what_cannot_be_undone_is_an_error_and_a_note(tmp_path: Path, world: World) -> None:
    world.undoes = False
    history, error = conduct(tmp_path)
    assert error is not None
    assert "not-undone" in told(history, "note", "code")
    assert world.done[-2:] == ["stop", "clean up"]


def test_a_hub_that_does_not_come_back_is_told(tmp_path: Path, world: World) -> None:
    world.returns = False
    history, error = conduct(tmp_path)
    assert error is None
    [text] = told(history, "note", "text")
    assert text == "not all came back within 0.6 s: last seen: the API server of mgmt does not answer"
    assert told(history, "phase", "phase")[-2:] == ["settle", "end"]


def test_what_is_half_set_up_is_removed(tmp_path: Path, world: World) -> None:
    world.sets_up = False
    _, error = conduct(tmp_path)
    assert str(error) == "the probers do not start"
    assert world.done[-2:] == ["stop", "clean up"]


def test_what_cannot_be_removed_is_told(tmp_path: Path, world: World) -> None:
    world.keeps = "app1"
    history, error = conduct(tmp_path)
    assert error is None
    assert told(history, "note", "text") == ["not everything could be removed from app1: no answer"]


class Border:
    """The border of a cluster whose API server goes on answering; ``closes`` when it is isolated."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open, self.closes, self.opens = True, True, True

    def shut(self, _: object, cluster: str) -> str | None:
        if "undo" in self.world.done:
            self.open = self.opens
        return None if self.open else f"app1 does not reach {cluster}"

    def still_open(self, _: object, cluster: str) -> str | None:
        self.open = not self.closes
        return f"app1 still reaches {cluster}" if self.open else None


@pytest.fixture
def border(world: World, monkeypatch: pytest.MonkeyPatch) -> Border:
    made = Border(world)
    world.dies = False
    monkeypatch.setattr(module, "border", made)
    return made


def test_an_isolated_cluster_goes_on_answering_and_nothing_comes_across(
    tmp_path: Path, world: World, border: Border
) -> None:
    history, error = conduct(tmp_path, kind="isolate")
    assert error is None
    assert told(history, "note", "text") == []
    assert [each["detail"] for each in history if each["kind"] == "fault" and each["what"] == "seen"] == [
        "none of its pods reaches another cluster, or is reached"
    ]
    assert told(history, "phase", "phase") == ["baseline", "inject", "hold", "recover", "settle", "end"]


def test_a_policy_that_stops_nothing_is_told(tmp_path: Path, world: World, border: Border) -> None:
    border.closes = False
    history, _ = conduct(tmp_path, kind="isolate")
    [note] = [each for each in history if each["kind"] == "note"]
    assert (note["code"], "app1 still reaches mgmt" in note["text"]) == ("not-seen", True)
    assert world.done.count("undo") == 1


def test_where_nothing_came_across_before_nothing_is_broken(
    tmp_path: Path, world: World, border: Border
) -> None:
    border.open = False
    history, _ = conduct(tmp_path, kind="isolate")
    assert "inject" not in world.done
    [note] = [each for each in history if each["kind"] == "note"]
    assert (note["code"], "app1 does not reach mgmt" in note["text"]) == ("unclean", True)


def test_a_border_that_stays_shut_is_told(tmp_path: Path, world: World, border: Border) -> None:
    border.opens = False
    history, _ = conduct(tmp_path, kind="isolate")
    assert told(history, "note", "text") == [
        "not all came back within 0.6 s: last seen: app1 does not reach mgmt"
    ]
