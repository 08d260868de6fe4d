"""Writes an image in the archive format that both Docker and containerd import.

The same inputs give the same bytes: entries are sorted, times are zero. Layers are not
compressed, since they are unpacked on the machine that made them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from lab.errors import ProvisionError

EPOCH = "1970-01-01T00:00:00Z"
"""When every image was made, so that the same content always has the same id."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What runs in a container of the image, in Docker's terms."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""


class Layer:
    """A file system under construction: the last one to add a path wins."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, bytes | Path | None]] = {}

    def add(self, info: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        """Add an entry of another archive; links to hard links stay what they are."""
        if info.isdir() and info.name in self._entries:
            return
        self._put(info, content.read() if content is not None else None)

    def folder(self, path: str, *, mode: int = 0o755) -> None:
        """Add an empty folder."""
        info = tarfile.TarInfo(_relative(path))
        info.type, info.mode = tarfile.DIRTYPE, mode
        self._put(info, None)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        info = tarfile.TarInfo(_relative(path))
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
        self._put(info, None)

    def file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Add a file with ``content``."""
        info = tarfile.TarInfo(_relative(path))
        info.mode = mode
        self._put(info, content)

    def copy(self, source: Path, path: str) -> None:
        """Add a file, or a folder with all that is in it; executables stay executable."""
        if source.is_dir():
            for child in sorted(source.rglob("*")):
                if not child.is_dir():
                    self.copy(child, f"{path}/{child.relative_to(source)}")
            return
        if not source.exists():
            raise ProvisionError(f"{source} is missing, so the image cannot be made")
        info = tarfile.TarInfo(_relative(path))
        info.mode = 0o755 if _executable(source) else 0o644
        self._put(info, source)

    def write(self, stream: IO[bytes]) -> None:
        """Write the layer to ``stream`` as a tar."""
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name in self._ordered():
                info, content = self._entries[name]
                info.mtime, info.pax_headers = 0, {}
                if isinstance(content, Path):
                    info.size = content.stat().st_size
                    with content.open("rb") as file:
                        archive.addfile(info, file)
                elif content is not None:
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
                else:
                    archive.addfile(info)

    def _put(self, info: tarfile.TarInfo, content: bytes | Path | None) -> None:
        for parent in reversed(PurePosixPath(info.name).parents):
            name = str(parent)
            if name != "." and name not in self._entries:
                between = tarfile.TarInfo(name)
                between.type, between.mode = tarfile.DIRTYPE, 0o755
                self._entries[name] = between, None
        self._entries[info.name] = info, content

    def _ordered(self) -> list[str]:
        # A hard link must come after the file that it names.
        return sorted(self._entries, key=lambda name: (self._entries[name][0].islnk(), name))


def write_archive(
    layers: Sequence[Layer | Path], target: Path, *, reference: str, config: Config, architecture: str
) -> str:
    """Write an image under the name ``reference``; return the image id.

    ``layers`` come lowest first; one that is a path is a ready, uncompressed tar. The file
    appears whole or not at all.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    tars = []
    try:
        for number, layer in enumerate(layers):
            if isinstance(layer, Path):
                tars.append(layer)
                continue
            tars.append(target.with_suffix(f".layer{number}"))
            with tars[-1].open("wb") as stream:
                layer.write(stream)
        digests = [_digest(tar) for tar in tars]
        image = {
            "architecture": architecture,
            "os": "linux",
            "created": EPOCH,
            "config": _docker_config(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": EPOCH, "created_by": "lab"} for _ in tars],
        }
        text = json.dumps(image, sort_keys=True).encode()
        image_id = hashlib.sha256(text).hexdigest()
        names = [f"{digest}.tar" for digest in digests]
        manifest = [{"Config": f"{image_id}.json", "RepoTags": [reference], "Layers": names}]
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            add_file(archive, f"{image_id}.json", text)
            add_file(archive, "manifest.json", json.dumps(manifest).encode())
            for name, tar in zip(names, tars, strict=True):
                info = tarfile.TarInfo(name)
                info.size, info.mode = tar.stat().st_size, 0o644
                with tar.open("rb") as stream:
                    archive.addfile(info, stream)
        partial.rename(target)
    finally:
        for leftover in (partial, *target.parent.glob(f"{target.stem}.layer*")):
            leftover.unlink(missing_ok=True)
    return f"sha256:{image_id}"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _docker_config(config: Config) -> dict[str, object]:
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **config.env}
    return {
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Entrypoint": list(config.entrypoint) or None,
        "Cmd": list(config.command) or None,
        "User": config.user,
        "WorkingDir": config.workdir,
        "Labels": dict(config.labels) or None,
        **({"StopSignal": config.stop_signal} if config.stop_signal else {}),
    }


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file with ``content`` to an archive that is being written, dated 1970."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    archive.addfile(info, io.BytesIO(content))


def _executable(source: Path) -> bool:
    """Whether ``source`` is a program. Go modules keep no modes, so a script tells by its first line."""
    if os.access(source, os.X_OK):
        return True
    with source.open("rb") as file:
        return file.read(2) == b"#!"


def _relative(path: str) -> str:
    return str(PurePosixPath(path.lstrip("/")))
