"""What every image source can do, so that nobody else needs to know where images come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from lab.images.catalog import CatalogImage

Say = Callable[[str], None]
"""Is told, in a few words, what is going on."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One piece of the work that brings images here, small enough to show and to resume at."""

    name: str
    summary: str
    done: bool
    estimate_s: float | None
    """Seconds that it is likely to take; None when nobody knows."""

    disk_mib: int
    """What it takes on disk at its worst moment."""

    needs: tuple[str, ...] = ()
    """Names of the parts that must be done before."""


class ImageSource(Protocol):
    """Brings images to this machine as archives that containerd and Docker import.

    An archive holds one image under its catalog reference, for this machine's architecture. It is
    keyed by content, so that what is there already is never brought twice.
    """

    @property
    def name(self) -> str:
        """``registry``, ``source`` or ``bundle``."""
        ...

    def parts(self, images: Sequence[CatalogImage]) -> tuple[Part, ...]:
        """The work that bringing ``images`` here takes, done or not. Does none of it."""
        ...

    def bring(self, part: str, *, say: Say, cancelled: Event | None = None) -> None:
        """Do one part; nothing if it is done.

        Raises :class:`lab.errors.ProvisionError` when something cannot be had, with the remedy, and
        leaves nothing half-written behind.
        """
        ...

    def archive(self, image: CatalogImage) -> Path:
        """Where the archive of ``image`` lies once its parts are done."""
        ...

    def has(self, image: CatalogImage) -> bool:
        """Whether this source can bring ``image`` at all."""
        ...

    def carried(self, image: CatalogImage) -> bool:
        """Whether the base node image of this source holds ``image`` already."""
        ...

    def chart(self, name: str) -> Path:
        """The chart ``name`` (a folder or a .tgz), once its parts are done."""
        ...
