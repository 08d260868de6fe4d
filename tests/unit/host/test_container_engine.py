"""The engine's configuration and what a dead one leaves, in folders of the test's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab import settings
from lab.clients import docker
from lab.clients.wait import wait_until
from lab.errors import HostError, ProvisionError
from lab.host import container_engine
from lab.host.container_engine import Condition, EngineState
from tests.unit.host.hosts import ENGINE


def test_daemon_json_is_made(tmp_path: Path) -> None:
    file = tmp_path / "docker" / "daemon.json"
    assert container_engine.merge_daemon_json({"a": {"b": 1}}, path=file)
    assert json.loads(file.read_text()) == {"a": {"b": 1}}
    assert [each.name for each in file.parent.iterdir()] == ["daemon.json"]


def test_daemon_json_keeps_what_the_user_wrote(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    original = '{"data-root": "/big", "runtimes": {"nvidia": {"path": "n"}, "ours": {"path": "old"}}}'
    file.write_text(original)
    wanted = {"runtimes": {"ours": {"path": "new"}}, "default-runtime": "ours"}
    assert container_engine.merge_daemon_json(wanted, path=file)
    assert json.loads(file.read_text()) == {
        "data-root": "/big",
        "runtimes": {"nvidia": {"path": "n"}, "ours": {"path": "new"}},
        "default-runtime": "ours",
    }
    backup = file.with_name("daemon.json.before-lab")
    assert backup.read_text() == original
    assert not container_engine.merge_daemon_json(wanted, path=file)
    # The copy is of what the user had, not of what we made of it.
    assert container_engine.merge_daemon_json({"debug": True}, path=file)
    assert backup.read_text() == original


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_broken_daemon_json_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    with pytest.raises(HostError, match="is not") as broken:
        container_engine.merge_daemon_json({"a": 1}, path=file)
    assert "Repair or remove it" in broken.value.remedy
    assert file.read_text() == text


def test_an_empty_daemon_json_is_none(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text("\n")
    assert container_engine.merge_daemon_json({"a": 1}, path=file)
    assert json.loads(file.read_text()) == {"a": 1}


def test_stale_files_go(tmp_path: Path) -> None:
    """A pid that is another program's by now, and a socket that nobody listens on."""
    (tmp_path / "docker/containerd").mkdir(parents=True)
    (tmp_path / "containerd").mkdir()
    pid, containerd_pid = tmp_path / "docker.pid", tmp_path / "docker/containerd/containerd.pid"
    pid.write_text(str(os.getpid()))
    containerd_pid.write_text("not a number")
    sock = tmp_path / "containerd/containerd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sock))
    container_engine.remove_stale_files(tmp_path)
    assert not pid.exists()
    assert not containerd_pid.exists()
    assert not sock.exists()
    container_engine.remove_stale_files(tmp_path)


def test_live_files_stay(tmp_path: Path) -> None:
    (tmp_path / "containerd").mkdir()
    sock = tmp_path / "containerd/containerd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sock))
        server.listen()
        container_engine.remove_stale_files(tmp_path)
        assert sock.exists()
    (tmp_path / "docker.pid").write_text(str(os.getpid()))
    name = Path("/proc/self/comm").read_text().strip()
    assert container_engine._live_pid(tmp_path / "docker.pid", name=name) == os.getpid()


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as child:
        stat = Path(f"/proc/{child.pid}/stat")
        wait_until(
            "the zombie", lambda: None if ") Z " in stat.read_text() else "alive", timeout=10, every=0.01
        )
        (tmp_path / "pid").write_text(str(child.pid))
        assert container_engine._live_pid(tmp_path / "pid", name="true") is None


def test_a_containerd_that_does_not_listen_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "docker/containerd"
    folder.mkdir(parents=True)
    (folder / "containerd.pid").write_text(str(os.getpid()))
    container_engine.remove_stale_files(tmp_path)
    assert not (folder / "containerd.pid").exists()


def test_bounding_set(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\n")
    assert container_engine.bounding_set(status) == 0x1FFFEFFFFFF
    assert container_engine.bounding_set(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("bounding", "needed"), [(0x1FFFEFFFFFF, True), (0x1FFFFFFFFFF, False), (None, False)]
)
def test_shim_is_needed_without_sys_resource(
    monkeypatch: pytest.MonkeyPatch, bounding: int | None, *, needed: bool
) -> None:
    monkeypatch.setattr(container_engine, "bounding_set", lambda: bounding)
    assert container_engine.shim_needed() is needed


@pytest.mark.parametrize(
    ("reason", "installed", "condition"),
    [
        (docker.Reason.ABSENT, False, Condition.ABSENT),
        (docker.Reason.STOPPED, False, Condition.ABSENT),
        (docker.Reason.STOPPED, True, Condition.STOPPED),
        (docker.Reason.FORBIDDEN, True, Condition.FORBIDDEN),
    ],
)
def test_condition_of_an_engine_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, reason: docker.Reason, *, installed: bool, condition: Condition
) -> None:
    def refuse(*, timeout: float) -> docker.Engine:
        raise docker.EngineUnreachable(reason, details=f"within {timeout}")

    monkeypatch.setattr(docker, "engine", refuse)
    monkeypatch.setattr(container_engine, "has_engine", lambda: installed)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    state = container_engine.look()
    assert state.condition is condition
    assert state.version is None
    assert "within" in state.detail


def test_an_engine_that_hangs_counts_as_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*, timeout: float) -> docker.Engine:
        raise ProvisionError(f"docker info did not end within {timeout:.0f} s")

    monkeypatch.setattr(docker, "engine", hang)
    assert container_engine.look().condition is Condition.STOPPED


def test_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"jq"}
    monkeypatch.setattr(
        "lab.clients.process.find", lambda tool, *, path=None: Path("/bin", tool) if tool in there else None
    )
    assert container_engine.missing_packages() == [
        "docker.io",
        "containerd",
        "runc",
        "iptables",
    ]
    there |= {"dockerd", "iptables"}
    assert container_engine.missing_packages() == []


def test_only_root_sets_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only be set up by root") as refused:
        container_engine.set_up(settings.from_environment())
    assert "Fedora" in refused.value.remedy


@pytest.mark.parametrize(
    ("running", "shim", "changed", "runtime", "expected"),
    [
        (False, True, True, "lab-runc", ["packages", "shim", "before start", "start"]),
        (False, False, False, "runc", ["packages", "before start", "start"]),
        (True, True, True, "lab-runc", ["packages", "shim", "before start", "reload"]),
        # Configured earlier, and the engine was never told.
        (True, True, False, "runc", ["packages", "shim", "before start", "reload"]),
        (True, True, False, "lab-runc", ["packages", "shim", "before start"]),
        (True, False, False, "runc", ["packages", "before start"]),
    ],
)
def test_setting_up_does_what_is_missing_in_order(
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    expected: list[str],
    *,
    running: bool,
    shim: bool,
    changed: bool,
) -> None:
    done: list[str] = []
    up = EngineState(condition=Condition.RUNNING, engine=replace(ENGINE, default_runtime=runtime))

    def look() -> EngineState:
        return up if running or "start" in done else EngineState(condition=Condition.STOPPED)

    def install_shim() -> bool:
        done.append("shim")
        return changed

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(container_engine, "look", look)
    monkeypatch.setattr(container_engine, "shim_needed", lambda: shim)
    monkeypatch.setattr(container_engine, "install_shim", install_shim)
    monkeypatch.setattr(container_engine, "install_packages", lambda *, on_line: done.append("packages"))
    monkeypatch.setattr(container_engine, "start", lambda _settings: done.append("start"))
    monkeypatch.setattr(container_engine, "reload", lambda: done.append("reload"))
    state = container_engine.set_up(
        settings.from_environment(), before_start=lambda: done.append("before start")
    )
    assert state is up
    assert done == expected
