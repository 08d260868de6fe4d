"""Which addon of a topology goes to which cluster, with which options, and after what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab import graph
from lab.catalog.addon import Addon, Catalog
from lab.catalog.load import MESH, needs_of
from lab.catalog.vocabulary import ANY
from lab.document.position import Path, Problem, in_order, listed, nearest
from lab.document.scalars import Unfit, Value
from lab.errors import InputError
from lab.topology.model import AddonUse, Topology

Place = tuple[str, str]
"""A cluster and an addon on it."""


@dataclass(frozen=True)
class Placed:
    """An addon on a cluster. ``needs`` are what must be ready first, each there only once.

    ``part`` is ``home`` where the addon itself is, and ``elsewhere`` on a cluster that gets only what its
    ``elsewhere`` holds. An addon is on a cluster at most once.
    """

    addon: Addon
    cluster: str
    part: Literal["home", "elsewhere"]
    options: Mapping[str, Value]
    needs: tuple[Place, ...]

    @property
    def place(self) -> Place:
        """The cluster and the addon's name, which nothing else has both of."""
        return self.cluster, self.addon.name

    @property
    def templates(self) -> tuple[str, ...]:
        """The files of the addon that hold its objects here."""
        return self.addon.templates if self.part == "home" else self.addon.elsewhere


@dataclass(frozen=True)
class _Use:
    """An entry of the topology's addons, understood."""

    addon: Addon
    clusters: tuple[str, ...]
    options: Mapping[str, Value]


def place(
    topology: Topology, catalog: Catalog, *, only: Collection[str] = (), without: Collection[str] = ()
) -> tuple[Placed, ...]:
    """Return where everything of ``topology`` goes, each after all that it needs.

    The order is the topology's wherever needs leave a choice, and within an addon that of the clusters.
    ``only`` names the addons to install, which take along those that they need; with nothing but ``mesh``
    there are none. ``without`` names those to leave out, which take along those that need them.

    Raises InputError with every problem of the topology's addons in ``details``, and for a name in ``only``
    or ``without`` that the topology has not.
    """
    uses, problems = _understood(topology, catalog)
    if problems:
        raise _refusal(problems, topology)
    named = {name: needs_of(uses[name][0].addon) for name in uses}
    order = graph.order({name: [each for each in needs if each in named] for name, needs in named.items()})
    wanted = _selected(uses, only=only, without=without)
    everywhere = [cluster.name for cluster in topology.clusters]
    homes = {
        name: [cluster for cluster in everywhere if any(cluster in use.clusters for use in uses[name])]
        for name in order
        if name in wanted
    }
    parts = {
        name: {*clusters, *(everywhere if uses[name][0].addon.elsewhere else ())}
        for name, clusters in homes.items()
    }
    return tuple(
        _placed(uses[name], cluster, homes=homes, parts=parts)
        for name in homes
        for cluster in everywhere
        if cluster in parts[name]
    )


def _placed(
    uses: Sequence[_Use],
    cluster: str,
    *,
    homes: Mapping[str, Collection[str]],
    parts: Mapping[str, Collection[str]],
) -> Placed:
    # Elsewhere there are no options of its own: the first entry's are as good as any.
    use = next((use for use in uses if cluster in use.clusters), uses[0])
    is_home = cluster in use.clusters
    needs: list[Place] = []
    for name in needs_of(use.addon):
        if name not in homes:
            continue
        if cluster in parts[name]:
            needs.append((cluster, name))
        if is_home and cluster not in homes[name]:
            # It is somewhere else, and it is there that it has to be ready.
            needs += [(home, name) for home in homes[name]]
    return Placed(use.addon, cluster, "home" if is_home else "elsewhere", use.options, tuple(needs))


def _understood(topology: Topology, catalog: Catalog) -> tuple[dict[str, list[_Use]], list[Problem]]:
    uses: dict[str, list[_Use]] = {}
    problems: list[Problem] = []
    for number, use in enumerate(topology.addons):
        path: Path = ("addons", number)
        addon = catalog.addons.get(use.use)
        if addon is None:
            guess = nearest(use.use, catalog.addons)
            known = listed(catalog.addons, most=20) or "none"
            remedy = f'Did you mean "{guess}"?' if guess else f"There are {known}."
            problems.append(Problem(use.position, (*path, "use"), f'there is no addon "{use.use}"', remedy))
            continue
        options, more = _options(use, addon, path)
        clusters, and_more = _clusters(use, addon, path, topology)
        problems += [*more, *and_more]
        problems += _repeats(use, clusters, path, uses.get(addon.name, ()))
        uses.setdefault(addon.name, []).append(_Use(addon, clusters, options))
    for number, use in enumerate(topology.addons):
        if use.use in uses:
            where: Path = ("addons", number)
            problems += _unmet(use, catalog, where, {each.use for each in topology.addons})
            problems += _excluded(use, uses, where)
            problems += _several(use, uses[use.use], where)
    return uses, problems


def _options(use: AddonUse, addon: Addon, path: Path) -> tuple[dict[str, Value], list[Problem]]:
    values = {name: option.default for name, option in addon.options.items()}
    problems: list[Problem] = []
    for name, written in use.written.items():
        where = (*path, "with", name)
        option = addon.options.get(name)
        if option is None:
            guess = nearest(name, addon.options)
            known = (
                f"It has {listed(addon.options, most=20)}." if addon.options else "It has none: remove it."
            )
            remedy = f'Did you mean "{guess}"?' if guess else known
            problems.append(Problem(written.key, where, f'{addon.name} has no option "{name}"', remedy))
            continue
        try:
            values[name] = option.read(written.node)
        except Unfit as error:
            problems.append(Problem(written.node.position, where, str(error), error.remedy))
    return values, problems


def _clusters(
    use: AddonUse, addon: Addon, path: Path, topology: Topology
) -> tuple[tuple[str, ...], list[Problem]]:
    if use.on:
        # The topology's own check has seen to it that these are there.
        return tuple(cluster.name for cluster in topology.select(use.on)), []
    found = topology.clusters if ANY in addon.on else topology.of_roles(addon.on)
    if found:
        return tuple(cluster.name for cluster in found), []
    roles = listed(addon.on, joint="or")
    message = f"{addon.name} goes to clusters of the role {roles}, and there is none"
    remedy = f"Add one, or say where: {{use: {addon.name}, on: {topology.roles[0]}}}."
    return (), [Problem(use.position, path, message, remedy)]


def _repeats(
    use: AddonUse, clusters: Collection[str], path: Path, earlier: Sequence[_Use]
) -> Iterator[Problem]:
    twice = [name for other in earlier for name in other.clusters if name in clusters]
    if twice:
        message = f"{use.use} is there already on {listed(twice, most=3)}"
        remedy = "Keep one, with the options of both, or give each its own clusters."
        yield Problem(use.position, path, message, remedy)


def _unmet(use: AddonUse, catalog: Catalog, path: Path, used: Collection[str]) -> Iterator[Problem]:
    for need in catalog.addons[use.use].needs:
        if need not in used:
            message = f"{use.use} needs {need}, which no cluster has"
            yield Problem(use.position, path, message, f'Add "- {{use: {need}}}".')


def _excluded(use: AddonUse, uses: Mapping[str, Sequence[_Use]], path: Path) -> Iterator[Problem]:
    [own, *_] = uses[use.use]
    for other in own.addon.excludes:
        there = {cluster for each in uses.get(other, ()) for cluster in each.clusters}
        both = [cluster for each in uses[use.use] for cluster in each.clusters if cluster in there]
        if both:
            message = f"{use.use} and {other} exclude each other, and {listed(both, most=3)} would have both"
            remedy = "Remove one of them, or give each its own clusters with on."
            yield Problem(use.position, path, message, remedy)


def _several(use: AddonUse, uses: Sequence[_Use], path: Path) -> Iterator[Problem]:
    """Find what can only be on one cluster, and would be on several."""
    clusters = [cluster for each in uses for cluster in each.clusters]
    if uses[0].addon.single and len(clusters) > 1:
        message = (
            f"{use.use} serves the whole lab from one cluster, and would be on {listed(clusters, most=3)}"
        )
        yield Problem(use.position, path, message, f"Say which: {{use: {use.use}, on: {clusters[0]}}}.")


def _selected(
    uses: Mapping[str, Sequence[_Use]], *, only: Collection[str], without: Collection[str]
) -> frozenset[str]:
    needs = {name: entries[0].addon.needs for name, entries in uses.items()}
    _known(only, "--only", (MESH, *uses))
    _known(without, "--without", tuple(uses))
    # Whoever needs what is left out is left out, too, and takes nothing along.
    kept = [name for name in uses if graph.closure(needs, [name]).isdisjoint(without)]
    return graph.closure(needs, [name for name in kept if name in only or not only])


def _known(names: Collection[str], flag: str, known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            guess = nearest(name, known)
            raise InputError(
                f"{flag} {name}: the topology has no such addon"
                + (f'; did you mean "{guess}"?' if guess else ""),
                remedy=f"Known: {listed(known, most=20)}." if known else "The topology has no addons.",
            )


def _refusal(problems: Sequence[Problem], topology: Topology) -> InputError:
    lines = [str(problem) for problem in in_order(problems)]
    count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
    shown = topology.addons[0].position.file
    return InputError(f"{count} in {shown}", details="\n".join(lines), remedy="Nothing was started.")
