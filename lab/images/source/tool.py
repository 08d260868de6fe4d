"""Tools for this machine (kind, kubectl, helm), built from the same modules as images are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from lab.images.recipe import Program, programs
from lab.images.source import program as builds
from lab.settings import Settings


def build_tool(
    program: str,
    binary: str,
    settings: Settings,
    *,
    go: Callable[[], Path],
    operating_system: str,
    architecture: str,
    say: Callable[[str], None],
    cancelled: Event | None = None,
) -> Path:
    """The ``binary`` of ``program`` (a name in programs.yaml), from the cache or built now.

    ``go`` finds the Go toolchain when it is needed; the systems are named as Go names them. Raises
    what :func:`lab.images.source.program.build` does.
    """
    recipe = recipe_for(programs()[program], binary, operating_system=operating_system)
    place = {"architecture": architecture, "operating_system": operating_system}
    built = builds.find(recipe, settings.cache, **place) or builds.build(
        recipe,
        settings.cache,
        go=go(),
        timeout=settings.timeouts.program_build,
        say=say,
        cancelled=cancelled,
        **place,
    )
    return built.binary(binary)


def recipe_for(program: Program, binary: str, *, operating_system: str) -> Program:
    """What to build of ``program`` in order to have ``binary``.

    On Linux all of it: the images want the rest. Elsewhere only that: a kubelet is for Linux.
    """
    if operating_system == "linux":
        return program
    return replace(program, packages={binary: program.packages[binary]}, keep={})
