"""A registry on this machine that nodes mirror from, for images.py: one of the ways that are compared."""

from __future__ import annotations

import hashlib
import http.client
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import IO

import yaml

from bench.common import MIB, row
from lab.clients import process
from lab.clients.wait import wait_until
from lab.errors import HostError, Interrupted
from lab.host import tools
from lab.images.location import locate
from lab.images.recipe import programs
from lab.images.source import program as builds
from lab.workspace import Workspace

PORT = 5000


@contextmanager
def registry(workspace: Workspace, archive: Path, reference: str) -> Iterator[Path]:
    """A registry at the gateway of the lab's network; gives the folder of the nodes' hosts.toml files.

    It holds the image of ``archive`` as ``reference``. It is a process of this machine: packets to it
    are not forwarded, so an isolated lab reaches it.
    """
    architecture = tools.this_machine().architecture
    built = builds.find(programs()["distribution"], workspace.settings.cache, architecture=architecture)
    if built is None:
        raise HostError(
            "the program distribution is not in the cache",
            remedy="Leave the registry out: --ways import,content,unpacked.",
        )
    address = f"{next(workspace.topology.network.node_cidr.hosts())}:{PORT}"
    where = locate(reference, {})
    with TemporaryDirectory(prefix="bench-registry-") as folder:
        root = Path(folder)
        config = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(root / "data")}},
            "http": {"addr": address},
        }
        (root / "config.yaml").write_text(yaml.safe_dump(config))
        mirror = root / "certs.d" / where.registry
        mirror.mkdir(parents=True)
        url = f"http://{address}"
        (mirror / "hosts.toml").write_text(
            f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        stop = Event()

        def serve() -> None:
            with suppress(Interrupted):
                process.run(
                    [built.binary("registry"), "serve", root / "config.yaml"],
                    env={"OTEL_TRACES_EXPORTER": "none"},
                    timeout=24 * 3600,
                    cancelled=stop,
                )

        server = Thread(target=serve)
        server.start()
        try:
            wait_until("the registry", lambda: _silent(address), timeout=30, every=0.1)
            started = time.monotonic()
            _push(archive, address, where.repository, reference.rpartition(":")[2])
            size = sum(path.stat().st_size for path in (root / "data").rglob("*") if path.is_file())
            row("(what the registry holds)", time.monotonic() - started, size / MIB)
            yield root / "certs.d"
        finally:
            stop.set()
            server.join()


def _silent(address: str) -> str | None:
    try:
        return None if _ask(address, "GET", "/v2/")[0] == 200 else "it refuses"
    except OSError as error:
        return str(error)


def _push(archive: Path, address: str, repository: str, tag: str) -> None:
    """Push the one image of ``archive`` (``docker save``'s format), its layers as they are in it."""
    with tarfile.open(archive) as members:

        def member(name: str) -> IO[bytes]:
            content = members.extractfile(name)
            assert content is not None
            return content

        def blob(name: str, media_type: str) -> dict[str, object]:
            size = members.getmember(name).size
            with member(name) as content:
                digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"  # type: ignore[arg-type]
            _, headers = _ask(address, "POST", f"/v2/{repository}/blobs/uploads/")
            upload = headers["Location"].partition(address)[2] or headers["Location"]
            with member(name) as content:
                joint = "&" if "?" in upload else "?"
                status, _ = _ask(address, "PUT", f"{upload}{joint}digest={digest}", content, size=size)
            if status != 201:
                raise HostError(f"the registry answered {status} to a blob of {archive.name}")
            return {"mediaType": media_type, "digest": digest, "size": size}

        [listed] = json.load(member("manifest.json"))
        layer = "application/vnd.oci.image.layer.v1.tar"
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(listed["Config"], "application/vnd.oci.image.config.v1+json"),
            "layers": [
                blob(name, f"{layer}+gzip" if member(name).read(2) == b"\x1f\x8b" else layer)
                for name in listed["Layers"]
            ],
        }
    body = json.dumps(manifest).encode()
    kind = str(manifest["mediaType"])
    status, _ = _ask(
        address, "PUT", f"/v2/{repository}/manifests/{tag}", body, size=len(body), media_type=kind
    )
    if status != 201:
        raise HostError(f"the registry answered {status} to the manifest of {archive.name}")


def _ask(
    address: str,
    method: str,
    path: str,
    body: IO[bytes] | bytes | None = None,
    *,
    size: int = 0,
    media_type: str = "application/octet-stream",
) -> tuple[int, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(address, timeout=300)
    try:
        connection.request(
            method, path, body=body, headers={"Content-Length": str(size), "Content-Type": media_type}
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()
