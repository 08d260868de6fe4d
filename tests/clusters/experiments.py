"""Experiments as tests make them, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.degrade import faults
from lab.degrade.probers import NAMESPACE
from lab.workspace import Workspace
from tests.clusters.labs import Ran, invoke


def degrade(lab: Workspace, topology: str, *words: str, expect: int = 0) -> tuple[Ran, Path]:
    """An experiment, and the folder that its last line names."""
    ran = invoke("degrade", "-t", topology, "--profile", "quick", *words, name=lab.lab, expect=expect)
    return ran, Path(ran.out.splitlines()[-1])


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
