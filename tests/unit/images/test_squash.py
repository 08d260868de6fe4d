"""Tests of lab.images.squash."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from lab.errors import ProvisionError
from lab.images.squash import squash

Entries = dict[str, bytes | None]


def layer(entries: Entries, *, links: dict[str, str] | None = None, gzip: bool = False) -> bytes:
    """A layer of files (bytes), folders (None) and hard links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if gzip else "w") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size, info.mode = len(content), 0o640
            archive.addfile(info, io.BytesIO(content or b""))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def image(path: Path, layers: list[bytes], *, images: int = 1) -> Path:
    """What ``docker save`` writes of an image with these layers, lowest first."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    config = {"config": {"Env": ["A=b"], "Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": names}}
    manifest = [{"Config": "c.json", "RepoTags": ["r.example/x:1"], "Layers": names}] * images
    with tarfile.open(path, "w") as archive:
        files = {
            "c.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
            **dict(zip(names, layers, strict=True)),
        }
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def content(archive: Path) -> tuple[dict[str, bytes | str | None], dict[str, object]]:
    """Every path of the only layer with its content (of a hard link: what it names), and the config."""
    with tarfile.open(archive) as outer:
        [manifest] = json.loads(read(outer, "manifest.json"))
        [name] = manifest["Layers"]
        assert manifest["RepoTags"] == ["r.example/x:1"]
        config = json.loads(read(outer, manifest["Config"]))
        with tarfile.open(fileobj=io.BytesIO(read(outer, name))) as inner:
            found = {
                member.name: member.linkname
                if member.islnk()
                else read(inner, member.name)
                if member.isreg()
                else None
                for member in inner
            }
    return found, config


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of an archive."""
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_the_top_wins_and_deletions_hold(tmp_path: Path) -> None:
    low = layer({"etc": None, "etc/a": b"old", "etc/gone": b"x", "opt": None, "opt/in": b"1", "keep": b"k"})
    middle = layer({"etc/.wh.gone": b"", "opt/.wh..wh..opq": b"", "opt/new": b"2"}, gzip=True)
    high = layer({"etc/a": b"new"})
    archive = image(tmp_path / "x.tar", [low, middle, high])
    squash(archive)
    found, config = content(archive)
    assert found == {"etc": None, "etc/a": b"new", "opt": None, "opt/new": b"2", "keep": b"k"}
    assert config["config"] == {"Env": ["A=b"], "Cmd": ["/x"]}


def test_a_deleted_folder_may_come_back(tmp_path: Path) -> None:
    low = layer({"d": None, "d/old": b"1"})
    archive = image(tmp_path / "x.tar", [low, layer({".wh.d": b""}), layer({"d": None, "d/new": b"2"})])
    squash(archive)
    assert content(archive)[0] == {"d": None, "d/new": b"2"}


def test_hard_links_come_after_what_they_name(tmp_path: Path) -> None:
    low = layer({"bin": None, "bin/a": b"program"}, links={"bin/b": "bin/a"})
    archive = image(tmp_path / "x.tar", [low, layer({"z": b"1"})])
    squash(archive)
    found, _ = content(archive)
    assert found["bin/b"] == "bin/a"
    assert list(found).index("bin/b") > list(found).index("bin/a")


def test_the_same_layers_give_the_same_bytes(tmp_path: Path) -> None:
    layers = [layer({"a": b"1"}), layer({"b": b"2"})]
    one, two = (image(tmp_path / name, layers) for name in ("one.tar", "two.tar"))
    squash(one)
    squash(two)
    assert one.read_bytes() == two.read_bytes()


def test_one_layer_is_left_alone(tmp_path: Path) -> None:
    archive = image(tmp_path / "x.tar", [layer({"a": b"1"})])
    before = archive.read_bytes()
    squash(archive)
    assert archive.read_bytes() == before


def test_two_images_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    archive = image(tmp_path / "x.tar", [layer({"a": b"1"}), layer({"b": b"1"})], images=2)
    with pytest.raises(ProvisionError, match=r"x\.tar holds 2 images, and one was expected"):
        squash(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]
