"""Tools: downloaded, else built, each once; the user's own are left alone."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.clients import http
from lab.errors import HostError, Interrupted, ProvisionError
from lab.host import tools
from lab.host.tools import Machine, Tool
from lab.images.recipe import programs
from lab.settings import Settings

BINARY = b"#!/bin/sh\necho tool\n"
LINUX = Machine("linux", "amd64")
PLATFORMS = ("linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64")


def tar_gz(member: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, content in (("README", b"read me"), (member, BINARY)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


@dataclass
class Site:
    """A site that publishes files by path."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    published = Site()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            content = published.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    published.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield published
    server.shutdown()
    server.server_close()


@dataclass
class Builder:
    """Builds by writing a file; remembers what for."""

    folder: Path
    error: Exception | None = None
    built: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __call__(
        self,
        program: str,
        binary: str,
        settings: Settings,
        *,
        go: Callable[[], Path],
        operating_system: str,
        architecture: str,
        say: tools.Say,
        cancelled: threading.Event | None = None,
    ) -> Path:
        self.built.append((program, binary, operating_system, architecture))
        if self.error is not None:
            raise self.error
        path = self.folder / "built"
        path.write_bytes(BINARY)
        return path


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def listed(site: Site, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tool]:
    """A list of two tools of that site: one as it is, one in an archive."""
    archive = tar_gz("linux-amd64/packed")
    site.files = {"/v1/plain-linux-amd64": BINARY, "/packed-v1-linux-amd64.tar.gz": archive}
    plain = Tool(
        name="plain",
        version="v1",
        licence="Apache-2.0",
        url=site.url + "/{version}/plain-{os}-{arch}",
        program="mill",
        sha256={"linux/amd64": hashlib.sha256(BINARY).hexdigest()},
    )
    packed = Tool(
        name="packed",
        version="v1",
        licence="Apache-2.0",
        url=site.url + "/packed-{version}-{os}-{arch}.tar.gz",
        program="mill",
        member="{os}-{arch}/packed",
        sha256={"linux/amd64": hashlib.sha256(archive).hexdigest()},
    )
    table = {"plain": plain, "packed": packed}
    monkeypatch.setattr(tools, "tools", lambda: table)
    monkeypatch.setattr(tools, "this_machine", lambda: LINUX)
    return table


# ---- the list


def test_every_tool_is_pinned_for_every_machine_and_can_be_built() -> None:
    assert set(tools.tools()) == {"kind", "kubectl", "helm"}
    for tool in tools.tools().values():
        assert tuple(tool.sha256) == PLATFORMS
        assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in tool.sha256.values())
        assert len(set(tool.sha256.values())) == len(PLATFORMS)
        program = programs()[tool.program]
        assert tool.name in program.packages
        assert program.version == tool.version, "what is built is what would be downloaded"
        address = tool.address(Machine("darwin", "arm64"))
        assert address.startswith("https://")
        assert "{" not in address


def test_addresses() -> None:
    machine = Machine("darwin", "arm64")
    assert tools.tools()["kubectl"].address(machine).endswith("/v1.35.8/bin/darwin/arm64/kubectl")
    assert tools.tools()["helm"].member_for(machine) == "darwin-arm64/helm"


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("Linux", "x86_64", "linux/amd64"),
        ("Linux", "aarch64", "linux/arm64"),
        ("Darwin", "x86_64", "darwin/amd64"),
        ("Darwin", "arm64", "darwin/arm64"),
    ],
)
def test_this_machine(system: str, machine: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert str(tools.this_machine()) == expected


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64")])
def test_a_machine_without_tools(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(HostError, match="there are no tools for"):
        tools.this_machine()


# ---- getting one


@pytest.mark.parametrize("name", ["plain", "packed"])
def test_a_tool_is_downloaded_once(
    name: str, listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder
) -> None:
    said: list[str] = []
    path = tools.tool(name, settings, build=builder, say=said.append)

    assert path == settings.cache / "tools" / f"{name}-v1-linux-amd64" / name
    assert path == tools.tool_path(name, settings)
    assert path.read_bytes() == BINARY
    assert os.access(path, os.X_OK)
    assert {each.name for each in path.parent.iterdir()} == {name, "tool.json"}
    assert said[-1].startswith(f"downloading {name} v1: ")
    assert tools.tool(name, settings, build=builder) == path
    assert len(site.asked) == 1
    assert builder.built == []


def test_a_tool_is_built_where_it_cannot_be_downloaded(
    listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder
) -> None:
    site.files = {}
    said: list[str] = []
    path = tools.tool("plain", settings, build=builder, say=said.append)

    assert path.read_bytes() == BINARY
    assert os.access(path, os.X_OK)
    assert builder.built == [("mill", "plain", "linux", "amd64")]
    assert said == ["plain cannot be downloaded here: building it"]
    tools.tool("plain", settings, build=builder)
    assert len(builder.built) == 1


def test_a_wrong_hash_is_no_reason_to_build(
    listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder
) -> None:
    site.files["/v1/plain-linux-amd64"] = b"something else"
    with pytest.raises(http.ChecksumMismatch):
        tools.tool("plain", settings, build=builder)
    assert builder.built == []
    assert list((settings.cache / "tools").iterdir()) == []


def test_neither_downloaded_nor_built(
    listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder
) -> None:
    site.files = {}
    builder.error = ProvisionError("no such module", details="403", remedy="Check GOPROXY.")
    with pytest.raises(ProvisionError, match="plain v1 can be neither downloaded nor built") as failed:
        tools.tool("plain", settings, build=builder)
    assert "404" in failed.value.details
    assert "no such module" in failed.value.details
    assert "Check GOPROXY." in failed.value.remedy
    assert str(tools.tool_path("plain", settings)) in failed.value.remedy
    assert list((settings.cache / "tools").iterdir()) == []


def test_ctrl_c_while_building(
    listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder
) -> None:
    site.files = {}
    builder.error = Interrupted("interrupted")
    with pytest.raises(Interrupted):
        tools.tool("plain", settings, build=builder)
    assert list((settings.cache / "tools").iterdir()) == []


def test_what_doctor_hears(listed: dict[str, Tool], site: Site, settings: Settings, builder: Builder) -> None:
    assert tools.state("plain", settings).version == "v1, not here yet; it comes when it is first needed"
    assert site.asked == []
    path = tools.tool("plain", settings, build=builder)
    assert tools.state("plain", settings).version == "v1, downloaded"
    (path.parent / "tool.json").unlink()
    assert tools.state("plain", settings).version == "v1, put there by hand"


# ---- Go


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH besides the system's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


PIP = """
echo "$@" > "$(dirname "$0")/asked"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/go/bin"
echo toolchain > "$2/go/bin/go"
"""


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the Python that runs pip; what it was asked lies beside it, in ``asked``."""
    folder = tmp_path / "python"
    folder.mkdir()
    stand_in = script(folder / "python", PIP)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    return stand_in


def test_the_pinned_go_is_new_enough() -> None:
    assert tuple(map(int, tools.pinned_go().split("."))) >= tools.GO_NEEDED
    hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", tools.GO_LOCK.read_text())
    assert len(set(hashes)) == len(PLATFORMS)


@pytest.mark.parametrize("version", ["go1.26.6", "go1.27", "go1.30.1", "go2.0.0"])
def test_the_users_go_is_used_when_it_is_new_enough(
    version: str, path: Path, pip: Path, settings: Settings
) -> None:
    own = script(path / "go", f"echo {version}")
    assert tools.go(settings) == own
    assert not (pip.parent / "asked").exists()


@pytest.mark.parametrize(
    "text", ["echo go1.26.5", "echo go1.9", "echo devel", "exit 1"], ids=["older", "old", "unknown", "broken"]
)
def test_another_go_is_fetched_once_instead(text: str, path: Path, pip: Path, settings: Settings) -> None:
    script(path / "go", text)
    found = tools.go(settings)

    assert found.read_text() == "toolchain\n"
    assert found.is_relative_to(settings.cache / "tools")
    asked = pip.parent / "asked"
    assert "--require-hashes" in asked.read_text()
    assert str(tools.GO_LOCK) in asked.read_text()
    asked.unlink()
    assert tools.go(settings) == found
    assert not asked.exists()
    assert [each.name for each in (settings.cache / "tools").iterdir()] == [found.parts[-4]]


def test_no_go_can_be_had(path: Path, pip: Path, settings: Settings) -> None:
    script(path / "go", "exit 1")
    script(pip, "echo no matching distribution >&2; exit 1")
    with pytest.raises(ProvisionError) as failed:
        tools.go(settings)
    assert "no matching distribution" in failed.value.details
    assert "Install Go 1.26.6 or later" in failed.value.remedy
    assert list((settings.cache / "tools").iterdir()) == []
