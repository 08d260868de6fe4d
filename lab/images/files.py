"""What upstream publishes as files: definitions of kinds, read from its module and never copied.

A program of programs.yaml with ``layout: files`` keeps some of its module's files. They are fetched as
modules are, and so verified, whatever source the images come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from lab.catalog.addon import Definitions
from lab.errors import ProvisionError
from lab.images.base import Part, Say
from lab.images.recipe import Program, programs
from lab.images.source import program as builds
from lab.images.source.program import Built
from lab.settings import Settings

LAYOUT = "files"


def kept() -> tuple[str, ...]:
    """Everything that there is to read, as PROGRAM/NAME."""
    return tuple(
        f"{program.name}/{name}"
        for program in programs().values()
        if program.layout == LAYOUT
        for name in program.keep
    )


@dataclass(frozen=True, kw_only=True)
class ModuleFiles:
    """Fetches and reads them. ``go`` finds the Go toolchain when it is needed."""

    settings: Settings
    architecture: str
    go: Callable[[], Path]

    def parts(self, names: Iterable[str]) -> tuple[Part, ...]:
        """The work that fetching the programs ``names`` takes, done or not. Does none of it."""
        return tuple(
            Part(
                name=f"files/{program.name}",
                summary=f"fetch {program.name} {program.version}",
                done=self._found(program) is not None,
                estimate_s=program.seconds,
                disk_mib=program.disk_mib,
            )
            for program in map(_program, dict.fromkeys(names))
        )

    def bring(self, name: str, *, say: Say, cancelled: Event | None = None) -> None:
        """Fetch a program's files; nothing if they are here. Errors are those of :func:`builds.build`."""
        program = _program(name)
        if self._found(program):
            return
        builds.build(
            program,
            self.settings.cache,
            go=self.go(),
            architecture=self.architecture,
            timeout=self.settings.timeouts.program_build,
            say=say,
            cancelled=cancelled,
        )

    def key(self, wanted: Definitions) -> str:
        """A name for what ``wanted`` says: same objects, same name. Reads nothing."""
        program = _program(wanted.program)
        return "/".join((program.key(self.architecture), wanted.name, ",".join(wanted.only)))

    def objects(self, wanted: Definitions) -> list[dict[str, Any]]:
        """The objects that ``wanted`` names, file by file.

        Raises :class:`ProvisionError` where they were not fetched, or a file is not there.
        """
        program = _program(wanted.program)
        found = self._found(program)
        if found is None:
            raise ProvisionError(f"{program.name} {program.version} was not fetched yet")
        files = _files(found.kept(wanted.name))
        missing = [name for name in wanted.only if name not in files]
        if missing:
            raise ProvisionError(
                f"{wanted.program}/{wanted.name} has no {missing[0]}.yaml",
                remedy=f"It has {', '.join(files)}.",
            )
        return [thing for name in wanted.only or files for thing in _read(files[name])]

    def _found(self, program: Program) -> Built | None:
        return builds.find(program, self.settings.cache, architecture=self.architecture)


def _program(name: str) -> Program:
    return programs()[name]


def _files(path: Path) -> Mapping[str, Path]:
    """The YAML files of a folder by their names without suffix, sorted; or the one that ``path`` is."""
    found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return {each.stem: each for each in found}


def _read(path: Path) -> list[dict[str, Any]]:
    # Up to a megabyte each, and not ours to find fault with: libyaml, where PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader)
    # kustomize's own file lies among the others, and makes nothing.
    return [each for each in documents if each and "metadata" in each]
