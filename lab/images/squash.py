"""Makes one layer of an image's many.

Layers of an image may delete what a lower one has. A deletion is a special file on overlayfs, which
cannot be stored on another overlayfs; but that is where node images keep what all nodes share
(lab/images/preload.sh). In one layer there is nothing left to delete, and nothing is stored twice.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lab.errors import ProvisionError
from lab.images.source.archive import add_file

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
"""Names that stand for deletions: OCI image specification, "Whiteouts"."""


def squash(archive: Path) -> None:
    """Rewrite the ``docker save`` archive of one image with a single, uncompressed layer, in place.

    Names and configuration stay. The file changes whole or not at all. Raises
    :class:`ProvisionError` for an archive that does not hold exactly one image.
    """
    layer, partial = archive.with_suffix(".layer"), archive.with_suffix(".partial")
    try:
        with tarfile.open(archive) as source:
            manifest, config = _described(source, archive)
            if len(manifest["Layers"]) == 1:
                return
            with layer.open("wb") as stream:
                _merge(source, manifest["Layers"], stream)
        with layer.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
        config["history"] = [{"created": config.get("created"), "created_by": "squashed"}]
        text = json.dumps(config, sort_keys=True).encode()
        name = f"{hashlib.sha256(text).hexdigest()}.json"
        described = [{"Config": name, "RepoTags": manifest["RepoTags"], "Layers": [f"{digest}.tar"]}]
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as target:
            add_file(target, name, text)
            add_file(target, "manifest.json", json.dumps(described).encode())
            info = tarfile.TarInfo(f"{digest}.tar")
            info.size, info.mode = layer.stat().st_size, 0o644
            with layer.open("rb") as stream:
                target.addfile(info, stream)
        partial.rename(archive)
    finally:
        layer.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)


def _described(source: tarfile.TarFile, archive: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The archive's only manifest, and the configuration that it names."""
    manifests = json.loads(_read(source, "manifest.json", archive))
    if len(manifests) != 1:
        raise ProvisionError(f"{archive.name} holds {len(manifests)} images, and one was expected")
    [manifest] = manifests
    return manifest, json.loads(_read(source, manifest["Config"], archive))


def _read(source: tarfile.TarFile, name: str, archive: Path) -> bytes:
    try:
        file = source.extractfile(name)
    except KeyError as error:
        raise ProvisionError(f"{archive.name} is no image archive: it lacks {name}") from error
    if file is None:
        raise ProvisionError(f"{archive.name} is no image archive: {name} is no file")
    return file.read()


def _merge(source: tarfile.TarFile, layers: list[str], target: IO[bytes]) -> None:
    """Write what the ``layers`` (lowest first) show together, each path once.

    From the top down, the first to name a path wins. A hard link is written as what it is, after
    everything else, since the file that it names may come from a lower layer.
    """
    seen: set[str] = set()
    hidden: set[str] = set()
    links: list[tarfile.TarInfo] = []
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as merged:
        for layer in reversed(layers):
            # Deletions count for the layers below, not for the one that states them.
            hides: set[str] = set()
            stream = source.extractfile(layer)
            with tarfile.open(fileobj=stream, mode="r:*") as entries:
                for entry in entries:
                    path = PurePosixPath(entry.name.lstrip("/"))
                    if path.name == OPAQUE:
                        hides.add(f"{path.parent}/")
                    elif path.name.startswith(WHITEOUT):
                        hides.add(str(path.with_name(path.name.removeprefix(WHITEOUT))))
                    elif str(path) not in seen and not _is_hidden(path, hidden):
                        seen.add(str(path))
                        entry.name = str(path)
                        if entry.islnk():
                            links.append(entry)
                        else:
                            merged.addfile(entry, entries.extractfile(entry) if entry.isreg() else None)
            hidden |= hides
        for link in links:
            link.linkname = link.linkname.lstrip("/")
            merged.addfile(link)


def _is_hidden(path: PurePosixPath, hidden: set[str]) -> bool:
    """Whether a layer above has deleted ``path``, a folder it is in, or that folder's old content."""
    return (
        str(path) in hidden
        or any(
            str(parent) in hidden or f"{parent}/" in hidden for parent in path.parents if str(parent) != "."
        )
        or ("./" in hidden and str(path) != ".")
    )
