"""A node image's programs and unpacked images as one archive, for nodes that are no containers.

It is made once for each node image, whether that was pulled or built, and unpacked where it lay: such a node
downloads nothing, and no second list of versions is kept.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from threading import Event
from typing import Final

from lab.clients import docker
from lab.clients.lock import one_at_a_time
from lab.images.base import Say
from lab.settings import MADE_LABEL, Settings

_KEPT: Final = 2
"""Archives that stay in the cache, each of gigabytes."""


def packed(image: str, settings: Settings, *, say: Say, cancelled: Event | None) -> Path:
    """Return the archive of the node image ``image``, from the cache or made now, once for all who ask.

    Raises :class:`lab.errors.ProvisionError` with what tar or the engine said.
    """
    folder = settings.cache / "packed"
    target = folder / f"{image.rpartition(':')[2]}.tar"
    with one_at_a_time(folder / "lock", what="the packed node image", cancelled=cancelled):
        if not target.exists():
            say("packing the node image")
            _pack(image, target, timeout=settings.timeouts.image_transfer)
        target.touch()
        for old in sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    return target


def _pack(image: str, target: Path, *, timeout: float) -> None:
    container = docker.run_container(
        image,
        entrypoint="sleep",
        command=["infinity"],
        network="none",
        volumes=[f"{target.parent}:/out"],
        labels={MADE_LABEL: "packed"},
    )
    try:
        script = resources.files("lab.images").joinpath("pack.sh").read_text(encoding="utf-8")
        docker.execute(container, ["sh", "-s", target.name], input=script, timeout=timeout)
    finally:
        docker.remove_container(container)
