"""The only door to the Kubernetes API: typed answers out, our own errors instead of the client's.

One :class:`Kube` speaks to one cluster through its own kubeconfig file; the user's current context
is neither read nor changed. Importing this module is cheap: the client, which takes most of a
second to import, is loaded with the first call.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.clients.kube_errors import converted
from lab.clients.kube_objects import Node, Reference, Refused, Unreachable, Workload, renamed

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.dynamic import DynamicClient

    from lab.clients.kube_streams import Connection

log = logging.getLogger(__name__)

FIELD_MANAGER = "multicluster-lab"
"""Who owns the fields that we apply, as the API server records it."""

DEFAULT_TIMEOUT_S = 15.0


class _Loaded:
    """A client for a kubeconfig as it was when it was ``written``."""

    def __init__(self, kubeconfig: Path, written: int) -> None:
        self._kubeconfig = kubeconfig
        self.written = written

    @cached_property
    def api(self) -> ApiClient:
        from kubernetes import client, config

        configuration = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(self._kubeconfig), client_configuration=configuration
        )
        # Waiting is ours to do (lab.clients.wait); urllib3's own retries would multiply time-outs.
        configuration.retries = False
        return client.ApiClient(configuration)

    @cached_property
    def dynamic(self) -> DynamicClient:
        from kubernetes.dynamic import DynamicClient

        return DynamicClient(self.api)  # type: ignore[no-untyped-call]


def _written(path: Path) -> int:
    """When the file was last written, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Kube:
    """One cluster's API. Methods raise :class:`Unreachable` or :class:`Refused`; times are seconds.

    ``timeout`` is what each request is given unless it says otherwise. ``images`` are those that its nodes
    have under another name: what is applied names them so.
    """

    def __init__(
        self,
        kubeconfig: Path,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        images: Mapping[str, str] | None = None,
    ) -> None:
        self.kubeconfig = kubeconfig
        self.timeout = timeout
        self.images = images or {}
        self._loaded: _Loaded | None = None

    @property
    def _client(self) -> _Loaded:
        """The client for the kubeconfig as it is: a cluster that was started may have another address."""
        loaded, written = self._loaded, _written(self.kubeconfig)
        if loaded is None or loaded.written != written:
            # Threads that come here at once each load one, and the last is kept.
            self._loaded = loaded = _Loaded(self.kubeconfig, written)
        return loaded

    @property
    def _api(self) -> ApiClient:
        return self._client.api

    @property
    def _dynamic(self) -> DynamicClient:
        return self._client.dynamic

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> str:
        """The raw answer to ``method path``, as text; for paths that have no typed method here."""
        return self._answer(method, path, query, body, {"Content-Type": content_type}, timeout)[1]

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        headers: Mapping[str, str],
        timeout: float | None,
    ) -> tuple[int, str]:
        from kubernetes.client.exceptions import ApiException

        with converted(f"{method} {path}"):
            verb, url, sent, content, _ = self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json, */*", **headers},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._api.call_api(verb, url, sent, content, _request_timeout=timeout or self.timeout)
            data: bytes = response.read()  # type: ignore[no-untyped-call]
            text = data.decode("utf-8", errors="replace")
            if response.status >= 400:
                raise ApiException(status=response.status, reason=response.reason, body=text)
            return response.status, text

    def get(self, path: str, *, query: Mapping[str, str] | None = None, timeout: float | None = None) -> Any:
        """The JSON at ``path``, parsed."""
        return json.loads(self.request("GET", path, query=query, timeout=timeout))

    def is_ready(self, *, timeout: float = 5) -> bool:
        """Whether the API server says of itself that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout=timeout) == "ok"
        except (Unreachable, Refused):
            return False

    def nodes(self, *, timeout: float | None = None) -> list[Node]:
        """The cluster's nodes."""
        return [
            Node(
                name=item["metadata"]["name"],
                ready=any(
                    c["type"] == "Ready" and c["status"] == "True"
                    for c in item["status"].get("conditions", ())
                ),
                labels=item["metadata"].get("labels", {}),
            )
            for item in self.get("/api/v1/nodes", timeout=timeout)["items"]
        ]

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """A ``Deployment``, ``DaemonSet`` or ``StatefulSet``; None if there is none of that name."""
        try:
            item = self.get(f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s/{name}")
        except Refused as error:
            if error.status == 404:
                return None
            raise
        status = item.get("status", {})
        if kind == "DaemonSet":
            wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
            updated = status.get("updatedNumberScheduled", 0)
        else:
            wanted, ready = item["spec"].get("replicas", 1), status.get("readyReplicas", 0)
            updated = status.get("updatedReplicas", 0)
        seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
        return Workload(kind, name, wanted, ready, seen and updated >= wanted)

    def pods(self, namespace: str, *, labels: str = "") -> list[Mapping[str, Any]]:
        """Pods of a namespace with the label selector ``labels``."""
        query = {"labelSelector": labels} if labels else {}
        items: list[Mapping[str, Any]] = self.get(f"/api/v1/namespaces/{namespace}/pods", query=query)[
            "items"
        ]
        return items

    def secrets(self, namespace: str, *, labels: str) -> list[Mapping[str, Any]]:
        """Metadata of the Secrets with the label selector ``labels``; never their data."""
        items = self.get(f"/api/v1/namespaces/{namespace}/secrets", query={"labelSelector": labels})["items"]
        return [item["metadata"] for item in items]

    def job_is_done(self, namespace: str, name: str) -> bool:
        """Whether there is such a Job and it has completed."""
        try:
            job = self.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")
        except Refused as error:
            if error.status == 404:
                return False
            raise
        conditions = job.get("status", {}).get("conditions", ())
        return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)

    def apply(self, manifests: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> None:
        """Apply ``manifests`` on the server, in order; what others own is taken over.

        With ``dry_run`` the server decides as it would, admission included, and changes nothing.
        """
        for manifest in manifests:
            metadata = manifest["metadata"]
            with converted(f"apply {manifest['kind']} {metadata['name']}"):
                resource = self._dynamic.resources.get(
                    api_version=manifest["apiVersion"], kind=manifest["kind"]
                )
                resource.server_side_apply(
                    body=renamed(manifest, self.images),
                    name=metadata["name"],
                    namespace=metadata.get("namespace"),
                    field_manager=FIELD_MANAGER,
                    force_conflicts=True,
                    **({"dry_run": "All"} if dry_run else {}),
                    _request_timeout=self.timeout,
                )

    def merge(self, path: str, change: Mapping[str, Any]) -> None:
        """Change the object at ``path`` as a JSON merge patch (RFC 7386) says."""
        self.request("PATCH", path, body=change, content_type="application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete the object at ``path``, if it is there, with what it owns."""
        try:
            # Unless asked, the API server leaves a Job's pods behind.
            self.request("DELETE", path, query={"propagationPolicy": "Background"})
        except Refused as error:
            if error.status != 404:
                raise

    def remove(self, reference: Reference) -> None:
        """Have an object removed, with what it owns. It may still be there for a while.

        Nothing happens if it is not there, or if the cluster does not know its kind any more.
        """
        if path := self._path(reference):
            self.delete(path)

    def exists(self, reference: Reference) -> bool:
        """Whether there is such an object, perhaps on its way out."""
        return self._labels(reference) is not None

    def is_foreign(self, reference: Reference, label: str, value: str) -> bool:
        """Whether there is such an object, and ``label`` does not say ``value`` on it."""
        labels = self._labels(reference)
        return labels is not None and labels.get(label) != value

    def _labels(self, reference: Reference) -> Mapping[str, str] | None:
        """The labels of an object; None where there is none such."""
        path = self._path(reference)
        if not path:
            return None
        try:
            labels: Mapping[str, str] = self.get(path)["metadata"].get("labels") or {}
        except Refused as error:
            if error.status != 404:
                raise
            return None
        return labels

    def _path(self, reference: Reference) -> str:
        """Where the API has the object; empty where it does not know such a kind."""
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        with converted(f"find {reference.kind}"):
            try:
                resource = self._dynamic.resources.get(api_version=reference.api_version, kind=reference.kind)
            except ResourceNotFoundError:
                return ""
            return str(resource.path(name=reference.name, namespace=reference.namespace or None))

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        timeout: float | None = None,
    ) -> tuple[int, str]:
        """The status and the text of the answer to ``method path``, whatever they are.

        ``headers`` are added to the usual ones. Raises :class:`Unreachable` as every method does: without
        an answer, and for a service that serves nothing yet.
        """
        kept = {"Content-Type": "application/json", **(headers or {})}
        try:
            return self._answer(method, path, None, body, kept, timeout)
        except Refused as error:
            return error.status, error.body

    def ask_pod(
        self,
        namespace: str,
        pod: str,
        *,
        port: int,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> str:
        """GET ``path`` of a pod's HTTP server, through the API server."""
        return self.request(
            "GET",
            f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}",
            query=query,
            timeout=timeout,
        )

    def execute(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        container: str,
        timeout: float | None = None,
    ) -> str:
        """What ``command`` printed to stdout in a container of a pod.

        Raises :class:`ProvisionError` with its stderr when it failed or did not end in time.
        """
        from lab.clients import kube_streams

        return kube_streams.execute(
            self._api, namespace, pod, command, container=container, timeout=timeout or self.timeout
        )

    def connect(self, namespace: str, pod: str, port: int) -> Connection:
        """A connection to a port of a pod, through the API server."""
        from lab.clients import kube_streams

        return kube_streams.connect(self._api, namespace, pod, port)

    def log(
        self, namespace: str, pod: str, *, container: str = "", previous: bool = False, lines: int = 50
    ) -> str:
        """The last ``lines`` lines that a container of a pod wrote."""
        query = {"tailLines": str(lines), "previous": str(previous).lower()}
        if container:
            query["container"] = container
        return self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query=query)

    def warnings(self, *, namespace: str = "", limit: int = 15) -> list[str]:
        """The newest warning events, newest last, one line each."""
        path = f"/api/v1/namespaces/{namespace}/events" if namespace else "/api/v1/events"
        items = self.get(path, query={"fieldSelector": "type=Warning"})["items"]
        items.sort(key=lambda item: item.get("lastTimestamp") or item["metadata"]["creationTimestamp"])
        return [
            f"{item['involvedObject'].get('kind')}/{item['involvedObject'].get('name')}: "
            f"{item.get('reason')}: {' '.join((item.get('message') or '').split())}"
            for item in items[-limit:]
        ]
