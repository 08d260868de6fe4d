"""The only door to Multipass: its command line, as documented, and nothing that is not.

Options, output and exit codes: https://documentation.ubuntu.com/multipass/latest/reference/command-line-interface/
(1: a wrong command line, 2: the command failed, 3: no daemon, 5: ``--timeout`` ran out; ``exec`` gives the
inner command's own). Files go in through stdin: the snap sees neither hidden folders nor /tmp
(canonical/multipass#1795). ``tests/multipass/expected.yaml`` lists every command line that is built here.

Every function may be called from several threads. ``timeout`` is in seconds everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Any

from lab.clients import process
from lab.clients.process import DEFAULT_TIMEOUT_S, CommandError
from lab.errors import DaemonUnreachable, HostError, ProvisionError

PROGRAM = "multipass"

INSTALL = (
    "Install it: sudo snap install multipass, on macOS brew install --cask multipass "
    "(https://documentation.ubuntu.com/multipass/latest/how-to-guides/install-multipass/)."
)
START_DAEMON = (
    "Start it: sudo snap start multipass, on macOS "
    "sudo launchctl kickstart -k system/com.canonical.multipassd"
)

_DAEMON_FAILED = 3
_TIMED_OUT = 5

_GRACE_S = 30.0
"""Multipass gets this much longer than its own ``--timeout``, to say itself what it waited for."""

_STOP_S = 300.0 + _GRACE_S
"""Multipass' own limit for shutting a machine down or suspending it is 300 s (constants.h)."""

_LESS_MEMORY = "Give the machines less memory (multipass: {memory: ...}), or stop something."

VIRTUALISATION = "Switch virtualisation on in the firmware, or take a machine that lets guests have /dev/kvm."

_REMEDIES: Mapping[str, str] = {
    "kvm support is not enabled": VIRTUALISATION,
    "already exists": "Give the lab another name (--name NAME), or remove that machine: multipass delete.",
    "unable to find an image": "multipass find lists them; without a network, those launched before.",
    "unknown or unreachable": "Multipass fetches its image once: look at the network, restart its daemon.",
    "cannot allocate memory": _LESS_MEMORY,
    "not enough memory": _LESS_MEMORY,
    "below minimum for this image": "Give the machines a larger disk (multipass: {disk: 20G}), or free some.",
    "timed out waiting": "Look at multipass list: on a slow or busy host, each machine needs minutes.",
}
"""What Multipass says when a machine cannot be made, and what to do. Its texts: src/daemon/daemon.cpp,
src/client/cli/cmd/launch.cpp, src/platform/backends/shared/linux/backend_utils.cpp, and the issues 1312, 3345
and 3536 of canonical/multipass."""


@dataclass(frozen=True)
class Machine:
    """A virtual machine, as ``multipass list`` tells of it."""

    name: str
    state: str
    """``Running``, ``Stopped``, ``Suspended``, ``Deleted``, ... (docs: reference/instance-states)."""

    address: str
    """Where the host reaches it; empty while it does not run. Later ones in the list are pods' and mesh's."""


def machines() -> dict[str, Machine]:
    """All machines by name, whoever made them."""
    return {
        each["name"]: Machine(each["name"], each["state"], next(filter(_is_address, each["ipv4"]), ""))
        for each in _json("list")["list"]
    }


def memory(names: Sequence[str]) -> dict[str, int]:
    """Bytes in use in each of the running machines ``names``, page cache left out."""
    found = _json("info", *names)["info"] if names else {}
    return {name: each.get("memory", {}).get("used", 0) for name, each in found.items()}


def launch(
    name: str,
    *,
    image: str,
    cpus: int,
    memory: str,
    disk: str,
    user_data: str,
    timeout: float,
    cancelled: Event | None = None,
) -> None:
    """Make and start a machine; returns when cloud-init has ended in it, well or not.

    Raises :class:`ProvisionError`, with what Multipass said and what to do. The machine may then be there.
    """
    # Newer ones spread machines over zones, each with a bridge of its own; nodes must share one.
    zone = ("--zone", "zone1") if _has("launch", "--zone") else ()
    sizes = ("--cpus", str(cpus), "--memory", memory, "--disk", disk)
    how = ("--timeout", str(int(timeout)), "--cloud-init", "-")
    _run(
        "launch",
        *("--name", name, *sizes, *zone, *how, image),
        what=f"multipass launch {name}",
        input=user_data,
        timeout=timeout + _GRACE_S,
        cancelled=cancelled,
    )


def execute(
    name: str,
    command: Sequence[str],
    *,
    what: str = "",
    input: str | IO[bytes] | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    cancelled: Event | None = None,
) -> str:
    """Run ``command`` as root in a running machine; return its stdout.

    Raises :class:`CommandError` with its exit code, in which it is called ``what``. A machine that does not
    run is left so: by itself, ``exec`` would start it, and undo what an experiment has just done to it.
    """
    state = found.state if (found := machines().get(name)) else "not there"
    if state != "Running":
        raise ProvisionError(f"{name} does not run: it is {state}")
    words = ("exec", name, "--no-map-working-directory", "--", "sudo", *command)
    told = f"{what or command[0]} in {name}"
    return _run(*words, what=told, input=input, timeout=timeout, cancelled=cancelled)


def transfer(source: Path, name: str, target: str, *, timeout: float, cancelled: Event | None = None) -> None:
    """Copy the file ``source`` to ``target``, which the machine's own user must be able to write."""
    with source.open("rb") as file:
        _run("transfer", "-", f"{name}:{target}", input=file, timeout=timeout, cancelled=cancelled)


def start(names: Sequence[str], *, timeout: float) -> None:
    """Start machines that are stopped or suspended."""
    _run("start", "--timeout", str(int(timeout)), *names, timeout=timeout + _GRACE_S)


def stop(name: str, *, force: bool = False) -> None:
    """Shut a machine down, or with ``force`` pull its plug."""
    _run("stop", *(["--force"] if force else []), name, timeout=_STOP_S)


def suspend(name: str) -> None:
    """Freeze a machine, its memory kept on disk."""
    _run("suspend", name, timeout=_STOP_S)


def delete(names: Sequence[str]) -> None:
    """Remove machines for good, running or not."""
    # What was --purge is the only way since there is nothing to recover from, and asks unless --force.
    option = "--purge" if _has("delete", "--purge") else "--force"
    _run("delete", option, *names, timeout=_STOP_S)


def version() -> str:
    """Version of the daemon. Raises :class:`DaemonUnreachable` where none answers."""
    found = _json("version")
    if "multipassd" not in found:
        raise DaemonUnreachable("Multipass' daemon does not answer", remedy=START_DAEMON)
    return str(found["multipassd"])


def driver() -> str:
    """What runs the machines: ``qemu``, ``applevz``, ``hyperv``, ..."""
    return _run("get", "local.driver").strip()


def images(word: str) -> list[str]:
    """Names of the images that ``word`` finds."""
    return list(_json("find", word)["images"])


def _is_address(text: str) -> bool:
    # Of a running machine that has none yet, it may say N/A.
    return text[:1].isdigit()


def _has(command: str, option: str) -> bool:
    return option in _run("help", command)


def _json(*words: str) -> Any:
    command, *rest = words
    return json.loads(_run(command, "--format", "json", *rest))


def _run(
    *words: str,
    what: str = "",
    input: str | IO[bytes] | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    cancelled: Event | None = None,
) -> str:
    try:
        result = process.run(
            [PROGRAM, *words], input=input, timeout=timeout, cancelled=cancelled, remedy=INSTALL
        )
    except HostError as error:
        raise DaemonUnreachable(error.brief, details=error.details, remedy=error.remedy) from error
    except CommandError as error:
        # Of exec, codes and words are those of what was run.
        own, code = words[0] != "exec", error.exit_code_of_command
        if own and code == _DAEMON_FAILED:
            raise DaemonUnreachable(
                "Multipass' daemon does not answer", details=error.details, remedy=START_DAEMON
            ) from error
        late = code is None or (own and code == _TIMED_OUT)
        outcome = "it did not end in time" if late else f"it failed with exit code {code}"
        said = error.output.lower() if own else ""
        raise error.retold(
            f"{what or f'multipass {words[0]}'}: {outcome}",
            details=error.details,
            remedy=next((remedy for text, remedy in _REMEDIES.items() if text in said), ""),
        ) from error
    return result.stdout
