"""Each system is told what to do in its own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.host import remedies
from lab.host.facts import System
from lab.host.kernel import NEEDS
from tests.unit.host.hosts import SYSTEM

MACOS = replace(SYSTEM, name="darwin", id="macos", family=("macos",), systemd=False)
FEDORA = replace(SYSTEM, id="fedora", family=("fedora",))
ROCKY = replace(SYSTEM, id="rocky", family=("rocky", "rhel", "centos", "fedora"))
ARCH = replace(SYSTEM, id="arch", family=("arch",))
MINT = replace(SYSTEM, id="linuxmint", family=("linuxmint", "ubuntu", "debian"))
WSL = replace(SYSTEM, id="ubuntu", family=("ubuntu", "debian"), wsl=True, systemd=False)
OTHER = replace(SYSTEM, id="nixos", family=("nixos",), systemd=False)


@pytest.mark.parametrize(
    ("system", "word"),
    [
        (SYSTEM, "apt-get install docker.io"),
        (MINT, "apt-get install docker.io"),
        (FEDORA, "dnf install moby-engine"),
        (ROCKY, "dnf install"),
        (ARCH, "pacman -S docker"),
        (MACOS, "Docker Desktop"),
        (WSL, "WSL integration"),
        (OTHER, "docs.docker.com"),
    ],
)
def test_installing(system: System, word: str) -> None:
    assert word in remedies.install_engine(system)


@pytest.mark.parametrize(
    ("system", "word"),
    [(SYSTEM, "systemctl"), (MACOS, "open -a Docker"), (WSL, "service docker start"), (OTHER, "dockerd")],
)
def test_starting(system: System, word: str) -> None:
    assert word in remedies.start_engine(system)


@pytest.mark.parametrize(
    ("system", "here", "word"),
    [(SYSTEM, True, "suspend"), (MACOS, False, "Settings > Resources"), (WSL, True, ".wslconfig")],
)
def test_more_memory(system: System, word: str, *, here: bool) -> None:
    text = remedies.more(system, "memory", here=here)
    assert word in text
    assert "smaller topology" in text


def test_kernels() -> None:
    vxlan = next(need for need in NEEDS if need.name == "vxlan")
    assert "modprobe vxlan" in remedies.kernel(SYSTEM, vxlan)
    assert "linux-modules-extra-6.1.0" in remedies.kernel(MINT, vxlan)
    assert "wsl --update" in remedies.kernel(WSL, vxlan)
