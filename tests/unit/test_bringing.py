"""``images --build``: this machine is looked at before anything is brought."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from lab import bringing
from lab.errors import HostError
from lab.host import builder
from lab.host.doctor import Check
from lab.plan.step import Step
from lab.supply import Supply
from tests.unit.labs import settings, topology

PROGRAM = Step("images/program/kind", "image-part", summary="build kind")


class _Supply:
    def __init__(self, folder: Path, *, is_built: bool = True, done: bool = False) -> None:
        self.settings, self.topology = settings(folder), topology("pair")
        self.is_built, self.left_out = is_built, dict[str, str]()
        self.done, self.brought = done, list[str]()

    def steps(self) -> tuple[Step, ...]:
        return (Step(PROGRAM.id, PROGRAM.kind, summary=PROGRAM.summary, done=self.done),)

    def bring(self, step: str, **_: object) -> None:
        self.brought.append(step)


def _bring(supply: _Supply) -> None:
    bringing.bring(cast("Supply", supply), arguments=" -t pair", assume_yes=False)


def test_a_machine_that_cannot_make_images_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Check(id="tool/cc", ok=False, found="not installed", needed="to make images", remedy="Do.")
    monkeypatch.setattr(builder, "examine", lambda: (lacking,))
    supply = _Supply(tmp_path)
    with pytest.raises(HostError, match="this host is not ready for the lab"):
        _bring(supply)
    assert supply.brought == []
    # What is pulled, or here already, needs nothing of this machine.
    _bring(pulled := _Supply(tmp_path, is_built=False))
    assert pulled.brought == [PROGRAM.id]
    _bring(_Supply(tmp_path, done=True))


def test_one_that_can_brings_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "examine", lambda: ())
    supply = _Supply(tmp_path)
    _bring(supply)
    assert supply.brought == [PROGRAM.id]
