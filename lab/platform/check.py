"""Makes an addon's own checks, each on the clusters that it is for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event

from lab.catalog.addon import Check
from lab.catalog.place import Placed
from lab.catalog.words import LabView
from lab.clients.kube import Kube
from lab.platform.steps import Doer
from lab.result import CheckResult


@dataclass(frozen=True)
class Subject:
    """One check of an addon on one cluster."""

    placed: Placed
    check: Check
    cluster: str

    @property
    def id(self) -> str:
        """Its name, ``ADDON/CLUSTER/ID``."""
        return f"{self.placed.addon.name}/{self.cluster}/{self.check.id}"


@dataclass
class Runner:
    """Makes the checks of one lab. ``kubes`` has the API of every cluster."""

    lab: LabView
    kubes: Mapping[str, Kube]
    cancelled: Event

    def run(self, subject: Subject) -> CheckResult:
        """Return how the check went. What it applied is gone afterwards, whatever came of it."""
        done = Doer(self.lab, self.kubes, self.cancelled).do(
            subject.placed,
            subject.check.steps,
            cluster=subject.cluster,
            timeout=subject.check.timeout,
            more=nonce(),
        )
        return CheckResult(subject.id, done.ok, round(done.seconds, 2), done.evidence)


def nonce() -> dict[str, str]:
    """A word that nobody has said before, for the texts of steps."""
    # A letter first, so that an answer that is the nonce alone is never taken for a number.
    return {"nonce": f"n{secrets.token_hex(8)}"}
