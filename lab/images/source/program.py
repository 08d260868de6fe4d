"""Builds programs from their Go modules into a cache that is keyed by content.

Modules are verified by Go against its checksum database. Every program gets module and build
caches of its own, removed as soon as it is done: kept, those of all programs together were seen
to take 52 GB, while the finished binaries take 3. What all have in common, the compiled standard
library, is kept (:mod:`lab.images.source.go`).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from lab.clients.lock import held, one_at_a_time
from lab.errors import HostError, ProvisionError
from lab.images.recipe import Program
from lab.images.source import wheel
from lab.images.source.go import GoTool

_WORKSHOP = "build-"
_HELD = "held"
"""File in a folder that is built in, locked by whoever builds: gigabytes that nobody holds are swept."""

DISK_RESERVE_MIB = 2000
"""Left free on the disk whatever is built: other programs live there too."""


@dataclass(frozen=True)
class Built:
    """A program in the cache."""

    folder: Path

    def binary(self, name: str) -> Path:
        """Path of the binary ``name``."""
        return self.folder / "bin" / name

    def kept(self, name: str) -> Path:
        """Path of the file or folder that the recipe keeps under ``name``."""
        return self.folder / "files" / name

    def record(self) -> dict[str, Any]:
        """What the build noted of itself: seconds, disk_mib, go (if it compiled), finished (UTC)."""
        record: dict[str, Any] = json.loads((self.folder / "build.json").read_text())
        return record


def find(
    program: Program, cache: Path, *, architecture: str, operating_system: str = "linux"
) -> Built | None:
    """``program`` as it lies in ``cache``, if it does. A folder is there whole or not at all."""
    folder = _folder_of(program, cache, architecture=architecture, operating_system=operating_system)
    return Built(folder) if (folder / "build.json").is_file() else None


def _folder_of(program: Program, cache: Path, *, architecture: str, operating_system: str) -> Path:
    key = program.key(architecture)
    # Images and nodes are always Linux; only tools for a Mac are not.
    return cache / "programs" / (key if operating_system == "linux" else f"{key}-{operating_system}")


def build(
    program: Program,
    cache: Path,
    *,
    go: Path,
    architecture: str,
    operating_system: str = "linux",
    timeout: float,
    say: Callable[[str], None] = lambda _: None,
    cancelled: Event | None = None,
) -> Built:
    """``program`` from the cache, else built with the ``go`` tool; ``timeout`` is in seconds.

    ``operating_system`` and ``architecture`` are Go's names of what it will run on. ``say`` is told
    what is going on. Of two that build the same at once the second waits for the first. Raises
    :class:`HostError` when the disk is too small, and :class:`lab.clients.process.CommandError` when a
    module cannot be had or does not compile.
    """
    if built := find(program, cache, architecture=architecture, operating_system=operating_system):
        return built
    target = _folder_of(program, cache, architecture=architecture, operating_system=operating_system)
    lock = cache / "locks" / f"{target.name}.lock"
    with one_at_a_time(lock, what=f"the other build of {program.name}", cancelled=cancelled):
        if built := find(program, cache, architecture=architecture, operating_system=operating_system):
            return built
        require_disk(cache, program.disk_mib, what=f"building {program.name} {program.version}")
        with _workshop(cache, program.name) as work:
            tool = GoTool(
                go,
                work,
                architecture=architecture,
                operating_system=operating_system,
                timeout=timeout,
                cancelled=cancelled,
            )
            _make(program, work, tool, cache=cache, timeout=timeout, say=say, cancelled=cancelled)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Whatever lies there has no record, and so is not whole.
            shutil.rmtree(target, ignore_errors=True)
            (work / "out").rename(target)
    return Built(target)


def _make(
    program: Program,
    work: Path,
    tool: GoTool,
    *,
    cache: Path,
    timeout: float,
    say: Callable[[str], None],
    cancelled: Event | None,
) -> None:
    """Make ``work/out``, with everything that is needed of the program later."""
    started = time.monotonic()
    say(f"fetching {program.module} {program.version}")
    if program.wheels:
        wheel.unpack(program, work, architecture=tool.architecture, timeout=timeout, cancelled=cancelled)
    else:
        _compile(program, work, tool, cache=cache, say=say)
    record = {
        "program": program.name,
        "version": program.version,
        "seconds": round(time.monotonic() - started, 1),
        "disk_mib": _size_mib(work),
        **({} if program.wheels else {"go": tool.version()}),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (work / "out" / "build.json").write_text(json.dumps(record, indent=1))


def _compile(program: Program, work: Path, tool: GoTool, *, cache: Path, say: Callable[[str], None]) -> None:
    """Compile the program's packages into ``work/out/bin``, and keep what the recipe keeps."""
    source = tool.download(program)
    if program.layout != "files":
        lay_out = _wrapper if program.layout == "wrapper" else _folder
        place = lay_out(program, work, source, tool)
        _put_instead(program, work, place, tool)
        tool.begin_with_standard_library(place, cache, say=say)
        say("compiling")
        tool.build(program, place, work / "out" / "bin", say=say)
    for name, kept in program.keep.items():
        _keep(source / kept.path, work / "out" / "files" / name, constant=kept.go_constant)


def require_disk(folder: Path, mib: int, *, what: str) -> None:
    """Raise :class:`HostError` unless ``mib`` (and a reserve) are free where ``folder`` lies."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free // 2**20
    if free < mib + DISK_RESERVE_MIB:
        raise HostError(
            f"{what} needs {mib + DISK_RESERVE_MIB} MiB of free disk, and {folder} has {free} MiB",
            remedy="Free some space there, or point LAB_CACHE at a folder on a larger disk.",
        )


def _wrapper(program: Program, work: Path, source: Path, tool: GoTool) -> Path:
    """An empty module that requires the program, with the replacements that the program makes.

    Replacements and GODEBUG settings count only in the main module, so they are carried over;
    those by a path inside the program's repository become published versions.
    """
    mod = tool.mod(source)
    lines = ["module lab.invalid/wrapper", f"go {mod['Go']}"]
    lines += [f"godebug {setting['Key']}={setting['Value']}" for setting in mod.get("Godebug") or ()]
    required = {program.module: program.version, **program.requires}
    lines += [f"require {module} {version}" for module, version in required.items()]
    for replacement in mod.get("Replace") or ():
        old, new = replacement["Old"]["Path"], replacement["New"]
        if "Version" in new:
            lines.append(f"replace {old} => {new['Path']} {new['Version']}")
        elif version := program.replace.get(old) or program.staging:
            lines.append(f"replace {old} => {old} {version}")
    lines += [
        f"replace {old} => {old} {version}" for old, version in program.replace.items() if not program.staging
    ]
    place = work / "wrapper"
    place.mkdir()
    if program.main:
        (place / "main.go").write_text(program.main)
    (place / "go.mod").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    # The module itself is verified by now, so its list of checksums is as good as the database,
    # which does not know every fork that a program uses.
    if (sums := source / "go.sum").exists():
        shutil.copyfile(sums, place / "go.sum")
        (place / "go.sum").chmod(0o644)
    return place


def _folder(program: Program, work: Path, source: Path, tool: GoTool) -> Path:
    """A copy of the module to build in; replacements by a path are dropped or given a version."""
    place = work / "source"
    _copy(source, place)
    for replacement in tool.mod(place).get("Replace") or ():
        if "Version" in replacement["New"]:
            continue
        old = replacement["Old"]["Path"]
        version = program.replace.get(old)
        edit = f"-replace={old}={old}@{version}" if version else f"-dropreplace={old}"
        tool("mod", "edit", edit, cwd=place)
    return place


def _put_instead(program: Program, work: Path, place: Path, tool: GoTool) -> None:
    """Have files of modules replaced by what the recipe says, in copies that are built instead of these.

    Raises :class:`ProvisionError` where a module has no file of that name: another version keeps its list
    elsewhere, and would be built with all of it.
    """
    for number, (module, files) in enumerate(program.instead.items()):
        if module == program.module and program.layout == "folder":
            folder = place
        else:
            folder = work / "instead" / str(number)
            _copy(tool.module(module, place), folder)
            tool("mod", "edit", f"-replace={module}={folder}", cwd=place)
        for name, text in files.items():
            if not (folder / name).is_file():
                raise ProvisionError(f"{name} is not where the recipe expects it", details=module)
            (folder / name).write_text(text)


def _copy(source: Path, target: Path) -> None:
    """A copy of a module's folder that can be written to."""
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def _keep(source: Path, target: Path, *, constant: str | None) -> None:
    if not source.exists():
        raise ProvisionError(f"{source.name} is not where the recipe expects it", details=str(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    if constant is not None:
        target.write_text(go_constant(source.read_text(encoding="utf-8"), constant))
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def go_constant(text: str, name: str) -> str:
    """The value of the string constant ``name`` in the Go source ``text``.

    Knows raw and plain literals and names of other constants, joined by ``+``; enough for the
    manifests that kind keeps in its source. Raises :class:`ProvisionError` when it is not there.
    """
    match = re.search(rf"^const {name} = ((?:`[^`]*`|\"[^\"\n]*\"|\w+|\s*\+\s*)+)", text, re.MULTILINE)
    if match is None:
        raise ProvisionError(f"no string constant {name} in the Go source")
    value = ""
    for part in re.findall(r"`[^`]*`|\"[^\"\n]*\"|\w+", match[1]):
        value += part[1:-1] if part[0] in '`"' else go_constant(text, part)
    return value


@contextmanager
def _workshop(cache: Path, name: str) -> Iterator[Path]:
    """A folder to build in, on the same disk as the cache, gone afterwards; so are those of killed builds."""
    cache.mkdir(parents=True, exist_ok=True)
    for other in cache.glob(f"{_WORKSHOP}*"):
        # One without the file has been made this moment.
        if (other / _HELD).exists():
            with held(other / _HELD) as is_abandoned:
                if is_abandoned:
                    shutil.rmtree(other, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{_WORKSHOP}{name}-", dir=cache))
    try:
        with held(work / _HELD):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _size_mib(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) // 2**20
