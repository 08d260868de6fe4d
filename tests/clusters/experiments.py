"""Experiments as tests make them, and what they leave."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.clients.wait import wait_until
from lab.degrade import faults
from lab.degrade.probers import NAMESPACE
from lab.workspace import Workspace
from tests.clusters.labs import ISOLATED, Ran, invoke, started


def degrade(
    lab: Workspace, topology: str, *words: str, expect: int = 0, isolated: bool = ISOLATED
) -> tuple[Ran, Path]:
    """An experiment, and the folder that its last line names."""
    words = ("degrade", "-t", topology, "--profile", "quick", *words)
    ran = invoke(*words, name=lab.lab, expect=expect, isolated=isolated)
    return ran, Path(ran.out.splitlines()[-1])


@contextmanager
def broken(lab: Workspace, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A quick experiment on the pair while it is under way, from the moment that its fault was seen."""
    earlier = _histories(lab)

    def look() -> str | None:
        assert under_way.poll() is None, under_way.communicate()
        for history in _histories(lab) - earlier:
            text = history.read_text()
            if '"what":"seen"' in text and '"phase":"end"' not in text:
                return None
        return "the fault was not seen yet"

    with started(
        "degrade", "-t", "pair", "--name", lab.lab, "--profile", "quick", "--contract", "C1", *words
    ) as under_way:
        wait_until("the fault", look, timeout=120)
        yield under_way


def _histories(lab: Workspace) -> set[Path]:
    return set((lab.settings.state / "runs").glob("*/history.jsonl"))


def verdicts(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Every entry of an experiment's verdict.json, by contract."""
    return {each["id"]: each for each in json.loads((folder / "verdict.json").read_text())["contracts"]}


def require_whole(lab: Workspace) -> None:
    """Nothing is broken, and nothing of an experiment is left."""
    assert faults.owed(lab.folder) is None
    for kube in lab.kubes.values():
        assert NAMESPACE not in [each["metadata"]["name"] for each in kube.get("/api/v1/namespaces")["items"]]


def runs(lab: Workspace) -> list[Path]:
    """The folders of all experiments, oldest first."""
    return sorted((lab.settings.state / "runs").iterdir())
