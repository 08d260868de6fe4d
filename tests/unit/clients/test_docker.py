"""The door to the container engine, without one: what it says of failures, and how it reads answers.

A script stands in for the ``docker`` command. What the functions really do is shown against a real
engine, in tests/clusters/test_docker_door.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.clients import docker, docker_cli, docker_objects, process
from lab.errors import ProvisionError

FakeDocker = Callable[[str], Path]


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """Make ``docker`` a script of the given shell text; calls are kept in the file it returns."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"

    def install(text: str) -> Path:
        script = folder / "docker"
        script.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n{text}\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        # python-on-whales keeps the path of the command that it found first.
        docker._client.cache_clear()
        return calls

    return install


@pytest.fixture(autouse=True)
def fresh_client() -> Any:
    yield
    docker._client.cache_clear()


def test_importing_is_cheap() -> None:
    """python-on-whales takes a third of a second, also of ``./invoke --help``."""
    code = "import sys, lab.clients.docker; sys.exit('python_on_whales' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("act", [docker.engine, docker.containers, lambda: docker.start_container("x")])
def test_no_docker_command(
    act: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(docker.EngineUnreachable, match="no docker command was found") as absent:
        act()
    assert absent.value.reason is docker.Reason.ABSENT
    assert absent.value.exit_code == 3
    assert "apt" not in absent.value.brief
    assert "docs.docker.com" in absent.value.remedy


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?", "stopped"),
        ("error during connect: Get https://10.0.0.1:2376/info: dial tcp: i/o timeout", "stopped"),
        ("permission denied while trying to connect to the Docker daemon socket", "forbidden"),
    ],
)
@pytest.mark.parametrize("act", [docker.engine, lambda: docker.kill_container("x")])
def test_an_engine_that_does_not_answer(
    fake_docker: FakeDocker, act: Callable[[], object], stderr: str, reason: str
) -> None:
    fake_docker(f"echo '{stderr}' >&2; exit 1")
    with pytest.raises(docker.EngineUnreachable) as unreachable:
        act()
    assert unreachable.value.reason.value == reason
    assert unreachable.value.details == stderr
    assert unreachable.value.remedy


def test_an_old_client_puts_the_refusal_into_a_field(fake_docker: FakeDocker) -> None:
    info = json.dumps({"ServerErrors": ["Cannot connect to the Docker daemon at tcp://x."]})
    fake_docker(f"echo '{info}'")
    with pytest.raises(docker.EngineUnreachable) as unreachable:
        docker.engine()
    assert unreachable.value.reason is docker.Reason.STOPPED


def test_a_refusal_is_a_provision_error_with_the_engines_words(fake_docker: FakeDocker) -> None:
    fake_docker("echo 'Error response from daemon: no space left on device' >&2; exit 1")
    with pytest.raises(ProvisionError, match="docker unpause app1 failed") as refused:
        docker.unpause_container("app1")
    assert refused.value.details == "Error response from daemon: no space left on device"


def test_an_engine_that_hangs_is_left_alone_in_time(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker("sleep 5")
    started = time.monotonic()
    with pytest.raises(ProvisionError, match="docker probe did not end within"):
        docker._call("probe", lambda client: client.container.pause("x"), timeout=0.2)
    with pytest.raises(process.CommandError, match="did not end within"):
        docker.engine(timeout=0.2)
    assert time.monotonic() - started < 5


def test_many_threads_at_once(fake_docker: FakeDocker) -> None:
    calls = fake_docker('[ "$2" = ls ] && exit; true')
    names = [f"node-{number}" for number in range(16)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(docker.pause_container, names))
        assert list(pool.map(docker.container, names)) == [None] * 16
    paused = {line.split()[-1] for line in calls.read_text().splitlines() if "pause" in line}
    assert paused == set(names)


def test_what_vanishes_while_listing_is_listed_again(fake_docker: FakeDocker, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    inspected = json.dumps([{"Name": "kept", "Driver": "local", "Labels": None}])
    calls = fake_docker(
        f'if [ "$2" = ls ]; then echo kept; [ -e {gone} ] || echo vanishing; exit; fi\n'
        f"[ -e {gone} ] && echo '{inspected}' && exit\n"
        f"touch {gone}; echo 'Error: No such volume: vanishing' >&2; exit 1"
    )
    assert docker.volumes() == [docker.Volume(name="kept", driver="local", labels={})]
    assert len(calls.read_text().splitlines()) == 4


def test_what_is_listed_while_it_is_being_removed_is_left_out(fake_docker: FakeDocker) -> None:
    """Somebody else's container, which the engine names for as long as it takes to remove it."""
    inspected = json.dumps([{"Name": "kept", "Driver": "local", "Labels": None}])
    calls = fake_docker(
        'case "$*" in\n'
        "    *ls*) echo dying; echo kept ;;\n"
        "    *dying*) echo 'Error: No such volume: dying' >&2; exit 1 ;;\n"
        f"    *) echo '{inspected}' ;;\n"
        "esac"
    )
    assert [volume.name for volume in docker.volumes()] == ["kept"]
    assert len(calls.read_text().splitlines()) == 4


def test_a_listing_that_cannot_be_read_fails(fake_docker: FakeDocker) -> None:
    fake_docker('[ "$2" = ls ] && echo x && exit; echo "Error: broken" >&2; exit 1')
    with pytest.raises(process.CommandError, match="docker"):
        docker.networks()


def test_labels_become_filters(fake_docker: FakeDocker) -> None:
    calls = fake_docker("")
    assert docker.containers(labels={"lab/name": "one", "role": None}, all=False) == []
    assert docker.networks("lab/name=one") == []
    assert calls.read_text().splitlines() == [
        "container ls --quiet --no-trunc --filter=label=lab/name=one --filter=label=role",
        "network ls --quiet --no-trunc --filter=label=lab/name=one",
    ]


def test_secrets_are_in_no_argument(fake_docker: FakeDocker) -> None:
    calls = fake_docker('echo "$TOKEN"')
    assert docker.execute("c", ["x"], env={"TOKEN": "planted", "PATH": "/in"}) == "planted\n"
    assert docker.run_container("i", name="n", env={"TOKEN": "planted"}) == "planted"
    written = calls.read_text()
    assert "planted" not in written
    assert "exec --env=TOKEN --env=PATH=/in c x" in written


def test_names_are_quoted_in_patterns(fake_docker: FakeDocker) -> None:
    calls = fake_docker("")
    assert docker.container("a.b") is None
    assert r"--filter=name=^/?a\.b$" in calls.read_text()


def test_env_arguments_keep_what_the_client_would_heed() -> None:
    words, passed = docker_cli.env_arguments({"HOME": "/h", "DOCKER_HOST": "d", "SECRET": "s"})
    assert words == ["--env=HOME=/h", "--env=DOCKER_HOST=d", "--env=SECRET"]
    assert passed == {"SECRET": "s"}


def test_images_that_are_loaded(fake_docker: FakeDocker, tmp_path: Path) -> None:
    fake_docker('echo "Loaded image: a/b:1"; echo "Loaded image ID: sha256:12ab"')
    assert docker.load(tmp_path / "x.tar") == ["a/b:1", "sha256:12ab"]


def test_a_failed_save_leaves_nothing(fake_docker: FakeDocker, tmp_path: Path) -> None:
    fake_docker('touch "$3"; exit 1')
    with pytest.raises(process.CommandError):
        docker.save(["a:1"], tmp_path / "images.tar")
    assert [file.name for file in tmp_path.iterdir() if "tar" in file.name] == []


def test_an_image_that_is_not_there_is_none(fake_docker: FakeDocker) -> None:
    fake_docker("echo 'Error: No such image: x' >&2; exit 1")
    assert docker.image("x") is None
    docker.remove_image("x")
    fake_docker("echo 'Error response from daemon: i/o error' >&2; exit 1")
    with pytest.raises(process.CommandError):
        docker.image("x")


def test_container_as_inspected() -> None:
    container = docker_objects.container_from(
        {
            "Name": "/mgmt-control-plane",
            "Id": "abc",
            "Image": "sha256:1",
            "State": {"Status": "running", "StartedAt": "2026-11-21T09:00:00.123456789Z", "ExitCode": 0},
            "Config": {"Image": "node:1", "Labels": None, "Env": ["A=b=c", "EMPTY="]},
            "NetworkSettings": {"Networks": {"kind": {"IPAddress": "10.1.0.2"}, "down": {"IPAddress": ""}}},
        }
    )
    assert container.name == "mgmt-control-plane"
    assert container.running
    assert container.addresses == {"kind": "10.1.0.2"}
    assert container.env == {"A": "b=c", "EMPTY": ""}
    assert container.started_at == datetime(2026, 11, 21, 9, 0, 0, 123456, tzinfo=UTC)
    assert container.exit_code is None
    assert "b=c" not in repr(container)


@pytest.mark.parametrize(
    ("status", "started", "exit_code"),
    [
        ("created", "0001-01-01T00:00:00Z", None),
        ("exited", "2026-11-21T09:00:00Z", 137),
        ("paused", "2026-11-21T09:00:00Z", None),
    ],
)
def test_exit_code_is_of_an_end(status: str, started: str, exit_code: int | None) -> None:
    state = {"Status": status, "StartedAt": started, "ExitCode": 137 if status == "exited" else 0}
    container = docker_objects.container_from({"Name": "/c", "Id": "1", "State": state, "Config": {}})
    assert container.exit_code == exit_code


@pytest.mark.parametrize(
    ("driver", "options", "bridge"),
    [
        ("bridge", {"com.docker.network.bridge.name": "lab0"}, "lab0"),
        ("bridge", None, "br-0123456789ab"),
        ("host", {}, None),
    ],
)
def test_network_as_inspected(driver: str, options: dict[str, str] | None, bridge: str | None) -> None:
    ipam = {"Config": [{"Subnet": "10.1.0.0/24"}, {"Subnet": "fc00::/64"}]} if driver == "bridge" else {}
    network = docker_objects.network_from(
        {"Name": "n", "Id": "0123456789abcdef", "Driver": driver, "Options": options, "IPAM": ipam}
    )
    assert network.bridge == bridge
    assert network.subnets == (("10.1.0.0/24", "fc00::/64") if ipam else ())


def test_engine_of_an_old_version_tells_no_cgroup_version() -> None:
    engine = docker_objects.engine_from({"ServerVersion": "19.03", "SecurityOptions": ["name=rootless"]})
    assert engine.cgroup_version == "1"
    assert engine.rootless
