"""Images in the container engine's store: half of ``lab.clients.docker``, which exports all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from lab.clients import process
from lab.clients.docker_cli import LONG_S, inspected, run
from lab.clients.docker_objects import Image, image_from
from lab.errors import ProvisionError

_LOADED = re.compile(r"^Loaded image(?: ID)?: (?P<name>\S+)$", re.MULTILINE)


def images(reference: str | None = None) -> list[Image]:
    """All images, or those that match ``reference`` (a pattern such as ``lab/*:1.35``)."""
    listing = ["--no-trunc", *([f"--filter=reference={reference}"] if reference else [])]
    return [image_from(item) for item in inspected("image", listing)]


def image(reference: str) -> Image | None:
    """The image that ``reference`` (tag, digest or id) means in the store, if it is there."""
    try:
        found = json.loads(run("image", "inspect", reference).stdout)
    except process.CommandError as error:
        # ls cannot answer this: its filter knows neither ids nor, before 25, digests.
        if "no such image" in error.output.lower():
            return None
        raise
    return image_from(found[0])


def pull(
    reference: str,
    *,
    on_progress: Callable[[str], None] | None = None,
    timeout: float = LONG_S,
    cancelled: Event | None = None,
) -> Image:
    """Pull ``reference`` from its registry; ``on_progress`` gets docker's lines."""
    run("pull", reference, timeout=timeout, on_line=on_progress, cancelled=cancelled)
    pulled = image(reference)
    if pulled is None:
        raise ProvisionError(f"{reference} was pulled and is not in the store")
    return pulled


def tag(source: str, target: str) -> None:
    """Give the image ``source`` the additional name ``target``."""
    run("tag", source, target)


def save(
    references: Sequence[str],
    path: Path,
    *,
    platform: str | None = None,
    timeout: float = LONG_S,
    cancelled: Event | None = None,
) -> None:
    """Write the images into one archive at ``path``; on failure nothing is left there.

    ``platform`` (``linux/arm64``) leaves out the other platforms of an index; engines know it from 28.0 on.
    """
    partial = path.with_name(path.name + ".partial")
    words = [f"--platform={platform}"] if platform else []
    try:
        run("save", *words, "--output", partial, *references, timeout=timeout, cancelled=cancelled)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, *, timeout: float = LONG_S, cancelled: Event | None = None) -> list[str]:
    """Load the archive at ``path``; the names (or ids, of untagged ones) of its images."""
    output = run("load", "--input", path, timeout=timeout, cancelled=cancelled).stdout
    return [match["name"] for match in _LOADED.finditer(output)]


def commit(
    container: str,
    *,
    tag: str,
    entrypoint: Sequence[str] | None = None,
    command: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    changes: Sequence[str] = (),
    message: str = "",
    timeout: float = LONG_S,
) -> Image:
    """Make an image called ``tag`` of ``container``, which is paused meanwhile.

    A container that ran with another entrypoint or command would leave these in the image:
    ``entrypoint`` and ``command`` put back what the image shall have (``()``: none). ``changes``
    are further Dockerfile instructions that ``docker commit`` takes. STOPSIGNAL is none of them: run
    the container with ``stop_signal``, which the image then keeps.
    """
    instructions = [*changes]
    if entrypoint is not None:
        instructions.append(f"ENTRYPOINT {json.dumps(list(entrypoint))}")
    if command is not None:
        instructions.append(f"CMD {json.dumps(list(command))}")
    instructions += [
        f"LABEL {json.dumps(name)}={json.dumps(value)}" for name, value in (labels or {}).items()
    ]
    words = [f"--change={instruction}" for instruction in instructions]
    run("commit", *words, *([f"--message={message}"] if message else []), container, tag, timeout=timeout)
    committed = image(tag)
    if committed is None:
        raise ProvisionError(f"{tag} was committed and is not in the store")
    return committed


def remove_image(reference: str, *, force: bool = False) -> None:
    """Remove the name or image ``reference``, if it exists."""
    if image(reference) is not None:
        run("rmi", *(["--force"] if force else []), reference)
