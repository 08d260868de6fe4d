"""The Git server of the addon argocd, on loopback, with the Git of this machine on both sides."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from lab.settings import PROJECT

ADDON = PROJECT / "addons" / "argocd"
LS_REFS = b"0014command=ls-refs\n0000"


def has_backend() -> bool:
    if not shutil.which("git"):
        return False
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return Path(found, "git-http-backend").is_file()


pytestmark = pytest.mark.skipif(not has_backend(), reason="there is no git http-backend here")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("git_front", ADDON / "git-front.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


front = load()


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Lab:
    """What the pod has: a folder of repositories, the server, and Git as the pod's Git is told to be."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.repositories = folder / "repositories"
        self.port = port
        self.url = f"http://127.0.0.1:{port}/demo.git"

    def run(self, *command: str | Path, within: Path | None = None) -> str:
        done = subprocess.run(
            [str(each) for each in command],
            cwd=within or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def git(self, *words: str | Path, within: Path | None = None) -> str:
        return self.run("git", *words, within=within)

    def clone(self, name: str) -> Path:
        self.git("clone", "-q", self.url, name)
        return self.folder / name

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def say(self, text: bytes) -> bytes:
        """What is answered, until the connection is closed, to bytes that no client would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(text)
            answer = b""
            while block := connection.recv(65536):
                answer += block
            return answer


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A server with the one repository, seeded as the addon does it."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(ADDON / "git-config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("no_proxy", "*")
    repositories = tmp_path / "repositories"
    repositories.mkdir()
    server = front.Server(("127.0.0.1", 0), repositories)
    made = Lab(tmp_path, server.server_address[1])
    # As Kubernetes mounts a ConfigMap.
    files = tmp_path / "files"
    (files / "..1" / "storefront").mkdir(parents=True)
    (files / "..1" / "README.md").write_text("demo\n", encoding="utf-8")
    (files / "..1" / "storefront" / "page.yaml").write_text("kind: ConfigMap\n", encoding="utf-8")
    (files / "..data").symlink_to("..1")
    for name in ("README.md", "storefront"):
        (files / name).symlink_to(f"..data/{name}")
    seed(made)
    with running(server):
        yield made


def seed(lab: Lab) -> str:
    return lab.run("sh", ADDON / "git-seed.sh", lab.folder / "files", lab.repositories)


def commit(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    subprocess.run(["git", "-C", folder, "add", "."], check=True)
    subprocess.run(["git", "-C", folder, "commit", "-q", "-m", name], check=True)


def test_what_is_pushed_is_cloned(lab: Lab) -> None:
    first = lab.clone("first")
    assert lab.git("ls-files", "--stage", within=first).count("100644") == 2
    assert lab.git("ls-files", within=first) == "README.md\nstorefront/page.yaml"
    commit(first, "new.txt", b"new\n")
    lab.git("push", "-q", within=first)
    second = lab.clone("second")
    assert (second / "new.txt").read_bytes() == b"new\n"
    assert lab.git("log", "--format=%s", within=second) == "new.txt\nA small shop front"
    commit(second, "newer.txt", b"newer\n")
    lab.git("push", "-q", within=second)
    lab.git("pull", "-q", within=first)
    assert (first / "newer.txt").read_bytes() == b"newer\n"


def test_a_large_push_comes_in_chunks(lab: Lab) -> None:
    folder = lab.clone("work")
    content = os.urandom(1_000_000)
    commit(folder, "large", content)
    lab.git("-c", "http.postBuffer=65536", "push", "-q", within=folder)
    assert (lab.clone("again") / "large").read_bytes() == content


def test_a_push_that_is_behind_is_refused_by_git(lab: Lab) -> None:
    first, second = lab.clone("first"), lab.clone("second")
    commit(first, "a", b"a")
    lab.git("push", "-q", within=first)
    commit(second, "b", b"b")
    done = subprocess.run(["git", "-C", second, "push"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "fetch first" in done.stderr


def test_old_clients_are_served(lab: Lab) -> None:
    lab.git("-c", "protocol.version=0", "clone", "-q", lab.url, "old")
    assert (lab.folder / "old" / "README.md").is_file()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_bodies_of_every_kind_reach_git(lab: Lab, *, packed: bool, in_chunks: bool) -> None:
    body = gzip.compress(LS_REFS) if packed else LS_REFS
    headers = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    if packed:
        headers["Content-Encoding"] = "gzip"
    if in_chunks:
        headers["Transfer-Encoding"] = "chunked"
    sent = iter([body[:5], body[5:]]) if in_chunks else body
    status, answer = lab.ask("/demo.git/git-upload-pack", method="POST", body=sent, headers=headers)
    assert status == 200
    assert b"refs/heads/main" in answer


def test_a_client_that_knows_no_chunks_is_answered(lab: Lab) -> None:
    answer = lab.say(b"GET /demo.git/info/refs?service=git-upload-pack HTTP/1.0\r\n\r\n")
    assert b"# service=git-upload-pack" in answer
    assert b"chunked" not in answer
    assert answer.endswith(b"0000")


def test_it_says_that_it_is_there_and_what_it_has(lab: Lab) -> None:
    (lab.repositories / ".new").mkdir()
    assert lab.ask("/healthz") == (200, b"ok\n")
    assert lab.ask("/") == (200, f"git clone {lab.url}\n".encode())


@pytest.mark.parametrize(
    "path",
    [
        "/../demo.git/info/refs?service=git-upload-pack",
        "/x/../demo.git/info/refs?service=git-upload-pack",
        "/demo.git/../demo.git/info/refs?service=git-upload-pack",
        "/%2e%2e/demo.git/info/refs?service=git-upload-pack",
        "/demo.git%2finfo/refs?service=git-upload-pack",
        "/..git/info/refs?service=git-upload-pack",
        "/.new.git/info/refs?service=git-upload-pack",
        "/repositories/demo.git/info/refs?service=git-upload-pack",
        "http://elsewhere/demo.git/info/refs?service=git-upload-pack",
        "/other.git/info/refs?service=git-upload-pack",
        "/demo.git/config",
        "/demo.git/HEAD",
        "/demo.git/objects/info/packs",
        "/demo",
    ],
)
def test_nothing_else_is_served(lab: Lab, path: str) -> None:
    lab.git("clone", "-q", "--bare", lab.url, ".new.git", within=lab.repositories)
    assert lab.ask(path)[0] == 404


@pytest.mark.parametrize("query", ["", "?service=git-archive", "?service=git-upload-pack&x=1", "?service="])
def test_only_the_smart_protocol_is_spoken(lab: Lab, query: str) -> None:
    assert lab.ask(f"/demo.git/info/refs{query}")[0] == 403


def test_each_request_has_its_method(lab: Lab) -> None:
    assert lab.ask("/demo.git/git-upload-pack")[0] == 405
    assert lab.ask("/demo.git/info/refs?service=git-upload-pack", method="POST", body=b"")[0] == 405
    assert lab.ask("/demo.git/info/refs", method="DELETE")[0] == 501


@pytest.mark.parametrize("in_chunks", [False, True])
def test_too_much_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch, *, in_chunks: bool) -> None:
    monkeypatch.setattr(front, "MOST_BYTES", 1000)
    headers = {"Transfer-Encoding": "chunked"} if in_chunks else {}
    body = iter([b"x" * 600, b"x" * 600]) if in_chunks else b"x" * 1200
    assert lab.ask("/demo.git/git-receive-pack", method="POST", body=body, headers=headers)[0] == 413


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n0000",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nsize\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n0000more\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20 + b"\r\n",
    ],
)
def test_what_is_framed_wrongly_is_refused_and_the_connection_closed(lab: Lab, rest: bytes) -> None:
    answer = lab.say(b"POST /demo.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n" + rest)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_get_has_no_body(lab: Lab) -> None:
    answer = lab.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET ")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_ends_early_is_refused(lab: Lab) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=20) as connection:
        connection.sendall(
            b"POST /demo.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n0000"
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_whoever_waits_too_long_for_a_turn_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MOST_AT_ONCE", 0)
    monkeypatch.setattr(front, "RUN_S", 0.05)
    server = front.Server(("127.0.0.1", 0), lab.repositories)
    with running(server):
        lab.port = server.server_address[1]
        assert lab.ask("/demo.git/info/refs?service=git-upload-pack")[0] == 503


def test_a_git_that_hangs_is_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = lab.folder / "programs"
    programs.mkdir()
    slow = programs / "git"
    slow.write_text(
        "#!/bin/sh\nprintf 'Status: 200 OK\\r\\n\\r\\nhalf'\nsleep 60 &\nwait\n", encoding="utf-8"
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(front, "RUN_S", 0.3)
    with pytest.raises(http.client.IncompleteRead) as cut:
        lab.ask("/demo.git/info/refs?service=git-upload-pack")
    assert cut.value.partial == b"half"


def test_seeding_again_keeps_what_was_pushed(lab: Lab) -> None:
    folder = lab.clone("work")
    commit(folder, "new.txt", b"new\n")
    lab.git("push", "-q", within=folder)
    (lab.folder / "files" / "README.md").write_text("another\n", encoding="utf-8")
    assert seed(lab) == "demo.git is there"
    again = lab.clone("again")
    assert (again / "new.txt").is_file()
    assert (again / "README.md").read_text(encoding="utf-8") == "demo\n"


def test_what_an_interrupted_seeding_left_is_made_anew(lab: Lab) -> None:
    shutil.rmtree(lab.repositories / "demo.git")
    (lab.repositories / ".new").mkdir()
    assert seed(lab) == "made demo.git"
    assert (lab.clone("work") / "README.md").is_file()


def test_checks_commit_beside_one_another(lab: Lab) -> None:
    def put(cluster: str, *nonce: str) -> str:
        return lab.run("sh", ADDON / "git-commit.sh", lab.url, cluster, *nonce)

    clusters = [f"app{number}" for number in range(1, 5)]
    with ThreadPoolExecutor(len(clusters)) as pool:
        assert all(pool.map(put, clusters, clusters))
    only = lab.clone("work") / "storefront" / "only"
    assert {
        each.parent.name: f'"{each.parent.name}"' in each.read_text() for each in only.glob("*/*")
    } == dict.fromkeys(clusters, True)
    before = put("app1", "app1")
    assert put("app1", "app1") == before
    put("app1")
    assert put("app1")
    assert not (lab.clone("later") / "storefront" / "only" / "app1").exists()


class ArgoCD(ThreadingHTTPServer):
    """As much of it as hears of a push."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.heard: list[tuple[Message, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    server: ArgoCD

    def do_POST(self) -> None:
        self.server.heard.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def hook(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    hooks = lab.repositories / "demo.git" / "hooks"
    copied = hooks / "post-receive"
    hooks.mkdir(exist_ok=True)
    text = (ADDON / "post-receive").read_text(encoding="utf-8")
    copied.write_text(text.replace("/usr/bin/env python3", sys.executable), encoding="utf-8")
    copied.chmod(0o755)
    lab.git("config", "core.hooksPath", hooks, within=lab.repositories / "demo.git")
    monkeypatch.setenv("GIT_URL", "http://git.argocd.svc:8080")
    monkeypatch.setenv("WEBHOOK_SECRET", "known to both")
    return lab


def pushed(lab: Lab) -> tuple[str, str]:
    """The commit that was pushed, and what Git showed of it."""
    folder = lab.clone("pushing")
    commit(folder, "new.txt", b"new\n")
    done = subprocess.run(["git", "-C", folder, "push"], capture_output=True, text=True, check=True)
    return lab.git("rev-parse", "HEAD", within=folder), done.stderr


def test_argo_cd_is_told_of_a_push(hook: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ArgoCD()
    with running(server):
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_address[1]}/api/webhook")
        sha, shown = pushed(hook)
    assert "remote: Argo CD was told of refs/heads/main" in shown
    [(headers, body)] = server.heard
    told = json.loads(body)
    assert headers["X-GitHub-Event"] == "push"
    assert (
        headers["X-Hub-Signature-256"]
        == f"sha256={hmac.new(b'known to both', body, hashlib.sha256).hexdigest()}"
    )
    assert (told["ref"], told["after"]) == ("refs/heads/main", sha)
    assert told["repository"] == {"html_url": "http://git.argocd.svc:8080/demo", "default_branch": "main"}


def test_a_push_does_not_need_argo_cd(hook: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{closed}/api/webhook")
    _, shown = pushed(hook)
    assert "remote: Argo CD could not be told of refs/heads/main" in shown
    assert (hook.clone("again") / "new.txt").is_file()
