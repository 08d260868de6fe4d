"""What making images from source calls on this machine, beside Go, which comes by itself.

Looked at before anything is built: the system of a node's image is made late, and hours of compiling would
come before the error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from lab.clients import process
from lab.host import container_engine
from lab.host.doctor import Check, Fix

PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "debootstrap": ("debootstrap",),
    "xz": ("xz-utils",),
    # Debian recommends the C library's headers with the compiler, and we install nothing recommended.
    "cc": ("gcc", "libc6-dev"),
}
"""Debian's packages by the executable that they are for: debootstrap makes systems, xz unpacks Debian's
packages, and cc compiles the pause program, which is C."""


def examine(*, on_line: Callable[[str], None] | None = None) -> tuple[Check, ...]:
    """Whether images can be made here: by root, with each program. ``on_line`` gets apt's output in a fix."""
    path = container_engine.system_path()
    missing = [program for program in PACKAGES if process.find(program, path=path) is None]
    packages = [package for program in missing for package in PACKAGES[program]]
    command = f"apt-get update && apt-get install --no-install-recommends {' '.join(packages)}"
    debian = process.find("apt-get") is not None
    fix = Fix(
        description=f"install {', '.join(packages)}",
        command=command,
        apply=partial(container_engine.install, packages, on_line=on_line),
    )
    return (_root(), *(_program(program, missing, command, fix if debian else None) for program in PACKAGES))


def _root() -> Check:
    is_root = os.geteuid() == 0
    return Check(
        id="root",
        ok=is_root,
        found="yes" if is_root else "no",
        needed="to make systems out of Debian's packages",
        remedy="" if is_root else "Make images as root, or pull them: --images registry (see LAB_MIRRORS).",
    )


def _program(program: str, missing: Sequence[str], command: str, fix: Fix | None) -> Check:
    is_here = program not in missing
    return Check(
        id=f"tool/{program}",
        ok=is_here,
        found="here" if is_here else "not installed",
        needed="to make images from source",
        remedy="" if is_here else f"{command}. Where there is no apt-get, pull images: --images registry.",
        fix=None if is_here else fix,
    )
