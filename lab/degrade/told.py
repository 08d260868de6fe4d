"""Who tells contracts: the mesh, and every addon of a lab."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab.catalog.addon import Addon, Upstream
from lab.catalog.contract_load import load_contracts
from lab.catalog.place import Placed
from lab.degrade.cases import Told
from lab.mesh.check import IMAGE
from lab.topology.model import Topology

MESH: Final = "mesh"

_FOLDER: Final = Path(__file__).resolve().parent.parent / "mesh" / "contracts"


def told(topology: Topology, placed: Iterable[Placed]) -> list[Told]:
    """Every contract that can be asked about in a lab, the mesh's first, in the order of their ids."""
    homes: dict[str, dict[str, Placed]] = {}
    addons: dict[str, Addon] = {}
    for each in (*_mesh(topology), *placed):
        if each.part == "home":
            addons[each.addon.name] = each.addon
            homes.setdefault(each.addon.name, {})[each.cluster] = each
    found = [Told(contract, homes[name]) for name, addon in addons.items() for contract in addon.contracts]
    return sorted(found, key=lambda each: (each.contract.control_of or each.contract.id, each.contract.id))


def _mesh(topology: Topology) -> list[Placed]:
    """The mesh, as if it were an addon of every cluster: its contracts' texts are then read as all are."""
    if topology.mesh.kind == "none":
        return []
    path = _FOLDER / "contracts.yaml"
    addon = Addon(
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
    return [Placed(addon, cluster.name, "home", {}, ()) for cluster in topology.clusters]
