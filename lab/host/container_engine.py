"""The container engine: whether it is there, and on Debian and Ubuntu, putting it there.

Everything looks first and can be done again. What the user has configured is kept: daemon.json is
merged into, a copy of what it was is left beside it, and an engine that already runs is told to
read it again, never restarted, since others may have containers on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from lab.clients import docker, process
from lab.clients.wait import wait_until
from lab.errors import HostError, ProvisionError
from lab.settings import Settings

ENGINE_PACKAGES = ("docker.io", "containerd", "runc")
"""Installed where there is no dockerd; ``docker.io`` is the engine's name in Debian and Ubuntu."""

TOOL_PACKAGES = {"iptables": "iptables", "jq": "jq"}
"""Package by the executable that tells that it is not needed: dockerd calls iptables, the runtime
shim jq."""

RUNTIME = "lab-runc"
"""Name of the shim among the engine's runtimes."""

SHIM = Path("/usr/local/lib/multicluster-lab/runc-shim.sh")
DAEMON_JSON = Path("/etc/docker/daemon.json")

_CAP_SYS_RESOURCE = 24
"""Its bit in a capability set (linux/capability.h)."""

_INSTALL_S = 900.0
_START_S = 90.0
_RELOAD_S = 15.0


class Condition(StrEnum):
    """What the engine is in."""

    ABSENT = "absent"
    STOPPED = "stopped"
    FORBIDDEN = "forbidden"
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """The engine's condition; ``engine`` is set while it is running."""

    condition: Condition
    engine: docker.Engine | None = None
    detail: str = ""

    @property
    def version(self) -> str | None:
        """The running engine's version."""
        return self.engine.version if self.engine else None


def look() -> EngineState:
    """The engine's condition now; changes nothing and raises nothing for an engine in trouble."""
    try:
        found = docker.engine(timeout=20)
    except docker.EngineUnreachable as error:
        condition = Condition(error.reason.value)
        # A docker command without an engine of this machine is half an installation.
        if condition is Condition.STOPPED and not has_engine() and _local_linux():
            condition = Condition.ABSENT
        return EngineState(condition=condition, detail=error.details)
    except ProvisionError as error:
        return EngineState(condition=Condition.STOPPED, detail=str(error))
    return EngineState(condition=Condition.RUNNING, engine=found)


def has_engine() -> bool:
    """Whether dockerd is installed on this machine."""
    return process.find("dockerd", path=system_path()) is not None


def has_systemd() -> bool:
    """Whether systemd is this machine's first process (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def shim_needed() -> bool:
    """Whether CAP_SYS_RESOURCE is missing from the bounding set, so that runc cannot grant it.

    Privileged containers, and so all of kind's nodes, then fail with "unable to apply caps".
    """
    bounding = bounding_set()
    return bounding is not None and not bounding >> _CAP_SYS_RESOURCE & 1


def bounding_set(status: Path = Path("/proc/self/status")) -> int | None:
    """The capability bounding set as a number, None where there is none (macOS)."""
    with contextlib.suppress(OSError):
        for line in status.read_text().splitlines():
            if line.startswith("CapBnd:"):
                return int(line.split()[1], 16)
    return None


def shim_script() -> str:
    """The runtime shim's text; node images carry the same file as /usr/local/sbin/runc."""
    return resources.files("lab.host").joinpath("runc-shim.sh").read_text(encoding="utf-8")


def shim_configured() -> bool:
    """Whether the shim of this version is installed and named in daemon.json."""
    try:
        config = json.loads(DAEMON_JSON.read_text())
        return SHIM.read_text() == shim_script() and config.get("default-runtime") == RUNTIME
    except (OSError, ValueError, AttributeError):
        return False


def set_up(
    settings: Settings,
    *,
    before_start: Callable[[], None] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> EngineState:
    """Install, configure and start the engine, as far as any of that is missing.

    ``before_start`` runs after the packages are there and before the engine is: the place for
    firewall rules that must precede containers which restart by themselves. ``on_line`` gets the
    package manager's output. Raises :class:`HostError` where only the user can do it (no root, no
    Debian), :class:`ProvisionError` when it was tried and failed.
    """
    if os.geteuid() != 0:
        raise HostError("the container engine can only be set up by root", remedy=INSTALL_REMEDY)
    install_packages(on_line=on_line)
    needs_shim = shim_needed()
    changed = install_shim() if needs_shim else False
    if before_start is not None:
        before_start()
    state = look()
    if state.engine is None:
        start(settings)
    elif needs_shim and (changed or state.engine.default_runtime != RUNTIME):
        reload()
    state = look()
    if state.engine is None:
        raise ProvisionError("the container engine was set up but does not answer", details=state.detail)
    return state


INSTALL_REMEDY = (
    "Debian, Ubuntu: sudo apt-get install docker.io. Fedora: sudo dnf install moby-engine. "
    "Arch: sudo pacman -S docker. Then: sudo systemctl enable --now docker. macOS, Windows: Docker Desktop "
    "(https://docs.docker.com/desktop/)."
)


def missing_packages() -> list[str]:
    """The Debian packages that this machine lacks, none of which replaces what is there."""
    engine = [] if has_engine() else list(ENGINE_PACKAGES)
    path = system_path()
    return engine + [package for package, tool in TOOL_PACKAGES.items() if not process.find(tool, path=path)]


def install_packages(*, on_line: Callable[[str], None] | None = None) -> None:
    """Install :func:`missing_packages` with apt-get. Raises :class:`HostError` where there is none."""
    if wanted := missing_packages():
        install(wanted, on_line=on_line)


def install(wanted: Sequence[str], *, on_line: Callable[[str], None] | None = None) -> None:
    """Install Debian's packages ``wanted``. Raises :class:`HostError` where there is no apt-get."""
    if process.find("apt-get") is None:
        raise HostError(
            f"{', '.join(wanted)}: missing, and this is not Debian or Ubuntu", remedy=INSTALL_REMEDY
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    # Another apt, such as unattended-upgrades after boot, holds the lock for minutes, not for ever.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-y"]
    process.run([*apt, "update"], timeout=_INSTALL_S, env=quiet, on_line=on_line)
    process.run(
        [*apt, "install", "--no-install-recommends", *wanted], timeout=_INSTALL_S, env=quiet, on_line=on_line
    )


def install_shim() -> bool:
    """Install the runtime shim and make it the default runtime; say whether anything changed."""
    text = shim_script()
    changed = not SHIM.exists() or SHIM.read_text() != text
    if changed:
        SHIM.parent.mkdir(parents=True, exist_ok=True)
        _replace(SHIM, text, mode=0o755)
    wanted = {"runtimes": {RUNTIME: {"path": str(SHIM)}}, "default-runtime": RUNTIME}
    return merge_daemon_json(wanted) or changed


def merge_daemon_json(wanted: Mapping[str, Any], *, path: Path = DAEMON_JSON) -> bool:
    """Put ``wanted`` into daemon.json, keeping every other key; say whether it changed.

    Objects are merged, other values replaced. The file as it was is kept beside it once, with the
    suffix ``.before-lab``. Raises :class:`HostError` when it is not a JSON object.
    """
    text = path.read_text() if path.exists() else ""
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise HostError(
            f"{path} is not JSON",
            details=str(error),
            remedy="Repair or remove it: dockerd cannot read it either.",
        ) from error
    if not isinstance(config, dict):
        raise HostError(f"{path} is not a JSON object", remedy="Repair or remove it.")
    merged = _merged(config, wanted)
    if merged == config:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    backup = path.with_name(path.name + ".before-lab")
    if text and not backup.exists():
        shutil.copy2(path, backup)
    _replace(path, json.dumps(merged, indent=2) + "\n", mode=0o644)
    return True


def start(settings: Settings) -> None:
    """Start the installed engine and wait until it answers, with systemd or without."""
    if has_systemd():
        process.run(["systemctl", "enable", "--now", "docker"], timeout=_START_S)
        hint = "Read: journalctl -u docker"
    else:
        log_file = settings.state / "host" / "dockerd.log"
        hint = f"Read the end of {log_file}"
        remove_stale_files()
        path = system_path()
        dockerd = process.find("dockerd", path=path)
        if dockerd is None:
            raise HostError("dockerd is not installed", remedy=INSTALL_REMEDY)
        # A root shell made by su has no sbin folders on its PATH, where dockerd looks for iptables.
        process.start_daemon(["env", f"PATH={path}", dockerd], log_file=log_file)
    wait_until("an answer of the container engine", _not_answering, timeout=_START_S, remedy=hint)


def _not_answering() -> str | None:
    state = look()
    return None if state.condition is Condition.RUNNING else state.detail or state.condition.value


def reload() -> None:
    """Have the running engine read daemon.json again: runtimes are among what it then takes over."""
    if has_systemd():
        process.run(["systemctl", "reload", "docker"])
    else:
        pid = _live_pid(Path("/var/run/docker.pid"), name="dockerd")
        if pid is None:
            raise ProvisionError("dockerd's process was not found", remedy="Restart the engine by hand.")
        os.kill(pid, signal.SIGHUP)

    def old_runtime() -> str | None:
        runtime = docker.engine().default_runtime
        return None if runtime == RUNTIME else f"its default runtime is {runtime}"

    wait_until(
        "the engine's new configuration",
        old_runtime,
        timeout=_RELOAD_S,
        remedy="Restart it when its containers allow: systemctl restart docker",
    )


def remove_stale_files(run: Path = Path("/var/run")) -> None:
    """Remove what a dockerd or containerd that died has left and that would stop the next one.

    dockerd refuses to start while *any* process has the id in its pid file, waits in vain for a
    containerd that a pid file promises, and dials a containerd whose socket nobody listens on.
    """
    dockerd = run / "docker.pid"
    if _live_pid(dockerd, name="dockerd") is None:
        dockerd.unlink(missing_ok=True)
    containerd = run / "docker/containerd/containerd.pid"
    listens = _listens(containerd.with_suffix(".sock"))
    if not listens or _live_pid(containerd, name="containerd") is None:
        containerd.unlink(missing_ok=True)
    sock = run / "containerd/containerd.sock"
    if sock.is_socket() and not _listens(sock):
        sock.unlink(missing_ok=True)


def _live_pid(pid_file: Path, *, name: str) -> int | None:
    """The process in ``pid_file``, provided that it lives and is called ``name``."""
    try:
        pid = int(pid_file.read_text())
        # proc(5): "PID (NAME) STATE ...". A zombie, which an init that does not reap leaves for ever,
        # is dead for everybody but dockerd.
        command, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(") ")
    except (OSError, ValueError):
        return None
    return pid if command == name and rest[:1] not in {"Z", "X"} else None


def _listens(sock: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        try:
            client.connect(str(sock))
        except OSError:
            return False
    return True


def system_path() -> str:
    """PATH with the folders of system programs, which a user's often lacks."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def _local_linux() -> bool:
    return sys.platform == "linux" and not os.environ.get("DOCKER_HOST")


def _merged(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for key, value in wanted.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _replace(path: Path, text: str, *, mode: int) -> None:
    """Write ``text`` to ``path`` in one step, so that no reader sees half of it."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)
