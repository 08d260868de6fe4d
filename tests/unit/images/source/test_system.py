"""Node file systems: whose release and mirror, when one is made, and what does not stay in it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from lab.clients import process
from lab.errors import HostError
from lab.images.source import system
from lab.images.source.system import release_and_mirror, root_file_system

SUITE = "bookworm"

DEBOOTSTRAP = """\
#!/bin/sh
echo "$*" >>"{log}"
{fail}
root=$5
units=$root/usr/lib/systemd/system
mkdir -p $root/etc/systemd/system/multi-user.target.wants $root/var/cache/apt $root/usr/share/doc/bash \\
    $root/usr/bin $units/sysinit.target.wants $units/sockets.target.wants
touch $root/etc/systemd/system/multi-user.target.wants/cron.service $root/var/cache/apt/pkgcache.bin \\
    $root/usr/share/doc/bash/copyright $root/usr/bin/bash $units/cron.service \\
    $units/sysinit.target.wants/systemd-tmpfiles-setup.service $units/sockets.target.wants/dbus.socket \\
    $units/sockets.target.wants/systemd-udevd-kernel.socket
echo 'Storage=auto' >$root/etc/systemd/journald.conf
echo 1234 >$root/etc/machine-id
ln -s /run/resolv.conf $root/etc/resolv.conf
"""

INDEX = f"""\
{SUITE}-updates main http://mirror.example/debian/
{SUITE} contrib http://mirror.example/debian/
{SUITE} main http://mirror.example/debian/
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stands in for a Debian host; the file ``log`` has debootstrap's calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "index").write_text(INDEX)
    program(folder, "apt-get", f"#!/bin/sh\ncat {folder}/index\n")
    program(folder, "debootstrap", DEBOOTSTRAP.format(log=folder / "log", fail=""))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    release = tmp_path / "os-release"
    release.write_text(f'ID=debian\nVERSION_CODENAME="{SUITE}"\n')
    monkeypatch.setattr(
        system, "Path", lambda *parts: release if parts == ("/etc/os-release",) else Path(*parts)
    )
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_release_and_mirror_are_the_hosts_own(host: Path) -> None:
    assert release_and_mirror() == (SUITE, "http://mirror.example/debian/")


def test_a_host_without_a_mirror_is_told_what_to_do(host: Path) -> None:
    (host / "index").write_text("trixie main http://mirror.example/debian/\n")
    with pytest.raises(HostError) as refused:
        release_and_mirror()
    assert refused.value.brief == f"apt knows no mirror for this release ({SUITE})"
    assert "apt-get update" in refused.value.remedy


def test_a_host_without_apt_has_other_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="Debian and Ubuntu only"):
        release_and_mirror()


def test_a_system_without_what_no_node_needs(host: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    made = root_file_system(["systemd", "jq"], cache, architecture="amd64", timeout=30)

    with tarfile.open(made) as archive:
        files = {each.name for each in archive.getmembers() if not each.isdir()}
        settings = archive.extractfile("./etc/systemd/journald.conf")
        assert settings is not None
        assert settings.read() == b"Storage=auto\nReadKMsg=no\n"
        assert {each.mtime for each in archive.getmembers()} == {0}
    assert files == {
        "./etc/systemd/journald.conf",
        "./usr/bin/bash",
        "./usr/lib/systemd/system/cron.service",
        "./usr/lib/systemd/system/sockets.target.wants/dbus.socket",
    }
    assert [path.name for path in cache.iterdir()] == ["systems"]
    assert [path.suffix for path in made.parent.iterdir()] == [".tar"]
    call = (host / "log").read_text()
    assert "--variant=minbase --arch=amd64 --include=systemd,jq bookworm" in call


def test_it_is_made_once_for_the_same_packages(host: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    made = [
        root_file_system(packages, cache, architecture=machine, timeout=30)
        for packages, machine in (
            (["systemd", "jq"], "amd64"),
            (["jq", "systemd"], "amd64"),
            (["jq"], "amd64"),
            (["jq"], "arm64"),
        )
    ]
    assert made[0] == made[1]
    assert len({*made}) == 3
    assert len((host / "log").read_text().splitlines()) == 3


def test_a_failure_leaves_nothing(host: Path, tmp_path: Path) -> None:
    program(host, "debootstrap", DEBOOTSTRAP.format(log=host / "log", fail="echo E: no >&2; exit 1"))
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(process.CommandError) as failed:
        root_file_system(["systemd"], cache, architecture="amd64", timeout=30)
    assert "apt-get install debootstrap" in failed.value.remedy
    assert [path for path in cache.rglob("*") if path.is_file()] == []
