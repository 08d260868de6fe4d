"""The go tool, with caches of its own, and the standard library that every program begins with.

What a program compiles is thrown away with it. The standard library is the same for all of them, and
each would compile it anew: it is compiled once for each version of Go, kept, and put into each program's
build cache by hard links. Go finds entries by the content of what they are made of, writes none anew that
is there, and so never changes one that is shared (go help cache).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from lab.clients import process
from lab.clients.lock import one_at_a_time
from lab.images.recipe import Program

_KEPT = "compiled"
"""Folder in the cache with what stays compiled."""


class GoTool:
    """The go tool with caches of its own, so that nothing of the user's is read or filled.

    Called, it returns what it printed. Raises :class:`lab.clients.process.CommandError`.
    """

    def __init__(
        self,
        go: Path,
        work: Path,
        *,
        architecture: str,
        operating_system: str,
        timeout: float,
        cancelled: Event | None,
    ) -> None:
        self._go = go
        self._compiled = work / "cache"
        self.architecture = architecture
        self._timeout = timeout
        self._cancelled = cancelled
        self._env = {
            "GOMODCACHE": str(work / "mod"),
            "GOCACHE": str(self._compiled),
            "GOPATH": str(work / "path"),
            "GOTMPDIR": str(work),
            "GOENV": os.environ.get("GOENV", ""),
            # The user's own flags (-mod=vendor, -race, tags) would change what comes out.
            "GOFLAGS": "-modcacherw -mod=mod -trimpath -buildvcs=false",
            "GOWORK": "off",
            "GOOS": operating_system,
            "GOARCH": architecture,
            "CGO_ENABLED": "0",
            "GOTELEMETRY": "off",
        }
        if not self._env["GOENV"]:
            del self._env["GOENV"]

    def __call__(  # noqa: D102  # see the class
        self, *words: str | Path, cwd: Path | None = None, on_line: Callable[[str], None] | None = None
    ) -> str:
        return process.run(
            [self._go, *words],
            env=self._env,
            cwd=cwd,
            timeout=self._timeout,
            on_line=on_line,
            cancelled=self._cancelled,
            remedy="The program's modules must be reachable through the Go module proxy (go env GOPROXY).",
        ).stdout

    def version(self) -> str:
        """The version of Go, as ``go1.26.0``."""
        return self("env", "GOVERSION").strip()

    def download(self, program: Program) -> Path:
        """The unpacked module of ``program``."""
        return Path(
            json.loads(self("mod", "download", "-json", f"{program.module}@{program.version}"))["Dir"]
        )

    def module(self, path: str, place: Path) -> Path:
        """The unpacked module ``path``, in the version that the module in ``place`` comes to."""
        version = json.loads(self("list", "-m", "-json", path, cwd=place))["Version"]
        return Path(json.loads(self("mod", "download", "-json", f"{path}@{version}", cwd=place))["Dir"])

    def mod(self, folder: Path) -> dict[str, Any]:
        """``go.mod`` of ``folder``, parsed."""
        parsed: dict[str, Any] = json.loads(self("mod", "edit", "-json", folder / "go.mod"))
        return parsed

    def begin_with_standard_library(self, place: Path, cache: Path, *, say: Callable[[str], None]) -> None:
        """Put the compiled standard library, which ``cache`` keeps, into this tool's build cache.

        It is compiled if it is not there, by the version of Go that the module in ``place`` asks for; what
        others compiled is dropped then. Raises what calling the tool does.
        """
        version = self("env", "GOVERSION", cwd=place).strip()
        kept = cache / _KEPT / f"{version}-{self._env['GOOS']}-{self.architecture}"
        lock = cache / "locks" / f"{_KEPT}.lock"
        with one_at_a_time(lock, what="the standard library", cancelled=self._cancelled):
            if not kept.is_dir():
                say("compiling the standard library")
                self("build", "std", cwd=place)
                kept.parent.mkdir(parents=True, exist_ok=True)
                for older in kept.parent.iterdir():
                    if not older.name.startswith(f"{version}-"):
                        shutil.rmtree(older, ignore_errors=True)
                self._compiled.rename(kept)
            # What fetching modules left there is little, and would be in the way.
            shutil.rmtree(self._compiled, ignore_errors=True)
            # Go writes the time of its last clean-up in place, so that file is not for sharing.
            shutil.copytree(
                kept, self._compiled, copy_function=os.link, ignore=shutil.ignore_patterns("trim.txt")
            )

    def build(self, program: Program, place: Path, target: Path, *, say: Callable[[str], None]) -> None:
        """Compile the program's packages, from the module in ``place``, into binaries in ``target``."""
        target.mkdir(parents=True)
        prefix = program.module if program.layout == "wrapper" and not program.main else "."
        packages = {
            name: prefix if path == "." else f"{prefix}/{path}" for name, path in program.packages.items()
        }
        compiled = 0

        def count(line: str) -> None:
            nonlocal compiled
            if "/" in line and " " not in line:
                compiled += 1
                say(f"compiling: {compiled} packages")

        flags: Sequence[str] = ("-v", "-ldflags", program.linker_flags(), "-tags", ",".join(program.tags))
        if len(packages) > 1:
            # One call, so that links run side by side; it names each binary after its folder.
            self("build", *flags, "-o", f"{target}/", *packages.values(), cwd=place, on_line=count)
            for name, package in packages.items():
                (target / package.rpartition("/")[2]).rename(target / name)
        else:
            [(name, package)] = packages.items()
            self("build", *flags, "-o", target / name, package, cwd=place, on_line=count)
