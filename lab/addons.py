"""The addons of this checkout, as ``addons`` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lab import console
from lab.catalog.addon import Addon, Catalog
from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.images.catalog import catalog as images
from lab.images.files import kept
from lab.mesh.claims import mesh
from lab.settings import Settings
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES

Clusters = Mapping[str, tuple[str, ...]]
"""For each addon of a topology, the clusters that it is on."""


def catalog(settings: Settings) -> Catalog:
    """Read every addon, once. Raises :class:`lab.errors.InputError` for what is wrong with any of them."""
    return _catalog(settings.addons)


@cache
def _catalog(folder: Path) -> Catalog:
    contracts = [each.id for each in mesh().contracts]
    return load_catalog(folder, images=images(), kept=kept(), contracts=contracts)


def clusters_of(topology: str, found: Catalog) -> Clusters:
    """Return where the addons of ``topology`` (a name or a path) are.

    Raises :class:`lab.errors.InputError` for a topology that cannot be, or asks for what the catalog has not.
    """
    placed = place(read_topology(topology, folder=TOPOLOGIES), found)
    homes = [each.place for each in placed if each.part == "home"]
    return {addon: tuple(where for where, name in homes if name == addon) for _, addon in homes}


def show(found: Catalog, clusters: Clusters | None) -> None:
    """Print a table of addons; ``clusters``, if given, is a column of it."""
    columns = ["NAME", "ON", "VERSION", "LICENCE", "MEMORY", "NEEDS", "CONTRACTS", "SUMMARY"]
    if clusters is not None:
        columns.insert(2, "CLUSTERS")
    rows = []
    for name, addon in found.addons.items():
        row: list[object] = [
            name,
            ", ".join(addon.on),
            addon.upstream.version,
            addon.upstream.licence,
            addon.memory,
            ", ".join(addon.needs) or None,
            ", ".join(each.id for each in addon.contracts) or None,
            addon.summary,
        ]
        if clusters is not None:
            row.insert(2, ", ".join(clusters.get(name, ())) or None)
        rows.append(row)
    console.table(columns, rows)


def as_json(addon: Addon, clusters: Clusters | None) -> dict[str, Any]:
    """Return what scripts are told of an addon."""
    told: dict[str, Any] = {
        "name": addon.name,
        "summary": addon.summary,
        "on": list(addon.on),
        "version": addon.upstream.version,
        "licence": addon.upstream.licence,
        "memory_mib": addon.memory_mib,
        "needs": list(addon.needs),
        "after": list(addon.after),
        "contracts": {each.id: each.claim for each in addon.contracts},
        "options": {name: option.default for name, option in addon.options.items()},
    }
    return told if clusters is None else told | {"clusters": list(clusters.get(addon.name, ()))}
