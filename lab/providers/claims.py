"""Which machines a lab has claimed, and the address that each keeps: for what takes no labels.

A small file in the lab's folder. A claim comes before its machine, and goes after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock

import yaml

from lab.providers import files

_FILE = "machines.yaml"
_lock = Lock()
"""Clusters are made side by side. Of several processes, the lab's own lock lets only one change it."""


@dataclass
class Claims:
    """What is written down: ``addresses``, and ``owners`` (clusters) of what is claimed, by machine."""

    addresses: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def of(self, cluster: str) -> list[str]:
        """The machines that are claimed for ``cluster``."""
        return [name for name, owner in self.owners.items() if owner == cluster]


def read(folder: Path) -> Claims:
    """The claims of the lab with that folder."""
    file = folder / _FILE
    return Claims(**yaml.safe_load(file.read_text())) if file.exists() else Claims()


@contextmanager
def changed(folder: Path) -> Iterator[Claims]:
    """The claims, to be changed; written down afterwards."""
    with _lock:
        claims = read(folder)
        yield claims
        files.write(folder / _FILE, asdict(claims))
