"""The pods that make requests during an experiment: set up, and listened to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from threading import Event
from typing import Any

from lab.catalog.addon import Workload
from lab.catalog.contract_vocabulary import MESH_NAMESPACE
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.clients.wait import wait_until
from lab.errors import LabError
from lab.mesh.check import IMAGE, rendered
from lab.platform.install import missing
from lab.topology.model import Topology

NAMESPACE = MESH_NAMESPACE
PORT = 8081
REQUEST_TIMEOUT_S = 3.0
"""What one request is given until it counts as lost. A connection whose first packet is lost is made in a
second (RFC 6298), and on two busy cores everything was seen to stand still for as long."""

ALL = Reference("v1", "Namespace", "", NAMESPACE)
"""What holds all of it: with this, everything goes."""

_READY_S = 180.0


@dataclass(frozen=True)
class Route:
    """A flow as a cluster's prober makes it: qualified id, the service's full name, seconds in between."""

    id: str
    host: str
    port: int
    every: float


def manifests(topology: Topology, cluster: str, run: str, routes: Iterable[Route]) -> list[dict[str, Any]]:
    """What an experiment needs in ``cluster``; without routes nobody asks from there."""
    return rendered(
        "lab.degrade",
        "prober.yaml.j2",
        lab=topology.name,
        cluster=cluster,
        clusters=[each.name for each in topology.clusters],
        image=IMAGE,
        near_first=topology.mesh.stale_backends.near_first,
        run=run,
        programs={
            name: resources.files("lab.degrade").joinpath(name).read_text(encoding="utf-8")
            for name in ("prober.py", "loop.py")
        },
        flows={"flows": [{**asdict(each), "timeout": REQUEST_TIMEOUT_S} for each in routes]},
    )


def set_up(
    topology: Topology, cluster: str, kube: Kube, run: str, routes: Iterable[Route], *, cancelled: Event
) -> None:
    """Apply what is needed in ``cluster``, and wait until it serves.

    Raises :class:`lab.clients.wait.TimedOut` when it does not.
    """
    wanted = manifests(topology, cluster, run, routes)
    kube.apply(wanted)
    names = [each["metadata"]["name"] for each in wanted if each["kind"] == "Deployment"]
    workloads = [Workload("Deployment", name, NAMESPACE) for name in names]
    wait_until(
        f"the probers in {cluster}",
        lambda: missing(kube, workloads),
        timeout=_READY_S,
        cancelled=cancelled,
    )


@dataclass
class Listener:
    """Fetches the batches of one cluster's prober, each once, however often it was out of reach."""

    kube: Kube
    run: str
    _next: int = 0
    _pod: str = ""

    def fetch(self) -> list[dict[str, Any]]:
        """The records that are new; none while the prober cannot be reached."""
        records: list[dict[str, Any]] = []
        try:
            if not self._pod:
                [pod, *_] = self.kube.pods(NAMESPACE, labels=f"app=prober,lab/run={self.run}")
                self._pod = pod["metadata"]["name"]
            while True:
                answer = json.loads(
                    self.kube.ask_pod(
                        NAMESPACE, self._pod, port=PORT, path="/batches", query={"from": str(self._next)}
                    )
                )
                records += [json.loads(line) for line in answer["lines"]]
                if answer["next"] == self._next:
                    return records
                self._next = answer["next"]
        except (LabError, ValueError):
            # Its batches wait for the next time.
            return records
