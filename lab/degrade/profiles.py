"""How long the parts of an experiment take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.document.position import did_you_mean
from lab.errors import InputError


@dataclass(frozen=True)
class Profile:
    """Seconds: of the baseline; of the outage, once seen; at most until all is back; at least to settle.

    ``scaled`` says what is shorter than in the life that it stands for; empty where nothing is.
    """

    name: str
    baseline: float
    hold: float
    recover: float
    settle: float
    scaled: str = ""


PROFILES: Final[Mapping[str, Profile]] = {
    each.name: each
    for each in (
        Profile(
            "quick",
            baseline=20,
            hold=90,
            recover=900,
            settle=15,
            scaled="The outage lasts 90 s, which is shorter than what buffers and retries endure by "
            "themselves (Promtail's ten tries take 4 to 9 minutes, the agent's log is cut every 2 hours): "
            "that these limits were not reached says nothing of them.",
        ),
        # Long enough to settle that a prober's pause of some seconds is not a twentieth of it.
        Profile("standard", baseline=60, hold=720, recover=900, settle=120),
        # As long as the article says that metrics (2.7 h) and secrets (1 h) endure, and more.
        Profile("article", baseline=60, hold=4 * 3600, recover=1200, settle=120),
    )
}


def profile(name: str) -> Profile:
    """The profile called ``name``. Raises :class:`InputError` if there is none."""
    if name not in PROFILES:
        raise InputError(
            f"there is no profile {name!r}",
            remedy=did_you_mean(name, PROFILES) + f"There are {', '.join(PROFILES)}.",
        )
    return PROFILES[name]
