"""Who tells contracts: the mesh, and every addon of a lab."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab.catalog.addon import Addon, Catalog, Upstream
from lab.catalog.contract_load import load_contracts
from lab.catalog.place import Placed
from lab.degrade.cases import Told
from lab.mesh.check import IMAGE
from lab.topology.model import Topology

MESH: Final = "mesh"

_FOLDER: Final = Path(__file__).resolve().parent.parent / "mesh" / "contracts"


def told(topology: Topology, placed: Iterable[Placed], catalog: Catalog) -> list[Told]:
    """Every contract that there is, in the order of their ids: the mesh's, and every addon's.

    ``placed`` is what the lab has; of other addons of the ``catalog`` nothing can be judged.
    """
    mesh = _mesh()
    homes: dict[str, dict[str, Placed]] = {}
    if topology.mesh.kind != "none":
        homes[MESH] = {each.name: Placed(mesh, each.name, "home", {}, ()) for each in topology.clusters}
    for each in placed:
        if each.part == "home":
            homes.setdefault(each.addon.name, {})[each.cluster] = each
    found = [
        Told(contract, addon.name, homes.get(addon.name, {}))
        for addon in (mesh, *catalog.addons.values())
        for contract in addon.contracts
    ]
    return sorted(found, key=lambda each: (each.contract.control_of or each.contract.id, each.contract.id))


def _mesh() -> Addon:
    """The mesh, as if it were an addon: its contracts' texts are then read as all are."""
    path = _FOLDER / "contracts.yaml"
    return Addon(
        name=MESH,
        folder=_FOLDER,
        shown="lab/mesh/contracts",
        summary="",
        upstream=Upstream(MESH, "", "", ""),
        on=("any",),
        namespace="lab-degrade",
        memory="0Mi",
        images=(IMAGE,),
        contracts=load_contracts(path.read_bytes(), file="lab/mesh/contracts/contracts.yaml"),
    )
