"""The steps that bring addons to clusters, and take away those that the topology has no more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.catalog.place import Placed
from lab.plan.step import Step

_CARRY_S = 20.0
_INSTALL_S = 3.0
_READY_S = 20.0
"""Seconds that steps take on two cores, before there is a journal to tell."""


@dataclass(frozen=True, kw_only=True)
class SeenAddons:
    """What was seen of addons on one cluster."""

    current: frozenset[str] = frozenset()
    """Installed exactly as they are wanted."""

    ready: frozenset[str] = frozenset()
    """All their workloads are ready, as they are wanted now."""

    carried: bool = False
    """Every node holds every image that addons need there."""

    leaving: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Installed, and not in the topology any more: by name, with the names of the addons that they need."""


def addon_steps(
    placed: Sequence[Placed],
    seen: Mapping[str, SeenAddons],
    *,
    standing: Sequence[str],
    brought: Sequence[str],
    meshed: bool,
) -> Iterator[Step]:
    """Yield the steps for ``placed`` and for what leaves.

    ``standing`` are the clusters of the lab's own nodes that are there already: new ones hold all images.
    ``brought`` are the ids of the steps that bring images here. With ``meshed`` an addon waits for the mesh
    of its cluster, through which it reaches others.
    """
    ends = {each.place: _end(each) for each in placed}
    before = ("mesh",) if meshed else ()
    for cluster in dict.fromkeys(each.cluster for each in placed):
        if cluster in standing and has_images(cluster, placed):
            yield carry(
                cluster,
                "bring addons' images into its nodes",
                needs=(f"{cluster}/create", *brought),
                done=seen.get(cluster, SeenAddons()).carried,
            )
    for each in placed:
        there = seen.get(each.cluster, SeenAddons())
        current = each.addon.name in there.current
        cluster, name = each.place
        carried = (f"{cluster}/images",) if cluster in standing and has_images(cluster, placed) else ()
        yield Step(
            f"{cluster}/{name}",
            "addon",
            cluster=cluster,
            summary=f"install {name}" if each.part == "home" else f"make {name} known",
            needs=(
                f"{cluster}/network",
                *carried,
                *_fetched(each, brought),
                *(f"{cluster}/{step}" for step in before),
                *(ends[need] for need in each.needs),
            ),
            done=current,
            estimate_s=_INSTALL_S,
        )
        if _waits(each):
            yield Step(
                ends[each.place],
                "addon-ready",
                cluster=cluster,
                summary=f"wait for {name}",
                needs=(f"{cluster}/{name}",),
                done=current and name in there.ready,
                estimate_s=_READY_S,
            )
    for cluster, there in seen.items():
        yield from _removals(cluster, there.leaving)


def carry(cluster: str, summary: str, *, needs: tuple[str, ...], done: bool) -> Step:
    """Return the step that brings images into a cluster's running nodes."""
    return Step(
        f"{cluster}/images",
        "carry",
        cluster=cluster,
        summary=summary,
        needs=needs,
        done=done,
        estimate_s=_CARRY_S,
    )


def ends(placed: Sequence[Placed]) -> tuple[str, ...]:
    """Return the ids of the steps after which every addon works."""
    return tuple(_end(each) for each in placed)


def _removals(cluster: str, leaving: Mapping[str, tuple[str, ...]]) -> Iterator[Step]:
    for name in leaving:
        # Whoever needs it goes first.
        users = [other for other, needs in leaving.items() if name in needs]
        yield Step(
            f"{cluster}/{name}/remove",
            "addon-remove",
            cluster=cluster,
            summary=f"remove {name}",
            needs=(f"{cluster}/network", *(f"{cluster}/{user}/remove" for user in users)),
            estimate_s=_READY_S,
        )


def _fetched(each: Placed, brought: Collection[str]) -> Iterator[str]:
    """Yield the steps that fetch what upstream defines for an addon."""
    if each.part == "home":
        wanted = dict.fromkeys(f"images/files/{files.program}" for files in each.addon.definitions)
        yield from (step for step in wanted if step in brought)


def has_images(cluster: str, placed: Sequence[Placed]) -> bool:
    """Whether an addon that has its home on ``cluster`` runs images there."""
    homes = [each for each in placed if each.cluster == cluster and each.part == "home"]
    return any(each.addon.images for each in homes)


def _waits(each: Placed) -> bool:
    return each.part == "home" and bool(each.addon.ready)


def _end(each: Placed) -> str:
    cluster, name = each.place
    return f"{cluster}/{name}/ready" if _waits(each) else f"{cluster}/{name}"
