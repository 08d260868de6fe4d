"""Who tells contracts: the mesh, and every addon."""

from __future__ import annotations

from collections.abc import Iterable

from lab.catalog.addon import Catalog
from lab.catalog.place import Placed
from lab.degrade.scope import Told
from lab.mesh.claims import mesh
from lab.topology.model import Topology


def told(topology: Topology, placed: Iterable[Placed], catalog: Catalog) -> list[Told]:
    """Every contract that there is, in the order of their ids: the mesh's, and every addon's.

    ``placed`` is what the lab has; of other addons of the ``catalog`` nothing can be judged.
    """
    own = mesh()
    homes: dict[str, dict[str, Placed]] = {}
    if topology.mesh.kind != "none":
        homes[own.name] = {each.name: Placed(own, each.name, "home", {}, ()) for each in topology.clusters}
    for each in placed:
        if each.part == "home":
            homes.setdefault(each.addon.name, {})[each.cluster] = each
    found = [
        Told(contract, addon.name, homes.get(addon.name, {}))
        for addon in (own, *catalog.addons.values())
        for contract in addon.contracts
    ]
    return sorted(found, key=lambda each: (each.contract.control_of or each.contract.id, each.contract.id))
