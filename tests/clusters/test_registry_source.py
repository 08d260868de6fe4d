"""Images from real registries on this machine, standing in as mirrors of the public ones.

The registry is the reference implementation, bound to 127.0.0.1, which the engine trusts without TLS.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.clients import docker, process
from lab.clients.wait import wait_until
from lab.errors import Interrupted
from lab.host import tools
from lab.images import pull
from lab.images.catalog import CatalogImage
from lab.images.registry import RegistrySource
from lab.images.source.archive import Config, Layer, write_archive
from lab.images.source.tool import build_tool
from lab.images.trouble import PullFailed, PullStopped, Trouble
from lab.settings import Settings, from_environment

pytestmark = pytest.mark.cluster

MACHINE = tools.this_machine()
OTHER_ARCHITECTURE = "arm64" if MACHINE.architecture == "amd64" else "amd64"
INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"

Say = Callable[[str], None]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Registry:
    """A registry process that can be killed and started again on the same port and storage."""

    binary: Path
    folder: Path
    upstream: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        settings = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "storage")}},
            "http": {"addr": self.address},
        }
        if self.upstream:
            settings["proxy"] = {"remoteurl": f"http://{self.upstream}"}
        config = self.folder / "config.json"
        config.write_text(json.dumps(settings))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", config],
                stdout=log,
                stderr=log,
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
        wait_until("the registry", self._silent, timeout=20, every=0.1)

    def kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
            self.process = None

    def _silent(self) -> str | None:
        with socket.socket() as probe:
            return "nobody listens" if probe.connect_ex(("127.0.0.1", self.port)) else None


class Throttle:
    """A TCP proxy before a registry that lets it answer slowly, and counts what passes."""

    def __init__(self, registry: Registry, *, bytes_per_s: int) -> None:
        self._registry, self._rate = registry, bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def speed_up(self) -> None:
        self._rate = 1 << 30

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._registry.port))
            with server:
                back = threading.Thread(target=self._pass, args=(client, server, False), daemon=True)
                back.start()
                self._pass(server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                target.sendall(chunk)
                if slow:
                    self.passed += len(chunk)
                    time.sleep(len(chunk) / self._rate)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def binary() -> Path:
    settings = from_environment()
    return build_tool(
        "distribution",
        "registry",
        settings,
        go=lambda: tools.go(settings),
        operating_system=MACHINE.system,
        architecture=MACHINE.architecture,
        say=lambda _: None,
    )


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"registrytest-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def registry(binary: Path, tmp_path: Path, prefix: str) -> Iterator[Registry]:
    started = Registry(binary, tmp_path / "registry")
    started.start()
    yield started
    started.kill()
    for image in docker.images():
        if any(prefix in name for name in (*image.tags, *image.digests)):
            for name in (*image.tags, *image.digests):
                docker.remove_image(name, force=True)


@pytest.fixture
def said() -> list[str]:
    return []


@dataclass
class Publisher:
    """Makes small images, pushes them into a registry, and forgets them here."""

    registry: Registry
    folder: Path

    def image(self, repository: str, *, mib: int = 0, architecture: str = MACHINE.architecture) -> str:
        """Push an image; the digest of its manifest."""
        layer = Layer()
        layer.file("/what", f"{repository} {architecture} {uuid.uuid4()}".encode())
        if mib:
            layer.file("/large", os.urandom(mib << 20))
        name = f"{self.registry.address}/{repository}:pushed"
        archive = self.folder / "pushed.tar"
        write_archive(
            [layer], archive, reference=name, config=Config(command=["/what"]), architecture=architecture
        )
        docker.load(archive)
        process.run(["docker", "push", "--quiet", name])
        pushed = docker.image(name)
        assert pushed is not None
        digest = next(each for each in pushed.digests if self.registry.address in each).partition("@")[2]
        docker.remove_image(pushed.id, force=True)
        return digest

    def index(self, repository: str, architectures: tuple[str, ...]) -> str:
        """Push an image for each of ``architectures`` and an index of them; the index's digest."""
        entries = []
        for architecture in architectures:
            digest = self.image(repository, architecture=architecture)
            size = len(self._manifest(repository, digest))
            entries.append(
                {
                    "mediaType": MANIFEST_TYPE,
                    "digest": digest,
                    "size": size,
                    "platform": {"os": "linux", "architecture": architecture},
                }
            )
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
        request = urllib.request.Request(
            f"http://{self.registry.address}/v2/{repository}/manifests/index",
            data=text,
            method="PUT",
            headers={"Content-Type": INDEX_TYPE},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass
        return f"sha256:{hashlib.sha256(text).hexdigest()}"

    def _manifest(self, repository: str, digest: str) -> bytes:
        request = urllib.request.Request(
            f"http://{self.registry.address}/v2/{repository}/manifests/{digest}",
            headers={"Accept": MANIFEST_TYPE},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            text: bytes = response.read()
        return text


@pytest.fixture
def publisher(registry: Registry, tmp_path: Path) -> Publisher:
    return Publisher(registry, tmp_path)


def source(tmp_path: Path, **mirrors: str) -> RegistrySource:
    """A source with mirrors; ``quay_io`` stands for ``quay.io``."""
    settings = Settings(
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        mirrors={name.replace("_", "."): mirror for name, mirror in mirrors.items()},
    )
    return RegistrySource(settings=settings, architecture=MACHINE.architecture)


def entry(reference: str, digest: str, *, pulled: str = "") -> CatalogImage:
    return CatalogImage(
        reference=reference,
        pull=pulled,
        digest=digest,
        summary="a test",
        licence="Apache-2.0",
        roles=("mesh",),
    )


def files(tmp_path: Path) -> set[str]:
    """What lies in the source's folder of archives."""
    folder = tmp_path / "cache" / "images" / "registry"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def names(prefix: str) -> list[str]:
    """The names in the engine's store that are ours."""
    return [name for image in docker.images() for name in (*image.tags, *image.digests) if prefix in name]


@pytest.mark.parametrize(
    ("host", "reference", "pulled", "repository"),
    [
        ("quay.io", "quay.io/{prefix}/agent:v1", "", "{prefix}/agent"),
        ("registry.k8s.io", "registry.k8s.io/{prefix}:3.10", "", "{prefix}"),
        ("docker.io", "docker.io/{prefix}/node:v1.35.8", "", "{prefix}/node"),
        ("docker.io", "lab.local/{prefix}:3", "{prefix}:3-slim", "library/{prefix}"),
    ],
    ids=["quay.io", "registry.k8s.io", "docker.io", "docker.io library"],
)
def test_an_image_comes_through_the_mirror_of_its_registry(
    host: str,
    reference: str,
    pulled: str,
    repository: str,
    publisher: Publisher,
    prefix: str,
    tmp_path: Path,
    said: list[str],
) -> None:
    digest = publisher.index(repository.format(prefix=prefix), (MACHINE.architecture, OTHER_ARCHITECTURE))
    image = entry(reference.format(prefix=prefix), digest, pulled=pulled.format(prefix=prefix))
    images = source(tmp_path, **{host.replace(".", "_"): publisher.registry.address})
    assert not images.parts([image])[0].done
    assert publisher.registry.address not in images.probe([image])

    archive = images.fetch(image, say=said.append)

    assert archive == images.archive(image)
    assert files(tmp_path) == {archive.name, archive.with_suffix(".json").name}
    record = images.record(image)
    assert record is not None
    assert record["digest"] == digest
    assert record["pulled_from"] == f"{publisher.registry.address}/{repository.format(prefix=prefix)}"
    assert names(prefix) == [], "the engine's store is left as it was found"
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        [manifest] = json.load(member)
    assert manifest["RepoTags"] == [image.reference.removeprefix("docker.io/")]
    docker.load(archive)
    loaded = docker.image(image.reference)
    assert loaded is not None
    assert loaded.id == record["image_id"]
    assert loaded.architecture == MACHINE.architecture


def test_a_second_fetch_does_no_work(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent"))
    images = source(tmp_path, quay_io=registry.address)
    first = images.fetch(image, say=said.append)
    written = first.stat().st_mtime_ns
    registry.kill()
    del said[:]

    assert images.fetch(image, say=said.append) == first
    assert (first.stat().st_mtime_ns, said) == (written, [])
    assert images.parts([image])[0].done
    assert registry.address not in images.probe([image])


def test_an_archive_that_was_cut_short_is_brought_again(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent"))
    images = source(tmp_path, quay_io=registry.address)
    archive = images.fetch(image, say=said.append)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert not images.at_hand(image)

    assert images.fetch(image, say=said.append).stat().st_size == len(whole)


def test_a_mirror_that_pulls_through(
    publisher: Publisher, binary: Path, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    mirror = Registry(binary, tmp_path / "mirror", upstream=publisher.registry.address)
    mirror.start()
    try:
        digest = publisher.index(f"{prefix}/agent", (MACHINE.architecture,))
        image = entry(f"quay.io/{prefix}/agent:v1", digest)
        source(tmp_path, quay_io=mirror.address).fetch(image, say=said.append)
    finally:
        mirror.kill()


def test_names_that_the_user_had_are_put_back(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent"))
    write_archive(
        [Layer()],
        tmp_path / "own.tar",
        reference=image.reference,
        config=Config(command=["/own"]),
        architecture=MACHINE.architecture,
    )
    docker.load(tmp_path / "own.tar")
    own = docker.image(image.reference)
    assert own is not None

    source(tmp_path, quay_io=registry.address).fetch(image, say=said.append)

    now = docker.image(image.reference)
    assert now is not None
    assert now.id == own.id
    assert names(prefix) == [image.reference]


def test_what_the_user_had_pulled_is_used_and_kept(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    digest = publisher.image(f"{prefix}/agent")
    pinned = f"{registry.address}/{prefix}/agent@{digest}"
    docker.pull(pinned)
    registry.kill()

    source(tmp_path, quay_io=registry.address).fetch(
        entry(f"quay.io/{prefix}/agent:v1", digest), say=said.append
    )

    assert docker.image(pinned) is not None


def test_what_a_registry_does_not_have(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    publisher.image(f"{prefix}/agent")
    images = source(tmp_path, quay_io=registry.address)
    for repository in (f"{prefix}/agent", f"{prefix}/nobody"):
        with pytest.raises(PullFailed) as failed:
            images.fetch(entry(f"quay.io/{repository}:v1", f"sha256:{'1' * 64}"), say=said.append)
        assert failed.value.trouble is Trouble.MISSING, failed.value
        assert f"{registry.address} (the mirror of quay.io) does not have" in failed.value.brief
        assert "digest unchanged" in failed.value.remedy
    assert files(tmp_path) == set()
    assert names(prefix) == []


@pytest.mark.parametrize("indexed", [True, False])
def test_an_image_for_another_architecture(
    indexed: bool, publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    if indexed:
        digest = publisher.index(f"{prefix}/agent", (OTHER_ARCHITECTURE,))
    else:
        digest = publisher.image(f"{prefix}/agent", architecture=OTHER_ARCHITECTURE)

    with pytest.raises(PullFailed) as failed:
        source(tmp_path, quay_io=registry.address).fetch(
            entry(f"quay.io/{prefix}/agent:v1", digest), say=said.append
        )

    assert failed.value.trouble is Trouble.ARCHITECTURE, failed.value
    assert files(tmp_path) == set()
    assert names(prefix) == []


def test_a_registry_that_is_away(prefix: str, tmp_path: Path, said: list[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    image = entry(f"quay.io/{prefix}/agent:v1", f"sha256:{'1' * 64}")
    images = source(tmp_path, quay_io=address)

    assert "refused" in images.probe([image])[address]
    with pytest.raises(PullFailed) as failed:
        images.fetch(image, say=said.append)

    assert failed.value.trouble is Trouble.UNREACHABLE, failed.value
    assert "LAB_MIRRORS" in failed.value.remedy


@pytest.fixture
def wayward() -> Iterator[str]:
    """A registry that answers as bad ones do, by the repository's last word."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            word = self.path.partition("/manifests/")[0].rpartition("/")[2]
            code, text = {
                "": (200, b"{}"),
                "lying": (200, b'{"schemaVersion": 2, "mediaType": "%s"}' % MANIFEST_TYPE.encode()),
                "private": (403, b'{"errors": [{"code": "DENIED", "message": "access denied"}]}'),
                "busy": (429, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'),
                "broken": (503, b""),
            }[word]
            self.send_response(code)
            self.send_header("Content-Type", MANIFEST_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(text)

        do_HEAD = do_GET  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("word", "trouble", "remedy"),
    [
        ("lying", Trouble.MISMATCH, "Find out what that mirror holds"),
        ("private", Trouble.REFUSED, "docker login 127.0.0.1:"),
        ("busy", Trouble.RATE_LIMIT, "needs a mirror or a bundle"),
        ("broken", Trouble.STOPPED, "Run this again"),
    ],
)
def test_bad_answers(
    word: str,
    trouble: Trouble,
    remedy: str,
    wayward: str,
    prefix: str,
    tmp_path: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pull, "_PAUSE_S", 0.1)
    image = entry(f"quay.io/{prefix}/{word}:v1", f"sha256:{'1' * 64}")

    with pytest.raises(PullFailed) as failed:
        source(tmp_path, quay_io=wayward).fetch(image, say=said.append)

    assert failed.value.trouble is trouble, failed.value
    assert remedy in failed.value.remedy
    tries = [words for words in said if "trying again" in words]
    assert len(tries) == (pull.ATTEMPTS - 1 if trouble is Trouble.STOPPED else 0)
    assert files(tmp_path) == set()


@pytest.mark.long
def test_a_registry_that_is_killed_half_way(
    publisher: Publisher,
    registry: Registry,
    prefix: str,
    tmp_path: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One attempt: within it, the engine itself tries the layer for most of a minute.
    monkeypatch.setattr(pull, "ATTEMPTS", 1)
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent", mib=12))
    throttle = Throttle(registry, bytes_per_s=2 << 20)
    images = source(tmp_path, quay_io=throttle.address)
    killer = threading.Thread(target=_kill_after, args=(registry, throttle, 4 << 20))
    killer.start()
    try:
        with pytest.raises(PullStopped) as failed:
            images.fetch(image, say=said.append)
        killer.join(timeout=30)

        assert 4 << 20 <= throttle.passed < 12 << 20
        assert "stopped half way" in failed.value.brief
        assert files(tmp_path) == set()
        assert names(prefix) == []

        registry.start()
        throttle.speed_up()
        assert images.fetch(image, say=said.append).exists()
        assert names(prefix) == []
    finally:
        throttle.close()


def test_a_registry_that_comes_back_in_time(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent", mib=12))
    throttle = Throttle(registry, bytes_per_s=2 << 20)
    restarter = threading.Thread(target=_restart_after, args=(registry, throttle, 4 << 20))
    restarter.start()
    try:
        archive = source(tmp_path, quay_io=throttle.address).fetch(image, say=said.append)
    finally:
        restarter.join(timeout=30)
        throttle.close()

    assert archive.stat().st_size > 12 << 20
    assert throttle.passed < 15 << 20, "what had come was not fetched again"


def test_ctrl_c_while_pulling(
    publisher: Publisher, registry: Registry, prefix: str, tmp_path: Path, said: list[str]
) -> None:
    image = entry(f"quay.io/{prefix}/agent:v1", publisher.image(f"{prefix}/agent", mib=12))
    throttle = Throttle(registry, bytes_per_s=1 << 20)
    cancelled = threading.Event()
    threading.Timer(2, cancelled.set).start()
    try:
        with pytest.raises(Interrupted):
            source(tmp_path, quay_io=throttle.address).fetch(image, say=said.append, cancelled=cancelled)
    finally:
        throttle.close()

    assert files(tmp_path) == set()
    assert names(prefix) == []


def _kill_after(registry: Registry, throttle: Throttle, passed: int) -> None:
    deadline = time.monotonic() + 60
    while throttle.passed < passed and time.monotonic() < deadline:
        time.sleep(0.05)
    registry.kill()


def _restart_after(registry: Registry, throttle: Throttle, passed: int) -> None:
    _kill_after(registry, throttle, passed)
    throttle.speed_up()
    registry.start()
