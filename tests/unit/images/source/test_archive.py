"""Image archives: what is in them, and that the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ProvisionError
from lab.images.source.archive import Config, Layer, write_archive


def tar(layer: Layer) -> tuple[bytes, list[tarfile.TarInfo]]:
    stream = io.BytesIO()
    layer.write(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return stream.getvalue(), archive.getmembers()


def sample(*, backwards: bool = False) -> Layer:
    layer = Layer()
    steps = [
        lambda: layer.file("/etc/b", b"two", mode=0o600),
        lambda: layer.file("/etc/a", b"one"),
        lambda: layer.link("/bin", "usr/bin"),
        lambda: layer.folder("/tmp", mode=0o1777),
    ]
    for step in reversed(steps) if backwards else steps:
        step()
    return layer


def test_order_of_making_does_not_show() -> None:
    one, _ = tar(sample())
    other, _ = tar(sample(backwards=True))
    assert one == other


def test_modes_kinds_and_times() -> None:
    _, members = tar(sample())
    assert [(each.name, each.type, oct(each.mode), each.mtime) for each in members] == [
        ("bin", tarfile.SYMTYPE, "0o777", 0),
        ("etc", tarfile.DIRTYPE, "0o755", 0),
        ("etc/a", tarfile.REGTYPE, "0o644", 0),
        ("etc/b", tarfile.REGTYPE, "0o600", 0),
        ("tmp", tarfile.DIRTYPE, "0o1777", 0),
    ]
    assert members[0].linkname == "usr/bin"


def test_the_last_to_add_a_path_wins() -> None:
    layer = sample()
    layer.file("/etc/a", b"three")
    data, members = tar(layer)
    assert [each.name for each in members].count("etc/a") == 1
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("etc/a")
        assert file is not None
        assert file.read() == b"three"


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_hard_links_come_after_what_they_name() -> None:
    layer = Layer()
    layer.add(entry("bin/a", type=tarfile.LNKTYPE, linkname="bin/z"), None)
    layer.add(entry("bin/z", mode=0o4755, mtime=1_700_000_000), io.BytesIO(b"program"))
    _, members = tar(layer)
    assert [each.name for each in members] == ["bin", "bin/z", "bin/a"]
    assert members[2].islnk()
    assert oct(members[1].mode) == "0o4755"
    assert members[1].mtime == 0


def test_a_folder_that_comes_again_keeps_its_mode() -> None:
    layer = Layer()
    layer.folder("/tmp", mode=0o1777)
    layer.add(entry("tmp", type=tarfile.DIRTYPE, mode=0o755), None)
    _, [member] = tar(layer)
    assert oct(member.mode) == "0o1777"


def test_folders_are_copied_with_all_in_them(tmp_path: Path) -> None:
    (tmp_path / "base" / "etc").mkdir(parents=True)
    (tmp_path / "base" / "etc" / "conf").write_text("plain")
    (tmp_path / "base" / "tool").write_text("binary")
    (tmp_path / "base" / "tool").chmod(0o700)
    # Go modules keep no modes: a script tells by its first line.
    (tmp_path / "base" / "start").write_text("#!/bin/sh\n")
    layer = Layer()
    layer.copy(tmp_path / "base", "/")
    _, members = tar(layer)
    assert [(each.name, oct(each.mode)) for each in members if each.isfile()] == [
        ("etc/conf", "0o644"),
        ("start", "0o755"),
        ("tool", "0o755"),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"gone is missing, so the image cannot be made"):
        Layer().copy(tmp_path / "gone", "/usr/bin/gone")


CONFIG = Config(
    entrypoint=("/bin/a",), command=("b",), env={"C": "d"}, user="65532", workdir="/e", labels={"f": "g"}
)


def test_the_archive_is_one_that_docker_and_containerd_import(tmp_path: Path) -> None:
    below = tmp_path / "base.tar"
    with below.open("wb") as stream:
        sample().write(stream)
    target = tmp_path / "new" / "image-1.0-abc.tar"
    image_id = write_archive(
        [below, sample()], target, reference="example.org/x:1", config=CONFIG, architecture="arm64"
    )
    with tarfile.open(target) as archive:
        content = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    [manifest] = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == ["example.org/x:1"]
    assert manifest["Config"] == f"{image_id.removeprefix('sha256:')}.json"
    assert hashlib.sha256(content[manifest["Config"]]).hexdigest() == image_id.removeprefix("sha256:")
    config = json.loads(content[manifest["Config"]])
    assert (config["architecture"], config["os"], config["created"]) == (
        "arm64",
        "linux",
        "1970-01-01T00:00:00Z",
    )
    digests = [f"sha256:{hashlib.sha256(content[layer]).hexdigest()}" for layer in manifest["Layers"]]
    assert config["rootfs"] == {"type": "layers", "diff_ids": digests}
    assert config["config"] == {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "C=d"],
        "Entrypoint": ["/bin/a"],
        "Cmd": ["b"],
        "User": "65532",
        "WorkingDir": "/e",
        "Labels": {"f": "g"},
    }
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert below.exists()


def test_the_same_image_is_the_same_file(tmp_path: Path) -> None:
    files = [tmp_path / "one.tar", tmp_path / "two.tar"]
    ids = [
        write_archive([sample(backwards=index == 1)], file, reference="x:1", config=CONFIG, architecture="a")
        for index, file in enumerate(files)
    ]
    assert ids[0] == ids[1]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("here")
    layer = Layer()
    layer.copy(source, "/program")
    source.unlink()
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "other.layer0").touch()
    with pytest.raises(FileNotFoundError):
        write_archive(
            [sample(), layer], folder / "image.tar", reference="x:1", config=CONFIG, architecture="a"
        )
    assert [path.name for path in folder.iterdir()] == ["other.layer0"]


def test_a_stop_signal_is_only_there_when_it_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    write_archive(
        [sample()],
        target,
        reference="x:1",
        config=Config(stop_signal="SIGRTMIN+3"),
        architecture="amd64",
    )
    with tarfile.open(target) as archive:
        [name] = [name for name in archive.getnames() if name.endswith(".json") and name != "manifest.json"]
        config = json.load(archive.extractfile(name))["config"]  # type: ignore[arg-type]
    assert config["StopSignal"] == "SIGRTMIN+3"
    assert config["Entrypoint"] is None
    assert config["Cmd"] is None
