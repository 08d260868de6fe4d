"""A node image as an archive: made once, kept for the newest images, and nothing else is left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.clients import docker
from lab.errors import ProvisionError
from lab.images.packed import packed
from tests.unit.labs import settings


class Engine:
    """Containers that pack: ``made`` are their images, ``there`` those that have not been removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.there: set[str] = set()
        self.fails = False
        self.out = Path()
        monkeypatch.setattr(docker, "run_container", self._run)
        monkeypatch.setattr(docker, "execute", self._execute)
        monkeypatch.setattr(docker, "remove_container", self.there.discard)

    def _run(self, image: str, *, volumes: Sequence[str], network: str, **_: Any) -> str:
        assert network == "none"
        self.out = Path(volumes[0].removesuffix(":/out"))
        self.made.append(image)
        self.there.add(image)
        return image

    def _execute(self, container: str, command: Sequence[str], *, input: str, timeout: float) -> str:
        assert input.startswith("#!/bin/sh\n# Runs in a container of a node image")
        if self.fails:
            raise ProvisionError("tar: no space left on device")
        (self.out / command[-1]).touch()
        return ""


def quiet(_: str) -> None: ...


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


def test_it_is_made_once(engine: Engine, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        target = packed("lab.local/node:1a", settings(tmp_path), say=said.append, cancelled=None)
    assert target == tmp_path / "cache" / "packed" / "1a.tar"
    assert target.exists()
    assert (engine.made, said) == (["lab.local/node:1a"], ["packing the node image"])
    assert engine.there == set()


def test_the_newest_stay(engine: Engine, tmp_path: Path) -> None:
    for number in range(3):
        target = packed(f"lab.local/node:{number}", settings(tmp_path), say=quiet, cancelled=None)
        os.utime(target, (number, number))
    packed("lab.local/node:3", settings(tmp_path), say=quiet, cancelled=None)
    assert sorted(path.name for path in target.parent.glob("*.tar")) == ["2.tar", "3.tar"]


def test_a_failure_leaves_no_container(engine: Engine, tmp_path: Path) -> None:
    engine.fails = True
    with pytest.raises(ProvisionError, match="no space left"):
        packed("lab.local/node:1a", settings(tmp_path), say=quiet, cancelled=None)
    assert engine.there == set()
