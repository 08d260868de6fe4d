"""Says everything that is wrong with a declared topology, before anything starts.

Each rule looks at the whole declaration and returns what it finds; no rule stops another. What rules
are about networks is in ``check_addresses``, about providers in ``check_providers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from lab.document.position import Path, Position, Problem, listed, nearest
from lab.topology.check_addresses import check_networks, check_sizes
from lab.topology.check_providers import check_providers
from lab.topology.declare import Declaration, DeclaredCluster
from lab.topology.model import Kept
from lab.topology.snapshot import Fact
from lab.topology.traits import TRAITS
from lab.topology.versions import CILIUM, MINORS, is_supported

# A node's name is its host name and the value of its label kubernetes.io/hostname: 63 characters at most
# (RFC 1123). kind only warns, of cluster names past 50 (pkg/cluster/internal/create/create.go), and then
# fails half way (kubernetes-sigs/kind#619).
HOST_NAME_LONGEST: Final = 63

# cilium/cilium pkg/defaults ClusterName: refused together with any cluster id but 0.
CILIUM_RESERVED: Final = "default"


def check(
    declaration: Declaration,
    *,
    lab: str,
    facts: tuple[Fact, ...],
    kept: Kept | None,
    allocated: Kept | None = None,
) -> list[Problem]:
    """Return every problem of ``declaration``, in no order.

    ``lab`` is the lab's name; ``facts`` is what the host uses; ``kept`` what the lab already has;
    ``allocated``, on the second call, the addresses that were filled in. Raises nothing.
    """
    rules: tuple[Callable[[Declaration], Iterable[Problem]], ...] = (
        _versions,
        _id_limit,
        _mesh_size,
        _cluster_names,
        _addon_places,
        _addon_repeats,
        check_sizes,
    )
    problems = [problem for rule in rules for problem in rule(declaration)]
    problems += _ids(declaration, allocated or kept)
    problems += _mesh_ports(declaration, allocated or kept)
    problems += _host_names(declaration, lab)
    problems += check_providers(declaration, lab)
    problems += _kept(declaration, kept)
    problems += check_networks(declaration, facts=facts, kept=kept, allocated=allocated)
    return problems


def _versions(declaration: Declaration) -> Iterator[Problem]:
    for cluster in declaration.clusters:
        if not is_supported(cluster.kubernetes):
            position, path = declaration.source(cluster, "kubernetes")
            message = (
                f"Kubernetes {cluster.kubernetes} is not among those that this lab runs with Cilium {CILIUM}"
            )
            yield Problem(position, path, message, f"Use {listed(MINORS, joint='or')}.")


def _id_limit(declaration: Declaration) -> Iterator[Problem]:
    most = declaration.mesh.max_clusters
    for cluster in declaration.clusters:
        if cluster.id is not None and cluster.id > most:
            position, path = declaration.source(cluster, "id")
            message = f"{cluster.id} is more than the {most} clusters that the mesh is sized for"
            yield Problem(position, path, message, "Take a lower id, or set mesh.max_clusters to 511.")


def _ids(declaration: Declaration, filled: Kept | None) -> Iterator[Problem]:
    had = {name: addresses.id for name, addresses in filled.clusters.items()} if filled else {}
    remedy = "Cilium ids are unique in a mesh: change one, or leave it out."
    return _distinct(declaration, "id", {c.name: c.id for c in declaration.clusters}, had, remedy)


def _mesh_ports(declaration: Declaration, filled: Kept | None) -> Iterator[Problem]:
    # cilium/cilium#24692: a port that two clusters share is always answered by the local one.
    had = {name: addresses.mesh_port for name, addresses in filled.clusters.items()} if filled else {}
    remedy = "Change one, or leave it out: agents would connect to their own mesh API server."
    return _distinct(
        declaration, "mesh_port", {c.name: c.mesh_port for c in declaration.clusters}, had, remedy
    )


def _distinct(
    declaration: Declaration, key: str, pinned: dict[str, int | None], had: dict[str, int], remedy: str
) -> Iterator[Problem]:
    """Yield a problem for every number that a second cluster has; what clusters had before comes first."""
    clusters = {cluster.name: cluster for cluster in declaration.clusters}
    new = {name: number for name, number in pinned.items() if number is not None and name not in had}
    owners: dict[int, str] = {}
    for name, number in [*had.items(), *new.items()]:
        if number not in owners:
            owners[number] = name
            continue
        position, path = declaration.source(clusters[name], key)
        other = clusters.get(owners[number])
        against = declaration.source(other, key)[0] if other else None
        yield Problem(position, path, f"{number} is {owners[number]}'s as well", remedy, against)


def _mesh_size(declaration: Declaration) -> Iterator[Problem]:
    most, count = declaration.mesh.max_clusters, len(declaration.clusters)
    if count > most:
        path: Path = ("clusters",)
        remedy = (
            "Set mesh.max_clusters to 511."
            if most < count <= 511
            else "Use fewer clusters: 511 is Cilium's limit."
        )
        message = f"{count} clusters are more than the {most} that the mesh is sized for"
        yield Problem(declaration.document.key_at(path), path, message, remedy)


def _cluster_names(declaration: Declaration) -> Iterator[Problem]:
    for cluster in declaration.clusters:
        place = declaration.document.key_at(cluster.path)
        if cluster.name == CILIUM_RESERVED:
            message = '"default" is the name that Cilium gives to a cluster outside any mesh'
            yield Problem(place, cluster.path, message, "Choose another name.")
        # "on: app" has to mean one thing: a cluster may have a role's name only where it is all of that role.
        others = [
            other for other in declaration.clusters if other.role == cluster.name and other is not cluster
        ]
        if others:
            message = f'"{cluster.name}" is also the role of {listed((o.name for o in others), most=3)}'
            remedy = f"Rename the cluster or the role: `on: {cluster.name}` could mean either."
            yield Problem(place, cluster.path, message, remedy, declaration.source(others[0], "role")[0])


def _host_names(declaration: Declaration, lab: str) -> Iterator[Problem]:
    for cluster in declaration.clusters:
        if not cluster.ours:
            continue
        longest = max(_node_names(lab, cluster), key=len)
        if len(longest) > HOST_NAME_LONGEST:
            message = (
                f"the node {longest} would have a name of {len(longest)} characters, "
                f"more than the {HOST_NAME_LONGEST} of a host name"
            )
            remedy = f"Shorten the cluster's name, or the lab's (\"{lab}\")."
            yield Problem(declaration.document.key_at(cluster.path), cluster.path, message, remedy)


def _node_names(lab: str, cluster: DeclaredCluster) -> Iterator[str]:
    """Name the longest-named container of each sort.

    As kind does: kubernetes-sigs/kind pkg/cluster/internal/providers/common/namer.go.
    """
    base = f"{lab}-{cluster.name}"
    yield f"{base}-control-plane{cluster.nodes.control_plane if cluster.nodes.control_plane > 1 else ''}"
    if cluster.nodes.workers:
        yield f"{base}-worker{cluster.nodes.workers if cluster.nodes.workers > 1 else ''}"
    if cluster.provider and TRAITS[cluster.provider].balances and cluster.nodes.control_plane > 1:
        yield f"{base}-external-load-balancer"


def _addon_places(declaration: Declaration) -> Iterator[Problem]:
    names = {cluster.name for cluster in declaration.clusters}
    roles = {cluster.role for cluster in declaration.clusters}
    if "" in roles:
        # A role that could not be read may be the one that an addon asks for.
        return
    known = f"Roles: {listed(sorted(roles))}. Clusters: {listed(sorted(names), most=6)}."
    for path, addon in declaration.placed_addons():
        for place in addon.on:
            if place not in names | roles:
                guess = nearest(place, names | roles)
                position, where = _place_of(declaration, (*path, "on"), place)
                message = f'"{place}" is neither a role nor a cluster of this topology'
                yield Problem(position, where, message, f'Did you mean "{guess}"?' if guess else known)


def _place_of(declaration: Declaration, path: Path, place: str) -> tuple[Position, Path]:
    """Return where one of an addon's places stands: ``on`` may be it, or a list of several."""
    on = declaration.document.values["addons"][path[1]]["on"]
    if isinstance(on, list):
        path = (*path, on.index(place))
    return declaration.document.at(path), path


def _addon_repeats(declaration: Declaration) -> Iterator[Problem]:
    clusters = declaration.clusters
    seen: dict[tuple[str, str], Position] = {}
    for path, addon in declaration.placed_addons():
        # With "on" left out the addon's own choice decides, which is not known here: a place of its own.
        where = [c.name for c in clusters if c.name in addon.on or c.role in addon.on] if addon.on else [""]
        twice = [name for name in where if (addon.use, name) in seen]
        if twice and addon.use:
            on = f" on {listed(twice, most=3)}" if twice != [""] else ""
            remedy = "Keep one, with the options of both, or give each its own clusters."
            against = seen[addon.use, twice[0]]
            yield Problem(addon.position, path, f"{addon.use} is there already{on}", remedy, against)
        seen |= {(addon.use, name): addon.position for name in where if name not in twice}


def _kept(declaration: Declaration, kept: Kept | None) -> Iterator[Problem]:
    """Compare what the file pins with what the running lab has: the file cannot move a cluster."""
    if kept is None:
        return
    for cluster in declaration.clusters:
        had = kept.clusters.get(cluster.name)
        if had is None:
            continue
        pinned = {
            "id": (cluster.id, had.id),
            "pod_cidr": (cluster.pod_cidr and cluster.pod_cidr.network, had.pod_cidr),
            "service_cidr": (cluster.service_cidr and cluster.service_cidr.network, had.service_cidr),
            "mesh_port": (cluster.mesh_port, had.mesh_port),
        }
        for key, (wanted, has) in pinned.items():
            if wanted is not None and wanted != has:
                position, path = declaration.source(cluster, key)
                yield _moved(
                    position, path, f"{wanted}, but {cluster.name} is there already and has {has}", has
                )
    if declaration.node_cidr and declaration.node_cidr.network != kept.node_cidr:
        path = ("network", "node_cidr")
        text = declaration.node_cidr.text
        message = f"{text}, but the lab is there already and its nodes are in {kept.node_cidr}"
        yield _moved(declaration.document.at(path), path, message, kept.node_cidr)


def _moved(position: Position, path: Path, message: str, has: object) -> Problem:
    return Problem(
        position, path, message, f"Write {has}, or remove the lab with `./invoke down` and make it anew."
    )
