"""What a running node lacks, and how it gets it."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from lab.images.carry import carry, missing


class Node:
    """A node whose containerd has some images; reads what it is given."""

    def __init__(self, *images: str) -> None:
        self.images = images
        self.asked: list[tuple[str, ...]] = []
        self.read = b""

    def __call__(
        self, node: str, command: tuple[str, ...], *, input: str | IO[bytes] | None = None, timeout: float
    ) -> str:
        assert node == "app1-control-plane"
        self.asked.append(command)
        if input is not None and not isinstance(input, str):
            self.read = input.read()
        return "\n".join(self.images)


def test_what_is_there_is_not_missing() -> None:
    node = Node("docker.io/a:1", "docker.io/a:1@sha256:0", "docker.io/b:2")
    assert missing(node, "app1-control-plane", ["docker.io/a:1", "docker.io/a:2"]) == ["docker.io/a:2"]


def test_the_archive_goes_to_the_nodes_containerd(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"layers")
    node = Node()
    carry(node, "app1-control-plane", archive, timeout=60)
    assert node.read == b"layers"
    [command] = node.asked
    assert command[:5] == ("ctr", "--namespace", "k8s.io", "images", "import")
    assert command[-1] == "-"
