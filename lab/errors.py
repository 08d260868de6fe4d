"""What can go wrong, as a user should hear of it: what happened, the evidence, what to do.

Every error that reaches a user is a :class:`LabError`. Its class decides the exit code
(README, "Exit codes"); its three texts are printed as three paragraphs, never as a traceback.
Errors of other libraries are converted in ``lab.clients``, the only place that sees them.
"""

from __future__ import annotations

from typing import ClassVar, Self


class LabError(Exception):
    """An error with a remedy.

    ``brief`` is one sentence without a final full stop. ``details`` is evidence: output of a
    command, events, the last thing seen; it may span lines. ``remedy`` says what to do next.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, brief: str, *, details: str = "", remedy: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.remedy = remedy

    def __str__(self) -> str:
        return "\n".join(part for part in (self.brief, self.details, self.remedy) if part)

    def retold(self, brief: str, *, details: str, remedy: str) -> Self:
        """The same error in other words: its class, its exit code and whatever else it holds are kept."""
        told = type(self).__new__(type(self))
        told.__dict__.update(self.__dict__)
        LabError.__init__(told, brief, details=details, remedy=remedy)
        return told


class CheckFailed(LabError):
    """Everything ran, and a contract or a check did not hold."""

    exit_code = 1


class InputError(LabError):
    """What the user gave (a topology, an option, an environment variable) cannot be used."""

    exit_code = 2


class HostError(LabError):
    """The host lacks something that a lab needs; nothing was changed."""

    exit_code = 3


class DaemonUnreachable(HostError):
    """A daemon of this machine that runs nodes (the container engine, Multipass') does not answer."""


class ProvisionError(LabError):
    """Making, changing or removing something failed half way; ``up`` again continues."""

    exit_code = 4


class TemporaryError(ProvisionError):
    """A failure that may pass by itself. Only this class is ever retried."""


class Inconclusive(LabError):
    """An experiment ended without grounds for a verdict."""

    exit_code = 5


class Interrupted(LabError):
    """The user pressed Ctrl-C, or the process was asked to end."""

    exit_code = 130
