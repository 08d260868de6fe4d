"""``gather``: everything that is needed to understand a failure, in one archive, secrets removed.

Clusters are asked side by side, and within a limit of time. What could not be had, and why, is a line in
``index.txt``: a cluster that is half dead is the very case that this is for. The values of the clusters'
own Secrets are read first, so that they are removed wherever else they turn up.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import platform
import shlex
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from lab import __version__, console, observe, ready, redact
from lab import up as story
from lab.clients import docker
from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.errors import HostError, InputError, LabError
from lab.host import facts
from lab.mesh import check, cilium
from lab.providers.base import ClusterState, NodeState
from lab.settings import LABEL, Settings
from lab.workspace import Workspace, open_workspace, states

log = logging.getLogger(__name__)

_LIMIT_S = 120.0
"""After this long nothing more is asked; what is being asked then has its own limit."""

_LOG_LINES = 2000
_SILENCE = 3
"""An API server that has not answered so many times in a row is not asked any more."""

_Secrets = list[dict[str, Any]] | Exception
"""A cluster's Secrets with their values, or why they could not be had."""

_OBJECTS = {
    "/api/v1": "nodes namespaces pods events services configmaps persistentvolumes persistentvolumeclaims",
    "/apis/apps/v1": "deployments daemonsets statefulsets replicasets",
    "/apis/batch/v1": "jobs",
    "/apis/discovery.k8s.io/v1": "endpointslices",
    "/apis/networking.k8s.io/v1": "networkpolicies",
    "/apis/storage.k8s.io/v1": "storageclasses",
    "/apis/apiregistration.k8s.io/v1": "apiservices",
    "/apis/admissionregistration.k8s.io/v1": "mutatingwebhookconfigurations validatingwebhookconfigurations",
    "/apis/cilium.io/v2": "ciliumnodes ciliumendpoints ciliumidentities ciliumnetworkpolicies "
    "ciliumclusterwidenetworkpolicies",
}

_IN_PODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cilium": (
        "cilium-agent",
        (
            "cilium-dbg status --verbose",
            "cilium-dbg troubleshoot clustermesh",
            "cilium-dbg node list",
            "cilium-dbg service list",
            "cilium-dbg endpoint list",
            "cilium-dbg bpf ipcache list",
        ),
    ),
    "clustermesh-apiserver": ("kvstoremesh", ("clustermesh-apiserver kvstoremesh-dbg status --verbose",)),
}
"""Commands to run, by the label k8s-app of the pods and with the container to run them in."""

_ON_NODES = {
    "kubelet.log": f"journalctl --unit=kubelet --lines={_LOG_LINES} --no-pager --output=short-iso",
    "containerd.log": f"journalctl --unit=containerd --lines={_LOG_LINES} --no-pager --output=short-iso",
    # What the control plane says of itself, when the API server cannot be asked for it.
    "control-plane.log": "sh -c 'tail --lines=300 /var/log/pods/kube-system_kube-*/*/*.log "
    "/var/log/pods/kube-system_etcd-*/*/*.log'",
    "containers.txt": "ctr --namespace=k8s.io containers list",
    "images.txt": "ctr --namespace=k8s.io images list",
    "addresses.txt": "ip -details address",
    "routes.txt": "ip route show table all",
    "rules.txt": "ip rule",
    "nftables.txt": "nft list ruleset",
    "sockets.txt": "ss -tulnp",
    "resolv.conf": "cat /etc/resolv.conf",
    "memory.txt": "cat /proc/meminfo",
    "disk.txt": "df -h",
}


def gather(settings: Settings, topology: str, *, name: str | None, output: str) -> Path:
    """Write the archive (0600) and return its path: ``output``, or LAB-TIME.tar.gz in this folder.

    Works on a lab that is half made, half dead or not there, and without a container engine; takes
    some seconds, and about two minutes at most. Raises :class:`InputError` for a topology that cannot
    be read, :class:`HostError` when the archive cannot be written.
    """
    workspace = open_workspace(settings, topology, name=name)
    at = datetime.now(UTC)
    stem = f"{workspace.lab}-{at:%Y%m%d-%H%M%S}"
    path = Path(output or ".").expanduser().absolute()
    if path.is_dir():
        path /= f"{stem}.tar.gz"
    # What is there is replaced, and as root that could be /dev/null.
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise InputError(f"no file can be made at {path}", remedy="Give --output a file or a folder.")
    secrets = workspace.on_each(lambda cluster: _secrets(workspace, cluster))
    known = redact.Redactor(value for each in secrets.values() for value in _values(each))
    try:
        with _Archive(path, folder=stem, redactor=known) as archive:
            _collect(workspace, archive, secrets)
            archive.finish(f"{workspace.lab}, gathered {at:%Y-%m-%dT%H:%M:%SZ} by lab {__version__}")
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}") from error
    if archive.missing:
        console.note(f"{len(archive.missing)} things could not be had; index.txt in the archive says why.")
    return path


class _Archive:
    """A .tar.gz that is written from several threads, each file through the redactor."""

    def __init__(self, path: Path, *, folder: str, redactor: redact.Redactor) -> None:
        self.missing: list[str] = []
        self._path, self._folder, self._redactor = path, folder, redactor
        self._held: list[str] = []
        self._lock = Lock()
        self._started = time.monotonic()
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        self._partial = Path(partial)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz", compresslevel=6)  # noqa: SIM115  # see __exit__

    def put(self, name: str, get: Callable[[], object]) -> object:
        """Store what ``get`` returns (text, or what JSON can hold) as ``name``; or why it could not be had.

        Returns what was stored, secrets included, or the error.
        """
        if time.monotonic() - self._started > _LIMIT_S:
            return self.miss(name, HostError(f"not asked for: {_LIMIT_S:g} s had passed"))
        try:
            value = get()
        except Exception as error:  # one thing that fails in an unforeseen way costs only itself
            log.debug("%s", name, exc_info=error)
            return self.miss(name, error)
        self._add(name, value)
        return value

    def miss(self, name: str, error: Exception) -> Exception:
        """Note that ``name`` could not be had."""
        brief = error.brief if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
        details = error.details.strip().splitlines() if isinstance(error, LabError) else []
        self.missing.append(f"{name}: {brief}" + (f" ({details[-1].strip()})" if details else ""))
        return error

    def finish(self, title: str) -> None:
        """Write the index."""
        took = console.duration(time.monotonic() - self._started)
        lines = [
            f"{title}, in {took}.",
            "Secrets were removed as far as they can be told; look through it before strangers get it.",
            "",
            f"Could not be had: {len(self.missing) or 'nothing is missing'}",
            *(f"  {line}" for line in sorted(self.missing)),
            "",
            f"Held: {len(self._held)} files",
            *(f"  {line}" for line in sorted(self._held)),
        ]
        self._add("index.txt", "\n".join(lines) + "\n")

    def _add(self, name: str, value: object) -> None:
        if isinstance(value, str):
            text = self._redactor.text(value)
        else:
            text = json.dumps(self._redactor.tree(value), indent=1, ensure_ascii=False, default=self._told)
        data = text.encode("utf-8", errors="replace")
        entry = tarfile.TarInfo(f"{self._folder}/{name}")
        entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
        with self._lock:
            self._tar.addfile(entry, io.BytesIO(data))
            self._held.append(name)

    def _told(self, value: object) -> str:
        return self._redactor.text(str(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._tar.close()
            self._file.close()
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _collect(workspace: Workspace, archive: _Archive, secrets: Mapping[str, _Secrets]) -> None:
    """Everything, as much of it as possible at once."""
    try:
        nodes = states(workspace)
    except LabError as error:
        archive.miss("nodes of all clusters", error)
        nodes = {}
    with ThreadPoolExecutor(max_workers=8) as pool:
        jobs = [pool.submit(_host, workspace, archive), pool.submit(_engine, workspace, archive, nodes)]
        for cluster, found in secrets.items():
            jobs.append(pool.submit(_cluster, workspace, archive, cluster, found))
            if cluster not in nodes:
                archive.miss(f"{cluster}/nodes", HostError("there are none"))
            there = nodes[cluster].nodes if cluster in nodes else ()
            jobs += [pool.submit(_node, archive, workspace, cluster, node) for node in there]
        for job in jobs:
            job.result()


def _host(workspace: Workspace, archive: _Archive) -> None:
    """This machine, and the lab's own files."""
    settings, asked_for, folder = workspace.settings, workspace.asked_for, workspace.folder
    archive.put("host/versions.json", _versions)
    archive.put("host/facts.json", lambda: asdict(facts.observe(settings)))
    archive.put(
        "host/doctor.json",
        lambda: [each.as_json() for each in ready.examine(settings, asked_for, name=workspace.lab)],
    )
    archive.put("lab/topology.yaml", workspace.topology.path.read_text)
    request = story.Request(topology=asked_for, name=workspace.lab)
    archive.put("lab/plan.json", lambda: story.plan(settings, request).as_json())
    # The folder holds keys as well: only what is named here is taken.
    kept = [folder.path / "addresses.json", folder.path / "verified", *folder.path.glob("made-*")]
    for file in (*kept, *_newest(folder.journals, "*.jsonl", 20)):
        if file.exists():
            archive.put(f"lab/{file.relative_to(folder.path)}", file.read_text)
    for file in _newest(settings.state / "logs", "*.log", 10):
        archive.put(f"lab/logs/{file.name}", file.read_text)


def _versions() -> dict[str, Any]:
    packages = {package.name: package.version for package in metadata.distributions()}
    return {
        "lab": __version__,
        "cilium": observe.CILIUM,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _newest(folder: Path, pattern: str, count: int) -> list[Path]:
    return sorted(folder.glob(pattern))[-count:] if folder.is_dir() else []


def _engine(workspace: Workspace, archive: _Archive, nodes: Mapping[str, ClusterState]) -> None:
    label = f"{LABEL}={workspace.lab}"
    names = {node.name for state in nodes.values() for node in state.nodes}

    def containers() -> list[dict[str, Any]]:
        return [
            {**asdict(each), "env": sorted(each.env)}
            for each in docker.containers()
            if each.name in names or each.labels.get(LABEL) == workspace.lab
        ]

    archive.put("engine/engine.json", lambda: asdict(docker.engine()))
    archive.put("engine/containers.json", containers)
    archive.put("engine/networks.json", lambda: [asdict(each) for each in docker.networks(label)])
    archive.put("engine/volumes.json", lambda: [asdict(each) for each in docker.volumes(label)])


def _node(archive: _Archive, workspace: Workspace, cluster: str, node: NodeState) -> None:
    """One node; of a container that is stopped there is what it wrote."""
    folder, traits = f"{cluster}/nodes/{node.name}", workspace.topology.cluster(cluster).traits
    if traits.containers:
        archive.put(f"{folder}/container.log", lambda: docker.logs(node.name, tail=_LOG_LINES))
    if not (node.running and traits.shells):
        archive.miss(folder, HostError(f"{node.name} does not run, or nothing can be run on it"))
        return
    for name, command in _ON_NODES.items():
        # `timeout` ends it on the node: ending the engine's client would leave it running there.
        words = ("timeout", "20", *shlex.split(command))
        archive.put(f"{folder}/{name}", partial(workspace.provider(cluster).run_on, node.name, words))


def _cluster(workspace: Workspace, archive: _Archive, cluster: str, secrets: _Secrets) -> None:
    """What a cluster's API server tells: objects, logs, and what Cilium says of itself."""
    if isinstance(secrets, Exception):
        archive.miss(f"{cluster}/objects/secrets.json", secrets)
    else:
        archive.put(f"{cluster}/objects/secrets.json", lambda: [_stripped(secret) for secret in secrets])
    kube = workspace.kubes[cluster]
    if not kube.kubeconfig.exists():
        return
    silent = _SILENCE - 1 if isinstance(secrets, Unreachable) else 0
    pods: list[Mapping[str, Any]] = []
    namespaces = {cilium.NAMESPACE, check.NAMESPACE}
    for name, get in _asked(kube, pods=pods, namespaces=namespaces):
        got = archive.put(f"{cluster}/{name}", get)
        silent = silent + 1 if isinstance(got, Unreachable) else 0
        if silent == _SILENCE:
            archive.miss(f"{cluster}/...", HostError("not asked for more: the API server does not answer"))
            return
        if name == "objects/pods.json" and isinstance(got, list):
            pods += got
        if name == "objects/namespaces.json" and isinstance(got, list):
            namespaces |= {
                each["metadata"]["name"] for each in got if LABEL in each["metadata"].get("labels", {})
            }


def _asked(
    kube: Kube, *, pods: Sequence[Mapping[str, Any]], namespaces: Iterable[str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """What to ask an API server, in order: names and questions.

    ``pods`` and ``namespaces`` (whose logs are wanted) are filled by whoever asks, from the answers.
    """
    yield "version.json", partial(kube.get, "/version")
    yield "readyz.txt", partial(kube.request, "GET", "/readyz", query={"verbose": "true"})
    for api, kinds in _OBJECTS.items():
        for kind in kinds.split():
            yield f"objects/{kind}.json", partial(_items, kube, f"{api}/{kind}")
    for pod in pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        container, commands = _IN_PODS.get(pod["metadata"].get("labels", {}).get("k8s-app", ""), ("", ()))
        for command in commands:
            execute = partial(kube.execute, namespace, name, command.split(), container=container)
            yield f"cilium/{name}/{command.replace(' ', '-')}.txt", execute
    for pod in pods:
        if pod["metadata"]["namespace"] in namespaces:
            yield from _logs(kube, pod)


def _logs(kube: Kube, pod: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], object]]]:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    all_of_it = pod["status"]
    for status in (*all_of_it.get("initContainerStatuses", ()), *all_of_it.get("containerStatuses", ())):
        container = status["name"]
        for previous in (False, True) if status.get("restartCount") else (False,):
            yield (
                f"logs/{namespace}/{name}/{container}{'.previous' if previous else ''}.log",
                partial(kube.log, namespace, name, container=container, previous=previous, lines=_LOG_LINES),
            )


def _items(kube: Kube, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = kube.get(path)["items"]
    for item in items:
        # Who wrote which field when: half of the text, and of no use here.
        item["metadata"].pop("managedFields", None)
    return items


def _secrets(workspace: Workspace, cluster: str) -> _Secrets:
    """A cluster's Secrets with their values, or why there are none; they go no further than this module."""
    kube = workspace.kubes[cluster]
    if not kube.kubeconfig.exists():
        return HostError("the cluster has not been made, or not to its end: it has no kubeconfig")
    try:
        return list(kube.get("/api/v1/secrets", timeout=10)["items"])
    except LabError as error:
        return error


def _stripped(secret: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret's name and type, and the names of what it holds."""
    return {
        "namespace": secret["metadata"]["namespace"],
        "name": secret["metadata"]["name"],
        "type": secret.get("type"),
        "keys": sorted(secret.get("data") or {}),
    }


def _values(secrets: _Secrets) -> Iterator[str]:
    """Values that are secret wherever they stand: those called so, and those that look random."""
    if isinstance(secrets, Exception):
        return
    for secret in secrets:
        # A release holds all of a chart's values and templates, compressed: nobody else quotes it.
        if secret.get("type") == "helm.sh/release.v1":
            continue
        for key, encoded in (secret.get("data") or {}).items():
            value = base64.b64decode(encoded).decode("utf-8", errors="replace").strip()
            if redact.is_secret(key, value):
                yield value
