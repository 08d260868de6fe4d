"""A cluster's API in memory, at the door: objects by path, lists of them, and what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused

LISTS = frozenset(
    "nodes pods services secrets configmaps namespaces daemonsets replicasets controllerrevisions leases "
    "storageclasses servicecidrs endpointslices customresourcedefinitions".split()
)
"""Lists that are there even when nothing is in them."""


class FakeApi:
    """Answers as an API server does; ``done`` has what was changed, ``refuse`` may raise instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, objects: Mapping[str, Any] | None = None) -> None:
        self.objects: dict[str, Any] = {path: named(path, item) for path, item in (objects or {}).items()}
        self.done: list[tuple[str, str]] = []
        self.refuse: Callable[[str, str], None] = lambda method, path: None
        self.deleted: Callable[[str], None] = lambda path: None
        """Called after an object was deleted."""

        monkeypatch.setattr(Kube, "_answer", lambda _, *words: self.answer(*words))

    def answer(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, *_: object
    ) -> tuple[int, str]:
        self.refuse(method, path)
        if method == "GET":
            return 200, json.dumps(self.found(path, query or {}))
        if method == "POST":
            return 201, json.dumps(self.posted(path, body))
        if path not in self.objects:
            raise Refused(f"{method} {path} was refused", details="not found", status=404)
        self.done.append((method, path))
        if method == "DELETE":
            del self.objects[path]
            self.deleted(path)
        else:
            merge(self.objects[path], body)
        return 200, "{}"

    def posted(self, path: str, body: Any) -> Any:
        return {"status": {"allowed": True}}

    def found(self, path: str, query: Mapping[str, str]) -> Any:
        if path in self.objects:
            return self.objects[path]
        base, _, plural = path.rpartition("/")
        items = [item for where, item in self.objects.items() if is_in(where, base, plural)]
        if items or plural in LISTS:
            return {"items": [item for item in items if selected(item, query.get("labelSelector", ""))]}
        raise Refused(f"GET {path} was refused", details="not found", status=404)


def named(path: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """``item`` with the metadata that its path tells."""
    parts = path.split("/")
    metadata: dict[str, Any] = {"name": parts[-1], "labels": {}}
    if "namespaces" in parts[:-2]:
        metadata["namespace"] = parts[parts.index("namespaces") + 1]
    return {**item, "metadata": {**metadata, **item.get("metadata", {})}}


def is_in(where: str, base: str, plural: str) -> bool:
    """Whether the object at ``where`` is in the list ``base/plural``, of one namespace or of all."""
    parts = where.split("/")
    if len(parts) < 3 or parts[-2] != plural:
        return False
    own = "/".join(parts[:-2])
    return own == base or own.startswith(f"{base}/namespaces/")


def selected(item: Mapping[str, Any], selector: str) -> bool:
    labels = item["metadata"]["labels"]
    for word in filter(None, selector.split(",")):
        name, equals, value = word.partition("=")
        holds = labels.get(name) == value if equals else (name.lstrip("!") in labels) != name.startswith("!")
        if not holds:
            return False
    return True


def merge(item: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(item.get(key), dict):
            merge(item[key], value)
        else:
            item[key] = value
