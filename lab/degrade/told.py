"""Who tells contracts: the mesh, and every addon."""

from __future__ import annotations

from collections.abc import Iterable

from lab.catalog.addon import Catalog
from lab.catalog.place import Placed
from lab.degrade.scope import Told
from lab.mesh.claims import mesh
from lab.topology.model import Topology


def of_mesh(topology: Topology) -> tuple[Placed, ...]:
    """The mesh as an addon of each of its clusters; none where there is no mesh."""
    if topology.mesh.kind == "none":
        return ()
    return tuple(Placed(mesh(), each.name, "home", {}, ()) for each in topology.clusters)


def told(topology: Topology, placed: Iterable[Placed], catalog: Catalog) -> list[Told]:
    """Every contract that there is, in the order of their ids: the mesh's, and every addon's.

    ``placed`` is what the lab has; of other addons of the ``catalog`` nothing can be judged.
    """
    homes: dict[str, dict[str, Placed]] = {}
    for each in (*of_mesh(topology), *placed):
        if each.part == "home":
            homes.setdefault(each.addon.name, {})[each.cluster] = each
    found = [
        Told(contract, addon.name, homes.get(addon.name, {}))
        for addon in (mesh(), *catalog.addons.values())
        for contract in addon.contracts
    ]
    return sorted(found, key=lambda each: (each.contract.control_of or each.contract.id, each.contract.id))
