"""The browser in which tests look at the pages that are made for people. No lab needs one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from lab.clients import process
from lab.host import container_engine
from lab.host.doctor import Check, Fix

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""What Chromium is called, by Debian, others and Google; the smallest first."""

PACKAGE: Final = "chromium-headless-shell"
"""Debian's, from version 12 on."""


def find() -> Path | None:
    """The browser, if there is one."""
    return next((path for name in NAMES if (path := process.find(name)) is not None), None)


def examine(*, on_line: Callable[[str], None] | None = None) -> tuple[Check, ...]:
    """Whether there is a browser. ``on_line`` gets apt's output in a fix."""
    found = find()
    command = f"apt-get update && apt-get install --no-install-recommends {PACKAGE}"
    fix = Fix(
        description=f"install {PACKAGE}",
        command=command,
        apply=partial(container_engine.install, [PACKAGE], on_line=on_line),
    )
    debian = process.find("apt-get") is not None
    return (
        Check(
            id="browser",
            ok=found is not None,
            found=found.name if found else "none",
            needed="Chromium, to look at reports as a reader sees them",
            remedy="" if found else f"{command}, or any Chromium",
            fix=fix if debian and not found else None,
        ),
    )
