"""Brings images into nodes that run already. New nodes hold everything: see :mod:`lab.images.node`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol

_CTR = ("ctr", "--namespace", "k8s.io", "images")


class RunOn(Protocol):
    """Runs a command on a node: a provider's method."""

    def __call__(
        self, node: str, command: tuple[str, ...], *, input: str | IO[bytes] | None = None, timeout: float
    ) -> str:
        """Return what the command printed."""
        ...


def missing(run_on: RunOn, node: str, references: Iterable[str]) -> list[str]:
    """Those of ``references`` that the node's containerd has no image of."""
    there = set(run_on(node, (*_CTR, "ls", "--quiet"), timeout=60).split())
    return [reference for reference in references if reference not in there]


def carry(run_on: RunOn, node: str, archive: Path, *, timeout: float) -> None:
    """Put the image in ``archive`` into the node's containerd, unpacked and pinned as preloaded ones are."""
    with archive.open("rb") as file:
        run_on(
            node,
            (
                *_CTR,
                "import",
                "--local",
                "--label",
                "io.cri-containerd.pinned=pinned",
                "--discard-unpacked-layers",
                "-",
            ),
            input=file,
            timeout=timeout,
        )
