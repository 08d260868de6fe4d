"""What an experiment puts into clusters: written down before it is there, until it was seen to be gone.

So a later command can remove it, where the one that applied it was killed, or where a cluster was away when
its objects were to go.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from threading import Lock
from typing import Final

from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.clients.wait import wait_until
from lab.document.position import listed
from lab.errors import HostError, LabError
from lab.state import LabFolder

_FILE: Final = "applied"
"""File in the lab's folder: cluster and reference of each object, in the order in which they were applied."""

_GONE_S: Final = 120.0


class Left:
    """The objects of experiments on one lab, for the command that has its lock. Threads may share it."""

    def __init__(self, folder: LabFolder) -> None:
        """Read what is there, or what an earlier command has left."""
        self._folder = folder
        self._lock = Lock()
        entries = json.loads(folder.read(_FILE) or "[]")
        self._objects = {(cluster, Reference(*each)): None for cluster, *each in entries}

    @property
    def clusters(self) -> list[str]:
        """Where there is something, each once."""
        with self._lock:
            return list(dict.fromkeys(cluster for cluster, _ in self._objects))

    def add(self, cluster: str, objects: Iterable[Reference]) -> None:
        """Write down what is about to be applied. Raises :class:`HostError` where that cannot be done."""
        with self._lock:
            new = {(cluster, each): None for each in objects if (cluster, each) not in self._objects}
            if new:
                self._objects |= new
                self._write()

    def forget(self, cluster: str, objects: Collection[Reference] | None = None) -> None:
        """Take out what has been removed: ``objects``, or everything where the cluster itself is gone."""
        with self._lock:
            kept = {
                (where, each): None
                for where, each in self._objects
                if where != cluster or (objects is not None and each not in objects)
            }
            if len(kept) < len(self._objects):
                self._objects = kept
                self._write()

    def remove(self, kubes: Mapping[str, Kube], *, answers_within: float = 30.0) -> dict[str, str]:
        """Remove everything from clusters in ``kubes``, the last first, and wait until it is gone.

        Each is given ``answers_within`` seconds to answer at all. Return by cluster why something could not
        be removed; it stays written down.
        """

        def attempt(cluster: str) -> str:
            try:
                self._remove(cluster, kubes[cluster], answers_within)
            except LabError as error:
                return " ".join(filter(None, (error.brief, error.details)))
            return ""

        names = [cluster for cluster in self.clusters if cluster in kubes]
        if not names:
            return {}
        with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
            found = dict(zip(names, pool.map(attempt, names), strict=True))
        return {cluster: why for cluster, why in found.items() if why}

    def _remove(self, cluster: str, kube: Kube, answers_within: float) -> None:
        def look() -> str | None:
            return None if kube.is_ready() else "it is not ready"

        # Until then it may know fewer kinds than it has, and what has no kind counts as gone.
        wait_until(f"the API server of {cluster}", look, timeout=answers_within)
        with self._lock:
            leaving = [each for where, each in self._objects if where == cluster][::-1]
        for each in leaving:
            kube.remove(each)

        def still() -> str | None:
            for each in list(leaving):
                if kube.exists(each):
                    return f"{each.kind} {each.name} is still there"
                leaving.remove(each)
                self.forget(cluster, [each])
            return None

        wait_until(f"the end of {listed([each.name for each in leaving])}", still, timeout=_GONE_S)

    def _write(self) -> None:
        try:
            self._folder.write(_FILE, json.dumps([[where, *astuple(each)] for where, each in self._objects]))
        except OSError as error:
            raise HostError(
                "what an experiment applies cannot be written down",
                details=str(error),
                remedy=f"See to {self._folder.path}: whose it is, and what room there is.",
            ) from error
