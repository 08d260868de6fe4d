"""The door to Helm. A script stands in for it and writes down what it was given."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest

from lab.clients import process
from lab.clients.helm import Helm
from lab.errors import Interrupted

HELM = """\
#!/bin/sh
printf '%s\\n' "$@" >{folder}/arguments
env | grep -E 'HELM_|KUBECONFIG' | sort >{folder}/environment
cat >{folder}/values.json
{end}
"""

VALUES = {"tls": {"ca": {"key": "PRIVATE KEY OF THE MESH"}}, "cluster": {"id": 1}}


def helm(folder: Path, *, end: str = ":") -> Helm:
    binary = folder / "helm"
    binary.write_text(HELM.format(folder=folder, end=end))
    binary.chmod(0o755)
    return Helm(binary, folder / "east.yaml", folder / "home")


def upgrade(by: Helm, *, timeout: float = 30, cancelled: Event | None = None) -> None:
    by.upgrade(
        "cilium",
        Path("/charts/cilium"),
        namespace="kube-system",
        values=VALUES,
        labels={"lab-config": "0123", "other": "x"},
        timeout=timeout,
        cancelled=cancelled,
    )


def test_what_helm_is_asked_for(tmp_path: Path) -> None:
    upgrade(helm(tmp_path))
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "upgrade",
        "cilium",
        "/charts/cilium",
        "--install",
        "--namespace=kube-system",
        "--values=-",
        "--history-max=3",
        "--disable-openapi-validation",
        "--labels=lab-config=0123,other=x",
    ]


def test_values_come_by_stdin_and_no_other_way(tmp_path: Path) -> None:
    upgrade(helm(tmp_path))
    assert json.loads((tmp_path / "values.json").read_text()) == VALUES
    assert "PRIVATE" not in (tmp_path / "arguments").read_text()
    assert "PRIVATE" not in (tmp_path / "environment").read_text()


def test_the_users_own_helm_stays_out_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_CONFIG_HOME", "/home/user/.config/helm")
    monkeypatch.setenv("KUBECONFIG", "/home/user/.kube/config")
    upgrade(helm(tmp_path))
    assert (tmp_path / "environment").read_text().splitlines() == [
        f"HELM_CACHE_HOME={tmp_path}/home/cache",
        f"HELM_CONFIG_HOME={tmp_path}/home/config",
        f"HELM_DATA_HOME={tmp_path}/home/data",
        f"KUBECONFIG={tmp_path}/east.yaml",
    ]


def test_a_failure_tells_helms_words_and_no_values(tmp_path: Path) -> None:
    failing = helm(tmp_path, end="echo 'Error: chart not found' >&2; exit 1")
    with pytest.raises(process.CommandError) as failed:
        upgrade(failing)
    assert failed.value.brief == "helm failed with exit code 1"
    assert "Error: chart not found" in failed.value.details
    assert "PRIVATE" not in str(failed.value)


def test_it_ends_in_time_and_when_asked(tmp_path: Path) -> None:
    slow = helm(tmp_path, end="sleep 30")
    with pytest.raises(process.CommandError, match=r"helm did not end within 0\.3 s"):
        upgrade(slow, timeout=0.3)
    cancelled = Event()
    cancelled.set()
    with pytest.raises(Interrupted):
        upgrade(slow, cancelled=cancelled)


def test_a_release_of_others_keeps_its_values_and_its_history(tmp_path: Path) -> None:
    helm(tmp_path).upgrade(
        "cilium", Path("/chart"), namespace="x", values=VALUES, labels={"a": "b"}, timeout=30, reuse=True
    )
    asked = (tmp_path / "arguments").read_text().splitlines()
    assert {"--reuse-values", "--history-max=0"} <= set(asked)
    assert "--history-max=3" not in asked


def test_a_release_is_rolled_back_or_removed(tmp_path: Path) -> None:
    by = helm(tmp_path)
    by.rollback("cilium", 2, namespace="kube-system", timeout=30)
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "rollback",
        "cilium",
        "2",
        "--namespace=kube-system",
        "--history-max=0",
    ]
    by.uninstall("cilium", namespace="kube-system", timeout=30)
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "uninstall",
        "cilium",
        "--namespace=kube-system",
        "--ignore-not-found",
        "--wait",
        "--timeout=30s",
    ]
