"""From what a file says to what it declares: defaults merged in, counted clusters written out.

A :class:`Declaration` is typed and complete except for addresses, which may still be None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lab.document.cidr import Cidr
from lab.document.load import Document
from lab.document.position import Path, Position, Problem, listed
from lab.topology.model import AddonUse, Mesh, Nodes, Provider, StaleBackends
from lab.topology.traits import TRAITS
from lab.topology.vocabulary import NAME_LONGEST, PROVIDERS, default

# These belong to one cluster, so neither defaults nor a counted entry can give them.
OWN: Final = ("id", "pod_cidr", "service_cidr", "mesh_port")


@dataclass(frozen=True)
class DeclaredCluster:
    """A cluster as declared. ``path`` is its entry in the file, which clusters of one ``count`` share.

    ``provider`` is "" where the file has something unreadable in its place.
    """

    name: str
    path: Path
    role: str
    provider: Provider | Literal[""]
    kubernetes: str
    nodes: Nodes
    options: Mapping[str, Any]
    id: int | None = None
    pod_cidr: Cidr | None = None
    service_cidr: Cidr | None = None
    mesh_port: int | None = None

    @property
    def ours(self) -> bool:
        """Whether the lab makes the cluster, and so decides on its addresses."""
        return self.provider == "" or TRAITS[self.provider].makes


@dataclass(frozen=True)
class Declaration:
    """A whole topology as declared, and the document to say where."""

    document: Document
    name: str
    clusters: tuple[DeclaredCluster, ...]
    mesh: Mesh
    egress: Literal["allow", "deny"]
    node_cidr: Cidr | None
    addons: tuple[AddonUse, ...]

    def placed_addons(self) -> Iterator[tuple[Path, AddonUse]]:
        """Yield each addon with its path; entries that were unreadable have none, but keep their number."""
        entries = self.document.values.get("addons", ())
        numbers = (number for number, entry in enumerate(entries) if entry is not None)
        for number, addon in zip(numbers, self.addons, strict=True):
            yield ("addons", number), addon

    def source(self, cluster: DeclaredCluster, *keys: str) -> tuple[Position, Path]:
        """Return where a setting of ``cluster`` comes from: its own entry, the defaults, or else its name."""
        for base in (cluster.path, ("defaults",)):
            if (*base, *keys) in self.document.marks:
                return self.document.at((*base, *keys)), (*base, *keys)
        return self.document.key_at(cluster.path), cluster.path


def declare(document: Document) -> tuple[Declaration, list[Problem]]:
    """Make a declaration of a document, and say what is wrong with its counted clusters and durations.

    What the document lacks because it was broken is filled with defaults: it was reported already, and
    the rest can still be checked.
    """
    values = document.values
    clusters, problems = _clusters(document)
    mesh = values.get("mesh", {})
    network = values.get("network", {})
    stale, more = _stale_backends(document, mesh.get("stale_backends", default("mesh", "stale_backends")))
    declaration = Declaration(
        document,
        name=values.get("name", ""),
        clusters=tuple(clusters),
        mesh=Mesh(
            kind=mesh.get("kind", default("mesh", "kind")),
            tunnel=mesh.get("tunnel", default("mesh", "tunnel")),
            stale_backends=stale,
            max_clusters=mesh.get("max_clusters", default("mesh", "max_clusters")),
        ),
        egress=network.get("egress", default("network", "egress")),
        node_cidr=network.get("node_cidr"),
        addons=tuple(
            _addon(document, number, entry)
            for number, entry in enumerate(values.get("addons", ()))
            if entry is not None
        ),
    )
    return declaration, problems + more


def _clusters(document: Document) -> tuple[list[DeclaredCluster], list[Problem]]:
    clusters: list[DeclaredCluster] = []
    problems: list[Problem] = []
    taken: dict[str, Path] = {}
    defaults = document.values.get("defaults", {})
    for key, entry in document.values.get("clusters", {}).items():
        path: Path = ("clusters", key)
        names, more = _names(document, key, entry)
        problems += more
        clashes = [name for name in names if name in taken]
        if clashes:
            other = taken[clashes[0]]
            message = f"{listed(clashes, most=3)} would be there twice, here and at {other[0]}.{other[1]}"
            remedy = "Choose another prefix, or rename the other cluster."
            problems.append(Problem(document.key_at(path), path, message, remedy, document.key_at(other)))
        taken.update(dict.fromkeys(names, path))
        clusters += [_cluster(document, name, path, entry, defaults) for name in names if name not in clashes]
    return clusters, problems


def _names(document: Document, key: str, entry: Mapping[str, Any]) -> tuple[list[str], list[Problem]]:
    """Return the names that an entry stands for: its key, or prefix-001, prefix-002, ..."""
    if "count" not in entry or "prefix" not in entry:
        return [key], []
    path: Path = ("clusters", key)
    problems = [
        Problem(
            document.key_at((*path, own)),
            (*path, own),
            f"{own} belongs to one cluster, and this entry makes {entry['count']}",
            "Remove it, and each gets its own; or write that cluster as an entry of its own.",
        )
        for own in OWN
        if own in entry
    ]
    # Three digits whatever the count, so that raising it renames nothing.
    names = [f"{entry['prefix']}-{number:03}" for number in range(1, entry["count"] + 1)]
    if len(names[-1]) > NAME_LONGEST:
        message = f"{names[-1]} has {len(names[-1])} characters, more than the {NAME_LONGEST} allowed"
        remedy = f"Choose a prefix of at most {NAME_LONGEST - 4} characters."
        problems.append(Problem(document.at((*path, "prefix")), (*path, "prefix"), message, remedy))
    return names, problems


def _cluster(
    document: Document, name: str, path: Path, entry: Mapping[str, Any], defaults: Mapping[str, Any]
) -> DeclaredCluster:
    provider = entry.get("provider", defaults.get("provider", default("defaults", "provider")))
    if not {(*path, "provider"), ("defaults", "provider")}.isdisjoint(document.broken):
        provider = ""
    nodes = defaults.get("nodes", {}) | entry.get("nodes", {})
    counted = "count" in entry
    return DeclaredCluster(
        name=name,
        path=path,
        role=entry.get("role", ""),
        provider=provider,
        kubernetes=entry.get("kubernetes", defaults.get("kubernetes", default("defaults", "kubernetes"))),
        nodes=Nodes(
            control_plane=nodes.get("control_plane", default("defaults", "nodes", "control_plane")),
            workers=nodes.get("workers", default("defaults", "nodes", "workers")),
        ),
        options=defaults.get(provider, {}) | entry.get(provider, {}) if provider in PROVIDERS else {},
        **({} if counted else {key: entry.get(key) for key in OWN}),
    )


def _stale_backends(document: Document, value: Any) -> tuple[StaleBackends, list[Problem]]:
    if isinstance(value, str):
        return StaleBackends("prefer_local" if value == "prefer_local" else "keep"), []
    seconds = value.get("drop_after")
    if seconds != 0:
        return StaleBackends("drop_after", seconds), []
    # cilium/cilium install/kubernetes/cilium/values.yaml, clustermesh.cacheTTL: 0s disables it.
    path: Path = ("mesh", "stale_backends", "drop_after")
    message = "a time of nothing means never to Cilium"
    remedy = "Write stale_backends: keep if that is meant, or at least 1s."
    return StaleBackends("keep"), [Problem(document.at(path), path, message, remedy)]


def _addon(document: Document, number: int, entry: Mapping[str, Any]) -> AddonUse:
    on = entry.get("on", [])
    places = [on] if isinstance(on, str) else [place for place in on if place is not None]
    return AddonUse(
        use=entry.get("use", ""),
        on=tuple(dict.fromkeys(places)),
        options=entry.get("with", {}),
        position=document.at(("addons", number)),
        written=document.entries(("addons", number, "with")),
    )
