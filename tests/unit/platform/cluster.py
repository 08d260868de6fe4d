"""A cluster of a dictionary, for what installs and checks addons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.clients.kube_objects import Reference, Refused, Unreachable, Workload
from lab.errors import ProvisionError


class FakeKube:
    """Objects by kind, namespace and name. ``unknown`` are kinds that come with the next try."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.done: list[str] = []
        self.unknown: list[str] = []
        self.refused: dict[str, str] = {}
        self.lingering: list[str] = []
        """What takes one look more to be gone."""

        self.answers: dict[str, list[tuple[int, str]]] = {}
        self.asked: list[tuple[str, str, Mapping[str, str], object]] = []
        self.ready: dict[str, int] = {}
        self.is_away = False
        self.failing_commands: list[str] = []
        """What the next commands complain of."""

    def apply(self, manifests: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> None:
        for thing in manifests:
            name, kind = thing["metadata"]["name"], thing["kind"]
            if kind in self.unknown:
                self.unknown.remove(kind)
                raise Unreachable(f"apply {kind} {name}: the API server does not know this kind (yet)")
            if name in self.refused:
                raise Refused(f"apply {kind} {name} was refused", details=self.refused[name], status=403)
            if not dry_run:
                self.objects[kind, thing["metadata"].get("namespace", ""), name] = thing
            self.done.append(f"{'try' if dry_run else 'apply'} {kind} {name}")

    def is_ready(self) -> bool:
        return not self.is_away

    def remove(self, reference: Reference) -> None:
        self.done.append(f"remove {reference.kind} {reference.name}")
        self.objects.pop((reference.kind, reference.namespace, reference.name), None)

    def exists(self, reference: Reference) -> bool:
        if reference.name in self.lingering:
            self.lingering.remove(reference.name)
            return True
        return (reference.kind, reference.namespace, reference.name) in self.objects

    def is_foreign(self, reference: Reference, label: str, value: str) -> bool:
        thing = self.objects.get((reference.kind, reference.namespace, reference.name))
        return thing is not None and thing["metadata"].get("labels", {}).get(label) != value

    def delete(self, path: str) -> None:
        self.objects.pop(("ConfigMap", "kube-system", path.rpartition("/")[2]), None)

    def get(self, path: str, *, query: Mapping[str, str]) -> Any:
        assert path == "/api/v1/namespaces/kube-system/configmaps"
        name, _, value = query["labelSelector"].partition("=")
        found = [
            thing for thing in self.objects.values() if thing["metadata"].get("labels", {}).get(name) == value
        ]
        return json.loads(json.dumps({"items": found}))

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: object = None
    ) -> tuple[int, str]:
        self.asked.append((method, path, headers or {}, body))
        answers = self.answers[path]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        if name not in self.ready:
            return None
        return Workload(kind, name, 1, self.ready[name], True)

    def job_is_done(self, namespace: str, name: str) -> bool:
        return self.ready.get(name, 0) > 0

    def pods(self, namespace: str, *, labels: str) -> list[Mapping[str, Any]]:
        phase = "Running" if labels in self.ready else "Pending"
        spec = {"containers": [{"name": "main"}, {"name": "beside"}]}
        return [{"metadata": {"name": "p-0"}, "status": {"phase": phase}, "spec": spec}]

    def execute(
        self, namespace: str, pod: str, command: Sequence[str], *, container: str, timeout: float
    ) -> str:
        if self.failing_commands:
            raise ProvisionError(f"{command[0]} failed", details=self.failing_commands.pop(0))
        return f"{namespace}/{pod}/{container}: {' '.join(command)}"
