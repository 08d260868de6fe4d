"""What experiments put into clusters: known before it is there, and until it is gone, whoever comes next."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference, Refused, Unreachable
from lab.degrade import left as module
from lab.degrade.left import Left
from lab.errors import HostError
from lab.state import LabFolder
from tests.unit.platform.cluster import FakeKube

WORD = Reference("v1", "Secret", "shop", "word")
POD = Reference("v1", "Pod", "shop", "reader")


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    return LabFolder(tmp_path / "lab")


def kubes(**given: FakeKube) -> Mapping[str, Kube]:
    return {name: cast("Kube", kube) for name, kube in given.items()}


def test_what_is_added_is_there_for_the_next_command(folder: LabFolder) -> None:
    left = Left(folder)
    left.add("app1", [WORD, POD])
    left.add("app2", [WORD])
    assert left.clusters == Left(folder).clusters == ["app1", "app2"]


def test_it_is_removed_last_first_and_only_once(folder: LabFolder) -> None:
    left = Left(folder)
    left.add("app1", [WORD])
    left.add("app1", [POD, WORD])
    api = FakeKube()
    assert left.remove(kubes(app1=api, app2=FakeKube())) == {}
    assert api.done == ["remove Pod reader", "remove Secret word"]
    assert Left(folder).clusters == []
    assert left.remove(kubes(app1=api)) == {}
    assert len(api.done) == 2


def test_it_is_forgotten_when_it_is_gone_and_not_before(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeKube()
    api.lingering = ["word"]
    seen: list[list[str]] = []
    exists = FakeKube.exists

    def look(self: FakeKube, reference: Reference) -> bool:
        seen.append(Left(folder).clusters)
        return exists(self, reference)

    monkeypatch.setattr(FakeKube, "exists", look)
    Left(folder).add("app1", [WORD])
    assert Left(folder).remove(kubes(app1=api)) == {}
    assert seen == [["app1"], ["app1"]]
    assert Left(folder).clusters == []


def test_what_lies_in_a_cluster_that_is_away_stays_and_the_others_go(folder: LabFolder) -> None:
    left = Left(folder)
    for name in ("app1", "app2", "mgmt"):
        left.add(name, [WORD])
    away, there = FakeKube(), FakeKube()
    away.is_away = True
    [(name, why)] = left.remove(kubes(app1=away, app2=there), answers_within=0).items()
    assert (name, why) == (
        "app1",
        "the API server of app1 did not come within 0 s last seen: it is not ready",
    )
    # Of mgmt nobody was asked.
    assert Left(folder).clusters == ["app1", "mgmt"]
    assert there.done == ["remove Secret word"]


@pytest.mark.parametrize(
    "error", [Unreachable("no answer"), Refused("remove was refused", details="no", status=403)]
)
def test_what_cannot_be_removed_stays(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def remove(_: FakeKube, __: Reference) -> None:
        raise error

    monkeypatch.setattr(FakeKube, "remove", remove)
    left = Left(folder)
    left.add("app1", [WORD])
    assert list(left.remove(kubes(app1=FakeKube()))) == ["app1"]
    assert Left(folder).clusters == ["app1"]


def test_what_does_not_go_in_time_stays(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GONE_S", 0.0)
    monkeypatch.setattr(FakeKube, "exists", lambda _, reference: reference == WORD)
    left = Left(folder)
    left.add("app1", [POD, WORD])
    [why] = left.remove(kubes(app1=FakeKube())).values()
    assert why.endswith("last seen: Secret word is still there")
    assert Left(folder).clusters == ["app1"]


def test_a_cluster_can_be_forgotten_as_a_whole(folder: LabFolder) -> None:
    left = Left(folder)
    left.add("app1", [WORD, POD])
    left.add("app2", [WORD])
    left.forget("app1")
    left.forget("app2", [POD])
    assert Left(folder).clusters == ["app2"]


def test_threads_lose_nothing_of_one_another(folder: LabFolder) -> None:
    left = Left(folder)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(
            pool.map(lambda number: left.add(f"c{number}", [WORD]), range(40)),
        )
    assert len(Left(folder).clusters) == 40


def test_what_cannot_be_written_down_is_not_to_be_applied(folder: LabFolder, monkeypatch: Any) -> None:
    def write(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(LabFolder, "write", write)
    with pytest.raises(HostError) as refused:
        Left(folder).add("app1", [WORD])
    assert refused.value.brief == "what an experiment applies cannot be written down"
    assert refused.value.details == "no space left on device"
