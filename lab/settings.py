"""Where files live, how long things may take, and which environment variables change that.

Nothing here touches the disk; folders are made by whoever writes to them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

APP = "multicluster-lab"
"""Name of our folders under the user's cache and state folders."""

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout: topologies/ and addons/ are found from here."""

LABEL = "lab/name"
"""The label that everything of a lab carries; its value is the lab's name."""

MADE_LABEL = "lab/made"
"""The label of what is ours and no lab's. Not :data:`LABEL`: containers inherit an image's labels, and
every node would seem to belong to a lab of that name."""


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds after which a wait is a failure. Generous: two slow cores must still pass."""

    command: float = 120
    """Any short command, unless it says otherwise."""

    cluster_create: float = 600
    """One ``kind create cluster``, several of them at once on few cores."""

    helm: float = 300
    """One ``helm upgrade --install`` without waiting for the workloads."""

    api_ready: float = 180
    """From the start of a cluster's nodes until its API server is ready."""

    mesh_ready: float = 600
    """From Helm's return until agents and mesh API servers are ready."""

    addon_ready: float = 600
    """Until an addon's workloads are ready, or an object's kind is known."""

    data_path: float = 180
    """Until every ordered pair of clusters passes its data-path proof."""

    program_build: float = 3600
    """One program from its Go modules, downloads included."""

    image_transfer: float = 1800
    """One image pulled from a registry, or loaded into the container engine."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one run, read from the environment once by :func:`from_environment`."""

    cache: Path
    """Downloaded and built things, keyed by content; safe to delete (``LAB_CACHE``)."""

    state: Path
    """One folder a lab, 0700: kubeconfigs, CA, allocated addresses, journals (``LAB_STATE``)."""

    isolated: bool = False
    """Every lab is kept from sending packets off the machine, as if ``--isolated`` were given
    (``LAB_ISOLATED=1``)."""

    addons: Path = PROJECT / "addons"
    """The folder with a folder for each addon (``LAB_ADDONS``)."""

    mirrors: dict[str, str] = field(default_factory=dict)
    """Registry host to mirror, from ``LAB_MIRRORS="docker.io=proxy.example:5000,quay.io=..."``."""

    timeouts: Timeouts = Timeouts()

    def lab(self, name: str) -> Path:
        """The folder of the lab ``name``."""
        return self.state / "labs" / name


def from_environment() -> Settings:
    """Settings as the environment states them; defaults follow the platform's conventions.

    Raises :class:`lab.errors.InputError` for a ``LAB_MIRRORS`` that cannot be read.
    """
    return Settings(
        cache=_folder("LAB_CACHE", platformdirs.user_cache_dir(APP)),
        state=_folder("LAB_STATE", platformdirs.user_state_dir(APP)),
        isolated=_flag("LAB_ISOLATED"),
        addons=_folder("LAB_ADDONS", str(PROJECT / "addons")),
        mirrors=_mirrors(os.environ.get("LAB_MIRRORS", "")),
    )


def _mirrors(text: str) -> dict[str, str]:
    from lab.errors import InputError

    mirrors = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        registry, equals, mirror = item.partition("=")
        if not (registry and equals and mirror):
            raise InputError(
                f"LAB_MIRRORS: {item!r} is not REGISTRY=MIRROR",
                remedy='Write it as LAB_MIRRORS="docker.io=proxy.example:5000,quay.io=proxy.example:5001".',
            )
        mirrors[registry] = mirror
    return mirrors
