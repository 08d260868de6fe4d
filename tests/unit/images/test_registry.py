"""The registry source without an engine: where it pulls, what it says of failures, what it counts as done.

That it pulls is shown in tests/clusters/test_registry_source.py.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from lab.clients import docker, http
from lab.clients.process import CommandError
from lab.errors import Interrupted, ProvisionError, TemporaryError
from lab.images import pull as pulls
from lab.images.catalog import CatalogImage, catalog
from lab.images.location import Location, locate
from lab.images.registry import RegistrySource, charts
from lab.images.source.archive import Config, Layer, write_archive
from lab.images.trouble import PullFailed, PullStopped, Trouble, failure
from lab.settings import Settings

DIGEST = f"sha256:{'ab' * 32}"
AGENT = CatalogImage(
    reference="quay.io/cilium/cilium:v1",
    pull="quay.io/cilium/cilium:v1",
    digest=DIGEST,
    summary="agent",
    licence="Apache-2.0",
    roles=("mesh",),
)
PAUSE = replace(
    AGENT,
    reference="registry.k8s.io/pause:3",
    digest="",
    roles=("node",),
    carried_by="docker.io/kindest/node:v1",
)
QUAY = Location(registry="quay.io", repository="cilium/cilium")


@pytest.fixture
def source(tmp_path: Path) -> RegistrySource:
    return RegistrySource(
        settings=Settings(cache=tmp_path / "cache", state=tmp_path / "state"), architecture="amd64"
    )


def mirrored(source: RegistrySource, **mirrors: str) -> RegistrySource:
    named = {name.replace("_", "."): mirror for name, mirror in mirrors.items()}
    return replace(source, settings=replace(source.settings, mirrors=named))


@pytest.mark.parametrize(
    ("pull", "name", "host"),
    [
        ("quay.io/cilium/cilium:v1.19.5", "quay.io/cilium/cilium", "quay.io"),
        ("docker.io/library/python:3.14", "docker.io/library/python", "registry-1.docker.io"),
        ("docker.io/python:3.14", "docker.io/library/python", "registry-1.docker.io"),
        ("python:3.14", "docker.io/library/python", "registry-1.docker.io"),
        ("python", "docker.io/library/python", "registry-1.docker.io"),
        ("kindest/node:v1", "docker.io/kindest/node", "registry-1.docker.io"),
        ("index.docker.io/kindest/node", "docker.io/kindest/node", "registry-1.docker.io"),
        ("localhost/thing:1", "localhost/thing", "localhost"),
        ("localhost:5000/a/b/thing:1", "localhost:5000/a/b/thing", "localhost:5000"),
        (f"quay.io/cilium/cilium:v1@{DIGEST}", "quay.io/cilium/cilium", "quay.io"),
        (f"registry.k8s.io/pause@{DIGEST}", "registry.k8s.io/pause", "registry.k8s.io"),
    ],
)
def test_where_an_image_is_pulled_from(pull: str, name: str, host: str) -> None:
    location = locate(pull, {})
    assert (location.name, location.host) == (name, host)
    assert location.shown == location.registry


@pytest.mark.parametrize(
    ("pull", "name", "host"),
    [
        ("quay.io/cilium/cilium:v1", "localhost:5001/cilium/cilium", "localhost:5001"),
        ("python:3.14", "proxy.example/dockerhub/library/python", "proxy.example"),
        ("registry.k8s.io/pause:3", "proxy.example:8443/pause", "proxy.example:8443"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b", "ghcr.io"),
    ],
)
def test_where_a_mirror_keeps_it(pull: str, name: str, host: str) -> None:
    mirrors = {
        "quay.io": "localhost:5001",
        "docker.io": "proxy.example/dockerhub/",
        "registry.k8s.io": "https://proxy.example:8443",
    }
    location = locate(pull, mirrors)
    assert (location.name, location.host) == (name, host)


def test_every_image_of_the_catalog_can_be_pulled_or_is_carried() -> None:
    for image in catalog().values():
        if image.carried_by:
            assert image.carried_by in catalog()
        else:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest), image.reference
            assert locate(image.pull, {}).registry in {
                "docker.io",
                "ghcr.io",
                "quay.io",
                "reg.kyverno.io",
                "registry.k8s.io",
            }


# ---- what goes wrong


SAID = {
    "toomanyrequests: You have reached your pull rate limit.": Trouble.RATE_LIMIT,
    "error pulling image: received unexpected HTTP status: 429 Too Many Requests": Trouble.RATE_LIMIT,
    "write /var/lib/docker/tmp/GetImageBlob1: no space left on device": Trouble.DISK_FULL,
    f"manifest verification failed for digest {DIGEST}": Trouble.MISMATCH,
    f"filesystem layer verification failed for digest {DIGEST}": Trouble.MISMATCH,
    f"unexpected commit digest sha256:1, expected {DIGEST}: failed precondition": Trouble.MISMATCH,
    "no matching manifest for linux/arm64/v8 in the manifest list entries": Trouble.ARCHITECTURE,
    'Get "https://r/v2/": x509: certificate signed by unknown authority': Trouble.UNTRUSTED,
    'Get "https://r/v2/": http: server gave HTTP response to HTTPS client': Trouble.UNTRUSTED,
    "manifest for r/x@sha256:1 not found: manifest unknown: manifest unknown": Trouble.MISSING,
    "failed to resolve reference: r/x@sha256:1: not found": Trouble.MISSING,
    "repository r/x not found: name unknown: repository name not known to registry": Trouble.MISSING,
    "pull access denied for x, repository does not exist or may require 'docker login'": Trouble.REFUSED,
    "unauthorized: authentication required": Trouble.REFUSED,
    "Head https://r/v2/x/manifests/1: no basic auth credentials": Trouble.REFUSED,
    "unexpected status from GET request: 403 Forbidden": Trouble.REFUSED,
    "unexpected EOF": Trouble.STOPPED,
    'Get "https://r/v2/": EOF': Trouble.STOPPED,
    "read tcp 10.0.0.1:4->10.0.0.2:443: read: connection reset by peer": Trouble.STOPPED,
    "received unexpected HTTP status: 503 Service Unavailable": Trouble.STOPPED,
    'Get "https://r/v2/": net/http: TLS handshake timeout': Trouble.STOPPED,
    'Get "https://r/v2/": dial tcp 127.0.0.1:5001: connect: connection refused': Trouble.UNREACHABLE,
    'Get "https://r/v2/": dial tcp: lookup r on 127.0.0.53:53: no such host': Trouble.UNREACHABLE,
    'Get "https://r/v2/": dial tcp 10.0.0.1:443: i/o timeout': Trouble.UNREACHABLE,
    'Get "https://r/v2/": proxyconnect tcp: dial tcp 10.0.0.1:3128: i/o timeout': Trouble.UNREACHABLE,
    "something nobody has seen": Trouble.OTHER,
}


def command_error(said: str, *, code: int | None = 1) -> CommandError:
    return CommandError(
        "docker failed with exit code 1",
        exit_code_of_command=code,
        output=f"command: docker pull quay.io/denied/eof@{DIGEST}\nError response from daemon: {said}\n",
    )


@pytest.mark.parametrize("mirror", ["", "localhost:5001"])
@pytest.mark.parametrize("said", SAID)
def test_what_an_engine_says_is_understood(said: str, mirror: str) -> None:
    failed = failure(replace(QUAY, mirror=mirror), command_error(said), reference="quay.io/cilium/cilium")

    assert failed.trouble is SAID[said]
    assert said in failed.details
    assert failed.remedy
    assert not failed.brief.endswith(".")
    assert "{" not in str(failed)
    assert isinstance(failed, TemporaryError) is (failed.trouble is Trouble.STOPPED)


def test_a_registry_that_answered_before_has_stopped() -> None:
    refused = command_error("dial tcp 127.0.0.1:5001: connect: connection refused")
    assert failure(QUAY, refused, reference="x", begun=True).trouble is Trouble.STOPPED


def test_a_pull_that_takes_too_long() -> None:
    failed = failure(QUAY, command_error("", code=None), reference="quay.io/cilium/cilium")
    assert failed.trouble is Trouble.SLOW


def test_every_trouble_is_heard_of() -> None:
    assert {*SAID.values(), Trouble.SLOW} == set(Trouble)


# ---- pulling, with an engine that does as it is told


Pull = Callable[..., docker.Image]


def engine_image(**fields: Any) -> docker.Image:
    stated: dict[str, Any] = {
        "id": "sha256:1",
        "tags": (),
        "digests": (f"quay.io/cilium/cilium@{DIGEST}",),
        "size_bytes": 1,
        "labels": {},
        "architecture": "amd64",
        **fields,
    }
    return docker.Image(**stated)


class Engine:
    """Has the images of ``store``; each pull is the next of ``outcomes``."""

    def __init__(self, *outcomes: CommandError | docker.Image, store: Sequence[docker.Image] = ()) -> None:
        self.outcomes = list(outcomes)
        self.store = list(store)
        self.pulled: list[str] = []

    def image(self, reference: str) -> docker.Image | None:
        return next((image for image in self.store if reference in (*image.digests, *image.tags)), None)

    def pull(self, reference: str, *, on_progress: Callable[[str], None], **_: object) -> docker.Image:
        self.pulled.append(reference)
        on_progress("aaaaaaaaaaaa: Pulling fs layer")
        on_progress("bbbbbbbbbbbb: Already exists")
        on_progress("Digest: sha256:1")
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, CommandError):
            raise outcome
        on_progress("aaaaaaaaaaaa: Pull complete")
        return outcome


def pulled(engine: Engine, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[docker.Image, list[str]]:
    monkeypatch.setattr(docker, "image", engine.image)
    monkeypatch.setattr(docker, "pull", engine.pull)
    monkeypatch.setattr(pulls, "_PAUSE_S", 0.01)
    said: list[str] = []
    stated: dict[str, Any] = {"architecture": "amd64", "timeout": 60, "say": said.append, **options}
    return pulls.pull(QUAY, DIGEST, **stated), said


def test_layers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(engine_image())
    _, said = pulled(engine, monkeypatch)
    assert engine.pulled == [f"quay.io/cilium/cilium@{DIGEST}"]
    assert said == ["pulled 0 of 1 layers", "pulled 1 of 2 layers", "pulled 2 of 2 layers"]


def test_what_the_engine_has_is_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(store=[engine_image()])
    pulled(engine, monkeypatch)
    assert engine.pulled == []


def test_a_registry_that_stops_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(command_error("unexpected EOF"), command_error("unexpected EOF"), engine_image())
    image, said = pulled(engine, monkeypatch)
    assert image.id == "sha256:1"
    assert len(engine.pulled) == 3
    assert "quay.io stopped half way; trying again (3 of 3)" in said


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(*[command_error("unexpected EOF")] * 9)
    with pytest.raises(PullStopped):
        pulled(engine, monkeypatch)
    assert len(engine.pulled) == pulls.ATTEMPTS


def test_nor_past_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(*[command_error("unexpected EOF")] * 9)
    with pytest.raises(PullStopped):
        pulled(engine, monkeypatch, timeout=0)
    assert len(engine.pulled) == 1


def test_only_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(command_error("manifest unknown"))
    with pytest.raises(PullFailed):
        pulled(engine, monkeypatch)


def test_ctrl_c_between_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = Event()
    cancelled.set()
    with pytest.raises(Interrupted):
        pulled(Engine(command_error("unexpected EOF")), monkeypatch, cancelled=cancelled)


def test_another_digest_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"sha256:{'cd' * 32}"
    with pytest.raises(PullFailed) as failed:
        pulled(Engine(engine_image(digests=(f"quay.io/cilium/cilium@{other}",))), monkeypatch)
    assert failed.value.trouble is Trouble.MISMATCH
    assert failed.value.details == f"expected {DIGEST}\nfound    {other}"


def test_another_architecture_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PullFailed) as failed:
        pulled(Engine(engine_image(architecture="arm64")), monkeypatch)
    assert failed.value.trouble is Trouble.ARCHITECTURE
    assert failed.value.details == "it is for arm64, this machine is amd64"


# ---- what is at hand


def keep(source: RegistrySource, image: CatalogImage, **changed: object) -> Path:
    """An archive with its record, as a fetch leaves them."""
    archive = source.archive(image)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(b"archive")
    record = {
        "reference": image.reference,
        "digest": image.digest,
        "architecture": "amd64",
        "bytes": len(b"archive"),
        **changed,
    }
    archive.with_suffix(".json").write_text(json.dumps(record))
    return archive


def test_an_archive_is_named_after_its_content(source: RegistrySource) -> None:
    assert source.archive(AGENT) == source.settings.cache / "images/registry/cilium-v1-abababababab.tar"


def test_what_is_at_hand_is_not_fetched(source: RegistrySource) -> None:
    archive = keep(source, AGENT)
    assert source.fetch(AGENT, say=lambda _: None) == archive


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": f"sha256:{'cd' * 32}"},
        {"reference": "quay.io/other/cilium:v1"},
        {"architecture": "arm64"},
        {"bytes": 3},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_the_record_does_not_vouch_for_is_not_at_hand(
    changed: dict[str, object], source: RegistrySource
) -> None:
    keep(source, AGENT, **changed)
    assert not source.at_hand(AGENT)


@pytest.mark.parametrize("text", ["", "{", None])
def test_an_archive_without_its_record_is_not_at_hand(text: str | None, source: RegistrySource) -> None:
    record = keep(source, AGENT).with_suffix(".json")
    if text is None:
        record.unlink()
    else:
        record.write_text(text)
    assert not source.at_hand(AGENT)


def test_parts_are_what_nothing_carries_and_the_charts(source: RegistrySource) -> None:
    keep(source, AGENT)
    parts = source.parts([AGENT, PAUSE])
    assert [(part.name, part.done) for part in parts] == [
        ("image/quay.io/cilium/cilium:v1", True),
        ("chart/cilium", False),
    ]
    assert source.carried(PAUSE)
    assert not source.carried(AGENT)


def test_what_is_carried_cannot_be_fetched(source: RegistrySource) -> None:
    with pytest.raises(ProvisionError, match="is not pulled by itself") as failed:
        source.fetch(PAUSE, say=lambda _: None)
    assert "kindest/node" in failed.value.details


def test_what_is_fetched_passes_through_the_engine(
    source: RegistrySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []

    def save(references: Sequence[str], path: Path, *, platform: str | None, **_: object) -> None:
        did.append(f"save {references[0]} {platform}")
        write_archive(
            [Layer()], path, reference=references[0], config=Config(), architecture=source.architecture
        )

    engine = Engine(engine_image())
    monkeypatch.setattr(docker, "image", engine.image)
    monkeypatch.setattr(docker, "pull", engine.pull)
    monkeypatch.setattr(docker, "tag", lambda name, target: did.append(f"tag {name} {target}"))
    monkeypatch.setattr(docker, "remove_image", lambda name: did.append(f"remove {name}"))
    monkeypatch.setattr(docker, "save", save)
    monkeypatch.setattr(docker, "engine", lambda: SimpleNamespace(version="29.1.0-ce"))

    source.fetch(AGENT, say=lambda _: None)

    pinned = f"quay.io/cilium/cilium@{DIGEST}"
    assert did == [
        f"tag sha256:1 {AGENT.reference}",
        f"save {AGENT.reference} linux/amd64",
        f"remove {AGENT.reference}",
        f"remove {pinned}",
    ]
    assert source.at_hand(AGENT)


@pytest.mark.parametrize(
    ("version", "platform"),
    [("20.10.24+dfsg1", "None"), ("27.5.1", "None"), ("28.0.0", "linux/amd64"), ("dev", "None")],
)
def test_newer_engines_are_told_the_platform(
    version: str, platform: str, source: RegistrySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "engine", lambda: SimpleNamespace(version=version))
    assert str(source._platform()) == platform


# ---- charts


def test_charts_fit_the_images() -> None:
    tag = next(reference for reference in catalog() if reference.startswith("quay.io/cilium/cilium:"))
    assert tag.endswith(f":v{charts()['cilium'].version}")
    for chart in charts().values():
        assert chart.url.startswith("https://")
        assert re.fullmatch(r"[0-9a-f]{64}", chart.sha256)


def test_a_chart_is_downloaded_once(source: RegistrySource, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(url: str, target: Path, *, sha256: str, **_: object) -> None:
        asked.append(f"{url} {sha256}")
        target.parent.mkdir(parents=True)
        target.write_text("chart")

    monkeypatch.setattr(http, "download", download)
    for _ in range(2):
        source.bring("chart/cilium", say=lambda _: None)

    assert asked == [f"{charts()['cilium'].url} {charts()['cilium'].sha256}"]
    assert source.chart("cilium").name == f"cilium-{charts()['cilium'].version}.tgz"


def test_a_chart_that_cannot_be_downloaded(source: RegistrySource, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise http.Unavailable("nobody answers", details="why", remedy="Check the network.")

    monkeypatch.setattr(http, "download", download)
    with pytest.raises(http.Unavailable, match="nobody answers") as failed:
        source.bring("chart/cilium", say=lambda _: None)
    assert str(source.chart("cilium")) in failed.value.remedy


# ---- the probe


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Starts registries that answer ``/v2/`` with a code."""
    servers: list[ThreadingHTTPServer] = []

    def start(code: int) -> str:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code if self.path == "/v2/" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answers))
        threading.Thread(
            target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return f"127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("code", "why"), [(200, None), (401, None), (403, "it answered 403 Forbidden")])
def test_the_probe(
    code: int, why: str | None, source: RegistrySource, answering: Callable[[int], str]
) -> None:
    mirror = answering(code)
    image = replace(AGENT, roles=("an-addon",))
    assert mirrored(source, quay_io=mirror).probe([image]) == ({} if why is None else {mirror: why})


def test_the_probe_asks_each_host_that_is_still_needed_once(
    source: RegistrySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def obstacle(url: str, **_: object) -> str:
        asked.append(url)
        return "no"

    monkeypatch.setattr(http, "obstacle", obstacle)
    here = replace(AGENT, reference="ghcr.io/a/b:1", pull="ghcr.io/a/b:1")
    keep(source, here)
    operator = replace(AGENT, reference="quay.io/cilium/operator:v1", pull="quay.io/cilium/operator:v1")

    found = source.probe([AGENT, operator, here, PAUSE])

    assert found == {"quay.io": "no", "helm.cilium.io": "no"}
    assert sorted(asked) == [charts()["cilium"].url, "https://quay.io/v2/"]


def test_the_probe_asks_nobody_when_everything_is_here(source: RegistrySource) -> None:
    keep(source, AGENT)
    source.chart("cilium").parent.mkdir(parents=True)
    source.chart("cilium").write_text("")
    assert source.probe([AGENT, PAUSE]) == {}
