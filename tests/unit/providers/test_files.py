"""What providers write in a lab's folder: where it is looked for, and never half of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from lab import state
from lab.providers import files
from tests.unit.labs import settings


def test_a_kubeconfig_is_where_everybody_looks_for_it(tmp_path: Path) -> None:
    own = settings(tmp_path)
    assert files.kubeconfig(own, "pair", "east") == state.folder(own, "pair").kubeconfig("east")


def test_everything_in_a_kubeconfig_is_called_the_same() -> None:
    config = {
        "apiVersion": "v1",
        "clusters": [{"name": "kind-x", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "admin", "user": {"token": "t"}}],
        "contexts": [{"name": "kind-x", "context": {"cluster": "kind-x", "user": "admin", "namespace": "n"}}],
        "current-context": "kind-x",
    }
    assert files.renamed(config, "pair-east") == {
        "apiVersion": "v1",
        "clusters": [{"name": "pair-east", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "pair-east", "user": {"token": "t"}}],
        "contexts": [
            {
                "name": "pair-east",
                "context": {"cluster": "pair-east", "user": "pair-east", "namespace": "n"},
            }
        ],
        "current-context": "pair-east",
    }


def test_a_file_is_whole_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "east.yaml"
    files.write(path, {"first": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def cut_off(content: object, file: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(yaml, "safe_dump", cut_off)
    with pytest.raises(OSError, match="no space"):
        files.write(path, {"second": 2})
    assert yaml.safe_load(path.read_text()) == {"first": 1}
