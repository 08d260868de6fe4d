"""Hosts that are made up, judged for machines of Multipass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.clients import multipass
from lab.errors import DaemonUnreachable, HostError, ProvisionError
from lab.host import machines
from lab.host.doctor import Check
from lab.host.facts import Disk
from lab.host.machines import MachineFacts
from lab.plan.step import Budget
from tests.unit.host.hosts import GIB, SOUND

NEEDED = Budget(memory_mib=24 * 1024, disk_mib=60 * 1024, cpus=2)
NOTHING = Budget(memory_mib=0, disk_mib=0, cpus=0)
GOOD = MachineFacts(
    system=SOUND.system,
    version="1.16.1+mac",
    driver="qemu",
    image_there=True,
    bridges=("mpqemubr0",),
    memory_available_bytes=32 * GIB,
    disk=Disk(path=Path("/var/snap/multipass/common"), free_bytes=100 * GIB, total_bytes=200 * GIB, device=1),
)


def checks(found: MachineFacts) -> dict[str, Check]:
    return {check.id: check for check in machines.examine(found, image="24.04", needed=NEEDED)}


def test_a_host_that_has_everything() -> None:
    found = checks(GOOD)
    assert list(found) == [
        "multipass",
        "multipass/driver",
        "multipass/image",
        "multipass/bridge",
        "multipass/memory",
        "multipass/disk",
    ]
    assert all(check.ok and not check.remedy for check in found.values())


@pytest.mark.parametrize(
    ("change", "id", "found", "remedy"),
    [
        ({"version": "1.13.1"}, "multipass", "1.13.1", multipass.INSTALL),
        ({"driver": "virtualbox"}, "multipass/driver", "virtualbox", "local.driver=qemu"),
        ({"image_there": False}, "multipass/image", "24.04 not found", "cloud-images.ubuntu.com"),
        ({"bridges": ()}, "multipass/bridge", "none", "sudo snap restart multipass"),
        ({"memory_available_bytes": GIB}, "multipass/memory", "1024 MiB free", "multipass: {memory: 3G}"),
        (
            {"disk": replace(GOOD.disk, free_bytes=GIB)},
            "multipass/disk",
            "1024 MiB free at /var/snap/multipass/common",
            "multipass purge",
        ),
    ],
)
def test_one_thing_that_is_lacking(change: dict[str, object], id: str, found: str, remedy: str) -> None:
    [failed] = [check for check in checks(replace(GOOD, **change)).values() if not check.ok]  # type: ignore[arg-type]
    assert (failed.id, failed.found) == (id, found)
    assert remedy in failed.remedy


def test_where_virtualisation_is_not_seen_that_is_advice() -> None:
    check = checks(replace(GOOD, accelerated=False))["multipass/driver"]
    assert (check.ok, check.found) == (True, "qemu, without /dev/kvm")
    assert check.remedy == multipass.VIRTUALISATION


def test_where_nothing_is_to_be_made_no_image_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipass, "version", lambda: "1.16.1")
    monkeypatch.setattr(multipass, "driver", lambda: "qemu")
    monkeypatch.setattr(multipass, "images", lambda _: pytest.fail("nobody is to be asked"))
    found = machines.examine(machines.observe(""), image="24.04", needed=NOTHING)
    assert "multipass/image" not in {check.id for check in found}


def test_on_macos_bridges_come_with_machines() -> None:
    check = checks(replace(GOOD, bridges=None))["multipass/bridge"]
    assert (check.ok, check.found) == (True, "made with the first machine")


def test_without_a_daemon_only_the_disk_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = DaemonUnreachable("Multipass' daemon does not answer", remedy=multipass.START_DAEMON)
    monkeypatch.setattr(multipass, "version", lambda: _raise(trouble))
    found = machines.examine(machines.observe("24.04"), image="24.04", needed=replace(NEEDED, disk_mib=0))
    assert [check.id for check in found] == ["multipass", "multipass/disk"]
    assert (found[0].ok, found[0].found, found[0].remedy) == (False, trouble.brief, trouble.remedy)


def test_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipass, "version", lambda: "1.16.1")
    monkeypatch.setattr(multipass, "driver", lambda: "qemu")
    monkeypatch.setattr(multipass, "images", lambda _: _raise(ProvisionError("unable to find an image")))
    found = machines.observe("24.04")
    assert (found.version, found.driver, found.image_there, found.trouble) == ("1.16.1", "qemu", False, None)
    assert found.memory_available_bytes > 0
    assert found.disk.free_bytes > 0


def _raise(error: HostError | ProvisionError) -> str:
    raise error
