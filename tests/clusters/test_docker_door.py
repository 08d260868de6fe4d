"""The door to the container engine, against a real engine and containers of one static busybox."""

from __future__ import annotations

import json
import os
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.clients import docker, process
from lab.errors import ProvisionError

pytestmark = pytest.mark.cluster

APPLETS = ("sh", "true", "sleep", "cat", "echo", "ls", "ping", "hostname", "grep", "env")


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"door-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def tiny(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of a statically linked busybox, from Debian's package of it."""
    folder = tmp_path_factory.mktemp("tiny")
    if process.find("apt-get") is None:
        pytest.skip("needs apt-get, to fetch busybox-static")
    # apt drops root for downloads, and then cannot write into a folder that is only ours.
    process.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "busybox-static"], cwd=folder)
    process.run(["dpkg-deb", "-x", next(folder.glob("*.deb")), folder / "package"])
    archive = folder / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(next((folder / "package").rglob("bin/busybox")), "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    name = f"{prefix}:1"
    process.run(["docker", "import", "--change", 'CMD ["sleep","600"]', archive, name])
    yield name
    docker.remove_image(name, force=True)


@pytest.fixture
def sleeper(tiny: str, prefix: str) -> Iterator[str]:
    name = f"{prefix}-{uuid.uuid4().hex[:4]}"
    docker.run_container(tiny, name=name, labels={"lab/name": prefix}, env={"COLOUR": "red"})
    yield name
    docker.remove_container(name)


def test_engine_describes_itself() -> None:
    engine = docker.engine()
    assert engine.version
    assert engine.cpus >= 1
    assert engine.memory_bytes > 0
    assert engine.cgroup_version in {"1", "2"}
    assert engine.default_runtime in engine.runtimes


def test_container_life(sleeper: str, tiny: str, prefix: str) -> None:
    found = docker.container(sleeper)
    assert found is not None
    assert (found.name, found.image, found.status, found.running) == (sleeper, tiny, "running", True)
    assert found.labels == {"lab/name": prefix}
    assert found.env["COLOUR"] == "red"
    assert found.started_at is not None
    assert found.exit_code is None
    assert found in docker.containers(labels={"lab/name": prefix})
    assert found in docker.containers(labels={"lab/name": None}, all=False)

    docker.pause_container(sleeper)
    assert docker.container(sleeper).status == "paused"  # type: ignore[union-attr]
    docker.unpause_container(sleeper)
    docker.kill_container(sleeper)
    ended = docker.container(found.id)
    assert ended is not None
    assert (ended.status, ended.exit_code) == ("exited", 137)
    docker.start_container(sleeper)
    docker.stop_container(sleeper, grace=0)
    docker.remove_container(sleeper)
    assert docker.container(sleeper) is None
    docker.remove_container(sleeper)


def test_a_name_is_matched_whole(sleeper: str) -> None:
    assert docker.container(sleeper[:-1]) is None


def test_execute_passes_stdin_and_environment(sleeper: str) -> None:
    assert docker.execute(sleeper, ["cat"], input=b"three\nlines\nhere") == "three\nlines\nhere"
    assert (
        docker.execute(sleeper, ["sh", "-c", 'echo "$TOKEN"'], env={"TOKEN": "two\nlines"}) == "two\nlines\n"
    )
    # PATH is the client's own as well: it must neither lose its own nor hand that on.
    assert docker.execute(sleeper, ["sh", "-c", "echo $PATH"], env={"PATH": "/bin:/x"}) == "/bin:/x\n"


def test_execute_reports_the_commands_failure(sleeper: str) -> None:
    with pytest.raises(process.CommandError) as failed:
        docker.execute(sleeper, ["sh", "-c", "echo no luck >&2; exit 7"])
    assert failed.value.exit_code_of_command == 7
    assert "no luck" in failed.value.details


def test_execute_ends_in_time(sleeper: str) -> None:
    started = time.monotonic()
    with pytest.raises(process.CommandError, match="did not end within 1 s"):
        docker.execute(sleeper, ["sleep", "60"], timeout=1)
    assert time.monotonic() - started < 20


def test_what_is_not_there_is_a_provision_error() -> None:
    with pytest.raises(ProvisionError, match="docker start no-such-container failed"):
        docker.start_container("no-such-container")
    assert docker.image("no-such-image:1") is None
    assert docker.images("no-such-image:*") == []


def test_foreground_container_returns_its_output(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text("hello\n")
    output = docker.run_container(
        tiny, command=["cat", "/in/greeting"], volumes=[f"{tmp_path}:/in:ro"], detach=False, remove=True
    )
    assert output == "hello"


def test_container_that_cannot_start_leaves_nothing(sleeper: str, tiny: str, prefix: str) -> None:
    name = f"{prefix}-broken"
    with pytest.raises(process.CommandError, match="exit code 127"):
        docker.run_container(tiny, name=name, command=["/no/such/program"])
    assert docker.container(name) is None
    with pytest.raises(process.CommandError, match="exit code 125"):
        docker.run_container(tiny, name=sleeper)
    assert docker.container(sleeper) is not None


def test_foreground_container_that_takes_too_long_is_removed(tiny: str, prefix: str) -> None:
    name = f"{prefix}-slow"
    with pytest.raises(process.CommandError, match="did not end within 2 s"):
        docker.run_container(tiny, name=name, command=["sleep", "60"], detach=False, timeout=2)
    assert docker.container(name) is None


def test_privileged_container_starts(tiny: str) -> None:
    """On a host without CAP_SYS_RESOURCE this is what needs the runtime shim."""
    docker.run_container(tiny, command=["true"], privileged=True, detach=False, remove=True)


def test_copy_and_commit(tiny: str, prefix: str, tmp_path: Path) -> None:
    sleeper = f"{prefix}-changed"
    docker.run_container(tiny, name=sleeper, stop_signal="SIGRTMIN+3")
    (tmp_path / "note").write_text("kept\n")
    docker.copy_to(sleeper, tmp_path / "note", "/note")
    committed = docker.commit(
        sleeper,
        tag=f"{prefix}-kept:1",
        entrypoint=["cat"],
        command=["/note"],
        labels={"made-by": 'a "test"'},
        changes=["ENV COLOUR=blue"],
    )
    try:
        config = json.loads(process.run(["docker", "image", "inspect", committed.id]).stdout)[0]["Config"]
        assert config["StopSignal"] == "SIGRTMIN+3"
        assert "COLOUR=blue" in config["Env"]
        assert committed.labels["made-by"] == 'a "test"'
        assert docker.run_container(committed.id, detach=False, remove=True) == "kept"
        archive = tmp_path / "image.tar"
        docker.tag(committed.id, f"{prefix}-again:1")
        docker.save([f"{prefix}-kept:1", f"{prefix}-again:1"], archive)
        docker.remove_container(sleeper)
        docker.remove_image(f"{prefix}-kept:1")
        docker.remove_image(f"{prefix}-again:1")
        assert docker.image(committed.id) is None
        assert sorted(docker.load(archive)) == [f"{prefix}-again:1", f"{prefix}-kept:1"]
        loaded = docker.image(f"{prefix}-kept:1")
        assert loaded is not None
        assert loaded.id == committed.id
        assert loaded.size_bytes > 0
        assert sorted(loaded.tags) == [f"{prefix}-again:1", f"{prefix}-kept:1"]
    finally:
        docker.remove_container(sleeper)
        docker.remove_image(f"{prefix}-kept:1")
        docker.remove_image(f"{prefix}-again:1")


def test_logs_are_both_streams(tiny: str, prefix: str) -> None:
    name = f"{prefix}-logs"
    docker.run_container(tiny, name=name, command=["sh", "-c", "echo out; echo err >&2"], detach=False)
    try:
        assert docker.logs(name) == "out\nerr\n"
        assert docker.logs(name, tail=0) == ""
    finally:
        docker.remove_container(name)


def test_networks_have_subnets_bridges_and_addresses(tiny: str, prefix: str) -> None:
    bridge = prefix[:15]
    made = docker.create_network(
        prefix, subnet="10.249.17.0/28", labels={"lab/name": prefix}, bridge=bridge, mtu=1400
    )
    name = f"{prefix}-networked"
    try:
        assert (made.subnets, made.bridge) == (("10.249.17.0/28",), bridge)
        assert made.labels == {"lab/name": prefix}
        assert docker.networks(f"lab/name={prefix}") == [made]
        with pytest.raises(ProvisionError, match="exists already"):
            docker.create_network(prefix, subnet="10.249.18.0/28", labels={})
        docker.run_container(tiny, name=name, network=prefix, address="10.249.17.9")
        assert docker.container(name).addresses == {prefix: "10.249.17.9"}  # type: ignore[union-attr]
        with pytest.raises(ProvisionError, match="network rm"):
            docker.remove_network(prefix)
    finally:
        docker.remove_container(name)
        docker.remove_network(prefix)
    docker.remove_network(prefix)


def test_volumes_are_found_by_label(prefix: str) -> None:
    process.run(["docker", "volume", "create", "--label", f"lab/name={prefix}", prefix])
    assert [volume.name for volume in docker.volumes(f"lab/name={prefix}")] == [prefix]
    docker.remove_volume(prefix)
    assert docker.volumes(f"lab/name={prefix}") == []
    docker.remove_volume(prefix)


@pytest.mark.skipif(os.geteuid() != 0, reason="firewall rules need root")
def test_isolated_bridge_keeps_its_packets(tiny: str, prefix: str) -> None:
    """Within the bridge everything passes, nothing passes to another bridge of the same host."""
    from lab.host import sandbox

    if not sandbox.available():
        pytest.skip("needs iptables")
    bridges = (f"{prefix}-a"[:15], f"{prefix}-b"[:15])
    subnets = ("10.249.17.16/28", "10.249.17.32/28")
    inside = [f"{prefix}-inside-{number}" for number in (1, 2)]
    try:
        sandbox.isolate(bridges[0], lab=prefix)
        sandbox.isolate(bridges[0], lab=prefix)
        for bridge, subnet in zip(bridges, subnets, strict=True):
            docker.create_network(bridge, subnet=subnet, labels={"lab/name": prefix}, bridge=bridge)
        assert sandbox.isolation(prefix)
        for name, address in zip(inside, ("10.249.17.20", "10.249.17.21"), strict=True):
            docker.run_container(tiny, name=name, network=bridges[0], address=address, privileged=True)
        docker.execute(inside[0], ["ping", "-c", "1", "-W", "3", "10.249.17.21"])
        with pytest.raises(process.CommandError):
            docker.execute(inside[0], ["ping", "-c", "1", "-W", "3", "10.249.17.36"])
        listed = process.run(["iptables", "-w", "30", "-nvL", sandbox.CHAIN]).stdout
        ours = [line for line in listed.splitlines() if f"lab/name={prefix} " in line]
        assert len(ours) == 1
    finally:
        for name in inside:
            docker.remove_container(name)
        for bridge in bridges:
            docker.remove_network(bridge)
        sandbox.release(prefix)
    assert not sandbox.isolation(prefix)
    sandbox.release(prefix)
