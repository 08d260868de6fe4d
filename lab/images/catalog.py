"""The one list of images: what a lab uses, where it is pulled from, and how it is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lab.images.recipe import FORMAT, Program, programs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an image is made from package registries. Fields are explained in images.yaml."""

    debian: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    compile: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = "/"
    stop_signal: str = ""

    def programs(self) -> tuple[Program, ...]:
        """The programs that the image holds files of, each once."""
        sources = (*self.files.values(), *self.compile.values())
        return tuple(
            programs()[name] for name in dict.fromkeys(source.partition("/")[0] for source in sources)
        )


@dataclass(frozen=True, kw_only=True)
class CatalogImage:
    """One image of the catalog."""

    reference: str
    """Its name in nodes and manifests, ``REGISTRY/REPOSITORY:TAG``."""

    summary: str
    licence: str
    roles: tuple[str, ...]
    """What needs it: ``node`` (every Kubernetes node), ``mesh``, or an addon's name."""

    pull: str = ""
    """Where a registry keeps it; the reference, unless stated."""

    digest: str = ""
    """Digest of the multi-platform index; empty for what is carried by another image."""

    carried_by: str = ""
    """The node image that holds it already when images come from a registry."""

    source: Recipe | None = None
    """None for what cannot be made from package registries."""

    def key(self, architecture: str) -> str:
        """A name for what the source recipe makes on ``architecture``; empty without a recipe."""
        if self.source is None:
            return ""
        parts = [program.key(architecture) for program in self.source.programs()]
        text = json.dumps([FORMAT, self.reference, asdict(self.source), parts], sort_keys=True)
        short = self.reference.rpartition("/")[2].replace(":", "-")
        return f"{short}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@cache
def catalog() -> Mapping[str, CatalogImage]:
    """Every image by its reference, in the order of images.yaml."""
    text = resources.files("lab.images").joinpath("images.yaml").read_text(encoding="utf-8")
    return {reference: _image(reference, entry) for reference, entry in yaml.safe_load(text).items()}


@cache
def pulled_names() -> Mapping[str, str]:
    """What nodes that pull for themselves call each image: its place in its registry, with the digest."""
    return {
        reference: f"{image.pull}@{image.digest}" for reference, image in catalog().items() if image.digest
    }


def needed_for(roles: Iterable[str]) -> tuple[CatalogImage, ...]:
    """The images that any of ``roles`` needs, in catalog order."""
    wanted = set(roles)
    return tuple(image for image in catalog().values() if wanted.intersection(image.roles))


def _image(reference: str, entry: Mapping[str, Any]) -> CatalogImage:
    fields: dict[str, Any] = dict(entry)
    fields["roles"] = tuple(fields["roles"])
    fields["pull"] = fields.get("pull", reference)
    if (source := fields.get("source")) is not None:
        recipe: dict[str, Any] = dict(source)
        for listed in ("debian", "system", "leave_out", "entrypoint", "command"):
            recipe[listed] = tuple(recipe.get(listed, ()))
        fields["source"] = Recipe(**recipe)
    return CatalogImage(reference=reference, **fields)
