"""What the mesh promises about life without one of its clusters, told as an addon tells it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from lab.catalog.addon import OWN_LICENCE, OWN_VERSION, Addon, Upstream, Workload
from lab.catalog.contract_load import load_contracts
from lab.catalog.contract_vocabulary import MESH_NAMESPACE
from lab.catalog.load import MESH
from lab.catalog.vocabulary import ANY
from lab.mesh.check import IMAGE
from lab.mesh.cilium import MESH_WORKLOADS, NAMESPACE

_FOLDER: Final = Path(__file__).resolve().parent / "contracts"
_SHOWN: Final = "lab/mesh/contracts"


@cache
def mesh() -> Addon:
    """The mesh as if it were an addon of every cluster, so that its contracts' texts are read as all are.

    Raises :class:`lab.errors.InputError` for what is wrong with them.
    """
    addon = Addon(
        name=MESH,
        folder=_FOLDER,
        shown=_SHOWN,
        summary="Joins the clusters' networks.",
        upstream=Upstream(MESH, OWN_VERSION, "", OWN_LICENCE),
        on=(ANY,),
        namespace=MESH_NAMESPACE,
        memory="0Mi",
        images=(IMAGE,),
        # Without these a cluster is not told what the others have, nor they what it has.
        ready=tuple(Workload(kind, name, NAMESPACE) for kind, name in MESH_WORKLOADS),
    )
    path = _FOLDER / "contracts.yaml"
    return replace(
        addon, contracts=load_contracts(path.read_bytes(), file=f"{_SHOWN}/{path.name}", addon=addon)
    )
