"""The node image's name: it follows what is in it, so that nothing stale is ever used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.clients import docker_images
from lab.clients.docker_objects import Image
from lab.errors import ProvisionError
from lab.images import node
from lab.images.node import NodeImage, _forget_old_ones

IMAGE = NodeImage(
    base="docker.io/kindest/node:v1.35.8",
    archives=[Path("/cache/images/node-1.tar"), Path("/cache/images/a-1.tar"), Path("/cache/images/b-1.tar")],
    shim=False,
)


def test_the_tag_says_nothing_but_the_content() -> None:
    repository, tag = IMAGE.tag.split(":")
    assert repository == "lab.local/node"
    assert len(tag) == 16
    moved = [Path("/elsewhere") / path.name for path in reversed(IMAGE.archives)]
    assert replace(IMAGE, archives=moved).tag == IMAGE.tag


@pytest.mark.parametrize(
    "other",
    [
        replace(IMAGE, base="docker.io/kindest/node:v1.36.4"),
        replace(IMAGE, archives=IMAGE.archives[:2]),
        replace(IMAGE, archives=[*IMAGE.archives[:2], Path("/cache/images/b-2.tar")]),
        replace(IMAGE, shim=True),
    ],
)
def test_other_content_has_another_tag(other: NodeImage) -> None:
    assert other.tag != IMAGE.tag


def test_another_way_of_making_it_has_another_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    before = IMAGE.tag
    monkeypatch.setattr(node, "FORMAT", node.FORMAT + 1)
    assert IMAGE.tag != before


def test_what_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_images, "image", lambda reference: reference)

    def load(*_: object, **__: object) -> list[str]:
        raise AssertionError("nothing is to be loaded")

    monkeypatch.setattr(docker_images, "load", load)
    said: list[str] = []
    assert IMAGE.make(timeout=1, say=said.append) == IMAGE.tag
    assert said == []


def test_an_empty_archive_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_images, "image", lambda _: None)
    monkeypatch.setattr(docker_images, "load", lambda *_, **__: [])
    with pytest.raises(ProvisionError, match=r"node-1\.tar holds no image"):
        IMAGE.make(timeout=1, say=lambda _: None)


def test_only_the_newest_stay_and_those_that_a_node_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(tag: str, **labels: str) -> Image:
        return Image(
            id=tag,
            tags=(f"lab.local/node:{tag}",),
            digests=(),
            size_bytes=1,
            labels=labels,
            architecture="amd64",
        )

    ours = {"lab/made": "node-image"}
    there = [made("5", **ours), made("theirs"), *(made(tag, **ours) for tag in "4321")]
    asked: list[str] = []
    removed: list[str] = []

    def images(pattern: str) -> list[Image]:
        asked.append(pattern)
        return there

    def remove(tag: str) -> None:
        if tag.endswith(":2"):
            raise ProvisionError("it is in use")
        removed.append(tag)

    monkeypatch.setattr(docker_images, "images", images)
    monkeypatch.setattr(docker_images, "remove_image", remove)
    _forget_old_ones()
    assert asked == ["lab.local/node:*"]
    assert removed == ["lab.local/node:1"]
