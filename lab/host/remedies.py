"""What to do about it: one text for each thing that a host can lack, in its own system's words."""

from __future__ import annotations

from typing import Final

from lab.host.facts import System
from lab.host.kernel import Need

ENGINE_GROUP: Final = (
    "Join the engine's group, then log in again: sudo usermod -aG docker $USER. (Whoever is in it has the "
    "rights of root.)"
)

ROOTLESS: Final = (
    "Cilium loads BPF programs and mounts file systems on the host, which a rootless engine may not. Use the "
    "rootful one: docker context use default"
)

ENGINE_INIT: Final = (
    'Remove "init" from /etc/docker/daemon.json and restart Docker: nodes bring an init of their own, which '
    "must be their first process (https://kind.sigs.k8s.io/docs/user/known-issues/)."
)

VFS: Final = (
    'Set "storage-driver" to overlay2 in /etc/docker/daemon.json where the file system allows it, or expect '
    "several times the disk space."
)

SNAP: Final = (
    "The snap can read neither hidden folders nor /tmp. If images fail to load, use Docker's own packages "
    "(sudo snap remove docker && sudo apt-get install docker.io), or set TMPDIR to a folder in your home."
)

ENGINE_DISK: Final = (
    "Free some: 'docker system df' shows what the engine holds. Or move its data-root to a larger disk."
)

CACHE_DISK: Final = "Free some, or set LAB_CACHE to a folder on a larger disk."

INOTIFY: Final = (
    "sudo sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288; and the same two "
    "lines in a file of /etc/sysctl.d, for after the next reboot."
)

CGROUP_V1: Final = (
    "Nothing to do: the lab's kubelets are given failCgroupV1=false, without which 1.35 and later refuse to "
    "start on it. The kernel parameter systemd.unified_cgroup_hierarchy=1 would switch to version 2."
)

UNPRIVILEGED: Final = (
    "This looks like a container without privileges. Run on the machine itself, or give the container "
    "--privileged."
)

SHIM: Final = (
    "As root: './invoke up --yes' puts a small script in front of runc which drops that capability from what "
    "containers ask for, and names it in /etc/docker/daemon.json."
)

CLOCK: Final = "Set it: sudo timedatectl set-ntp true. In WSL2: sudo hwclock -s"

PORTS: Final = "End what listens there (sudo ss -ltnp names it), or change the ports in the topology."

ADDRESSES: Final = "Change the addresses in the topology, or leave them out: the lab then finds free ones."

_FEDORA: Final = frozenset({"fedora", "rhel", "centos"})
_DEBIAN: Final = frozenset({"debian", "ubuntu"})


def install_engine(system: System) -> str:
    """How to install, or bring up to date, Docker Engine."""
    if system.name == "darwin":
        return "Install Docker Desktop (https://docs.docker.com/desktop/) and start it: open -a Docker"
    if system.wsl:
        return (
            "In Docker Desktop on Windows, switch on Settings > Resources > WSL integration for this "
            "distribution. Or install Docker Engine in it: sudo apt-get install docker.io"
        )
    family = set(system.family)
    if family & _DEBIAN:
        return "As root, './invoke up --yes' installs it. By hand: sudo apt-get install docker.io"
    if family & _FEDORA:
        return "sudo dnf install moby-engine && sudo systemctl enable --now docker"
    if "arch" in family:
        return "sudo pacman -S docker && sudo systemctl enable --now docker"
    return "Install Docker Engine: https://docs.docker.com/engine/install/"


def start_engine(system: System) -> str:
    """How to start an engine that is installed."""
    if system.name == "darwin":
        return "Start Docker Desktop: open -a Docker"
    if system.systemd:
        return "sudo systemctl enable --now docker; if that fails: journalctl -u docker"
    if system.wsl:
        return "Start Docker Desktop on Windows, or in this distribution: sudo service docker start"
    return "As root, './invoke up --yes' starts it. By hand: sudo dockerd"


def more(system: System, what: str, *, here: bool) -> str:
    """How to come by more memory or CPUs."""
    smaller = "Or take a smaller topology ('./invoke plan -t pair' shows what it needs), or some with --only."
    if system.wsl:
        return f"Give WSL more {what}: [wsl2] in %UserProfile%\\.wslconfig, then wsl --shutdown. {smaller}"
    if not here:
        return f"Give Docker Desktop more {what}: Settings > Resources. {smaller}"
    return f"Stop something, './invoke suspend' another lab, or use a larger machine. {smaller}"


def kernel(system: System, need: Need) -> str:
    """What to do about a kernel that lacks ``need``."""
    if not need.required:
        return f"Nothing to do, unless you need {need.what_for}: CONFIG_{need.option} in the kernel."
    if system.wsl:
        return f"Update WSL's kernel, which lacks CONFIG_{need.option}: wsl --update"
    extra = ""
    if "ubuntu" in system.family and need.module:
        extra = f" On Ubuntu it may be in: sudo apt-get install linux-modules-extra-{system.kernel}."
    load = f" If it is built as a module: sudo modprobe {need.module}." if need.module else ""
    return f"This kernel cannot carry the lab: it needs CONFIG_{need.option}.{load}{extra}"
