"""Where an image is pulled from: its registry, or what answers for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where an image is pulled from."""

    registry: str
    """The registry's host as image names have it: ``docker.io``, ``quay.io``, ``localhost:5000``."""

    repository: str
    mirror: str = ""
    """What answers for the registry: ``HOST[:PORT][/PREFIX]``; empty: the registry itself."""

    @property
    def name(self) -> str:
        """The repository's full name, as the engine pulls it."""
        return f"{self.mirror or self.registry}/{self.repository}"

    @property
    def host(self) -> str:
        """The host (and port) that is spoken to."""
        host = (self.mirror or self.registry).partition("/")[0]
        # The name that images of Docker Hub carry is not where its API answers.
        return "registry-1.docker.io" if host == "docker.io" else host

    @property
    def shown(self) -> str:
        """The host in an error's words."""
        return f"{self.mirror} (the mirror of {self.registry})" if self.mirror else self.registry


def locate(pull: str, mirrors: Mapping[str, str]) -> Location:
    """Where ``pull``, an image name with or without registry, tag and digest, is pulled from.

    Docker's rules hold: a first part without dot and colon that is not ``localhost`` is no registry
    but part of the repository on ``docker.io``, where a single name stands for ``library/NAME``.
    ``mirrors`` is ``settings.mirrors``: registry host to mirror.
    """
    name = pull.partition("@")[0]
    first, slash, rest = name.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        first, rest = "docker.io", name
    folder, slash, last = rest.rpartition("/")
    repository = f"{folder}{slash}{last.partition(':')[0]}"
    if first in {"docker.io", "index.docker.io"}:
        first = "docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    mirror = mirrors.get(first, "").rpartition("://")[2].rstrip("/")
    return Location(registry=first, repository=repository, mirror=mirror)
