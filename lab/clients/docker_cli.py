"""The ``docker`` command, run with time limits and with errors of ours: half of ``lab.clients.docker``.

For what takes long, answers for many objects at once, reads stdin or carries secrets; the other
half, python-on-whales, can do none of these (see there). Nobody else imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import IO, Any, Final

from lab.clients import process
from lab.errors import DaemonUnreachable, LabError, ProvisionError

SHORT_S: Final = 60.0
"""Limit for whatever an idle engine answers at once: it must also pass while three nodes start."""

LONG_S: Final = 1800.0
"""Limit for moving an image: pull, save, load, commit (``settings.Timeouts.image_transfer``)."""

_READS: Final = 3
"""How often a listing is read again because something in it vanished meanwhile."""


class Reason(StrEnum):
    """Why the engine does not answer."""

    ABSENT = "absent"
    STOPPED = "stopped"
    FORBIDDEN = "forbidden"


class EngineUnreachable(DaemonUnreachable):
    """There is no engine to talk to."""

    def __init__(self, reason: Reason, *, details: str = "") -> None:
        brief, remedy = _UNREACHABLE[reason]
        super().__init__(brief, details=details, remedy=remedy)
        self.reason = reason


_UNREACHABLE = {
    Reason.ABSENT: (
        "no docker command was found",
        (
            "Install Docker Engine (https://docs.docker.com/engine/install/), or Docker Desktop on macOS and "
            "Windows. On Debian and Ubuntu, as root, './invoke up --yes' installs it."
        ),
    ),
    Reason.STOPPED: (
        "the container engine does not answer",
        "Start it: 'sudo systemctl start docker', or Docker Desktop. './invoke doctor' says what is wrong.",
    ),
    Reason.FORBIDDEN: (
        "this user may not talk to the container engine",
        "Join its group and log in again: sudo usermod -aG docker $USER",
    ),
}


_SIGNS = {
    "permission denied while trying to connect": Reason.FORBIDDEN,
    "cannot connect to the docker daemon": Reason.STOPPED,
    "error during connect": Reason.STOPPED,
}
"""What the docker command says when it is the engine that is missing."""


def converted(verb: str, output: str) -> LabError:
    """The error that the engine's ``output`` means."""
    for line in output.splitlines():
        for sign, reason in _SIGNS.items():
            if sign in line.lower():
                return EngineUnreachable(reason, details=line.strip())
    return ProvisionError(f"docker {verb} failed", details=output.strip())


def run(
    *words: str | Path,
    timeout: float = SHORT_S,
    input: str | bytes | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    cancelled: Event | None = None,
) -> process.Result:
    """Run ``docker WORDS``.

    Raises :class:`EngineUnreachable`, or :class:`process.CommandError` (a :class:`ProvisionError`)
    when the engine refused or the time ran out.
    """
    if process.find("docker") is None:
        raise EngineUnreachable(Reason.ABSENT)
    try:
        return process.run(
            ["docker", *words], timeout=timeout, input=input, env=env, on_line=on_line, cancelled=cancelled
        )
    except process.CommandError as error:
        meant = converted(str(words[0]), error.output)
        if isinstance(meant, EngineUnreachable):
            raise meant from error
        raise


def inspected(kind: str, listing: Sequence[str]) -> list[dict[str, Any]]:
    """``docker KIND inspect`` of everything that ``docker KIND ls LISTING`` names, in its order.

    What vanishes between the two makes inspect fail as a whole; it is then listed again, without what
    inspect does not know: a container that is being removed was seen to be listed for seconds more.
    """
    gone: set[str] = set()
    for attempt in range(1, _READS + 1):
        listed = run(kind, "ls", "--quiet", *listing).stdout.split()
        names = [name for name in dict.fromkeys(listed) if name not in gone]
        if not names:
            return []
        try:
            found: list[dict[str, Any]] = json.loads(run(kind, "inspect", *names).stdout)
        except process.CommandError as error:
            if attempt == _READS:
                raise
            gone.update(name for name in names if _is_unknown(name, error.output))
        else:
            return found
    raise AssertionError("unreachable")


def _is_unknown(name: str, output: str) -> bool:
    """Whether the engine said that there is no ``name``; its command line holds the name, too."""
    lines = (line for line in output.splitlines() if not line.startswith("command: "))
    return any(name in line and ("no such" in line.lower() or "not found" in line.lower()) for line in lines)


def label_filters(labels: Mapping[str, str | None]) -> list[str]:
    """Arguments that list only what carries ``labels``; None stands for any value."""
    return [
        f"--filter=label={name}" if value is None else f"--filter=label={name}={value}"
        for name, value in labels.items()
    ]


def label_arguments(labels: Mapping[str, str]) -> list[str]:
    """Arguments that make something carry ``labels``."""
    return [f"--label={name}={value}" for name, value in labels.items()]


def env_arguments(env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Arguments that set ``env`` inside a container, and what to add to the client's own environment.

    A name alone is taken over from the client's environment, so that a secret is in no argument.
    What the client itself would heed has to be an argument.
    """
    words, passed = [], {}
    for name, value in env.items():
        if name in {"PATH", "HOME"} or name.startswith("DOCKER_"):
            words.append(f"--env={name}={value}")
        else:
            words.append(f"--env={name}")
            passed[name] = value
    return words, passed
