"""Debian packages: where their files lie, what is left out, and links within them."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from lab.clients import process
from lab.errors import HostError
from lab.images.source.debian import download, entries, merged

needs_dpkg = pytest.mark.skipif(process.find("dpkg-deb") is None, reason="needs dpkg-deb")


@pytest.mark.parametrize(
    ("packaged", "lies"),
    [
        ("./bin/sh", "usr/bin/sh"),
        ("bin/sh", "usr/bin/sh"),
        ("/sbin/init", "usr/sbin/init"),
        ("./lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("./lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
        ("./usr/bin/env", "usr/bin/env"),
        ("./etc/", "etc"),
        ("./var/lib/x", "var/lib/x"),
        ("./library/x", "library/x"),
        # In a merged file system these are links, which the image has already.
        ("./bin", None),
        ("./lib64/", None),
        ("./", None),
        (".", None),
    ],
)
def test_merged_paths(packaged: str, lies: str | None) -> None:
    assert merged(packaged) == lies


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with programs, a hard link, documentation and a development file."""
    root = tmp_path / "root"
    for name, text in {
        "DEBIAN/control": (
            "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\n"
            "Description: a sample\n"
        ),
        "bin/tool": "#!/bin/sh\n",
        "etc/sample.conf": "a=1\n",
        "usr/include/sample.h": "",
        "usr/lib/libsample.a": "",
        "usr/lib/sample/big": "",
        "usr/share/doc/sample/copyright": "MIT\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    (root / "bin/tool").chmod(0o755)
    os.link(root / "bin/tool", root / "bin/tool2")
    (root / "bin/t").symlink_to("tool")
    (root / "DEBIAN").chmod(0o755)
    made = tmp_path / "sample_1_all.deb"
    process.run(["dpkg-deb", "--root-owner-group", "--build", root, made])
    return made


@needs_dpkg
def test_entries_lie_where_usr_is_merged(package: Path) -> None:
    found: dict[str, tarfile.TarInfo] = {}
    content: dict[str, bytes] = {}
    for info, stream in entries(package, leave_out=["/usr/lib/sample/*"]):
        found[info.name] = info
        if stream is not None:
            content[info.name] = stream.read()
    assert {name for name, info in found.items() if not info.isdir()} == {
        "usr/bin/t",
        "usr/bin/tool",
        "usr/bin/tool2",
        "etc/sample.conf",
    }
    assert content == {"usr/bin/tool": b"#!/bin/sh\n", "etc/sample.conf": b"a=1\n"}
    assert oct(found["usr/bin/tool"].mode) == "0o755"
    assert found["usr/bin/t"].linkname == "tool"
    assert found["usr/bin/tool2"].islnk()
    assert found["usr/bin/tool2"].linkname == "usr/bin/tool"


@needs_dpkg
def test_what_is_no_package_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.deb"
    broken.write_text("no package")
    with pytest.raises(process.CommandError, match="dpkg-deb failed"):
        list(entries(broken))


def test_without_apt_there_is_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as refused:
        download(["bash"], tmp_path / "work", timeout=1)
    assert "Debian and Ubuntu only" in refused.value.brief
    assert "--images registry" in refused.value.remedy
    assert not (tmp_path / "work").exists()


APT = """\
#!/bin/sh
echo "$*" >>"{log}"
for word; do
    case "$word" in --option=Dir::Cache::archives=*) archives=${{word#*archives=}} ;; esac
done
case "$*" in
    *--download-only*) {download} ;;
    *--print-uris*) {print_uris} ;;
esac
"""


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, *, download: str, print_uris: str) -> Path:
    log = folder / "log"
    script = folder / "apt-get"
    script.write_text(APT.format(log=log, download=download, print_uris=print_uris))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


def test_everything_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_apt(
        tmp_path,
        monkeypatch,
        download='touch "$archives/b_1_all.deb" "$archives/a_1_all.deb"',
        print_uris="echo Reading lists",
    )
    work = tmp_path / "work"
    found = download(["bash", "grep"], work, timeout=10)
    assert [path.name for path in found] == ["a_1_all.deb", "b_1_all.deb"]
    [call, _] = log.read_text().splitlines()
    assert f"Dir::State::status={work}/status" in call
    assert (work / "status").read_text() == ""
    assert "--no-install-recommends" in call
    assert call.endswith("--download-only install bash grep")


def test_a_package_that_did_not_come_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "'http://mirror.example/bash.deb' bash_5_amd64.deb 100 SHA256:0"
    fake_apt(tmp_path, monkeypatch, download=":", print_uris=f'echo "{uri}"')
    with pytest.raises(HostError) as failed:
        download(["bash"], tmp_path / "work", timeout=10)
    assert failed.value.brief == "apt did not download every package"
    assert "bash.deb" in failed.value.details
