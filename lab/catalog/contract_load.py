"""Reads the mesh's own contracts, and says everything that is wrong with them."""

from __future__ import annotations

from lab.catalog.addon import Addon
from lab.catalog.contract import Contract
from lab.catalog.contract_vocabulary import FORMAT, MESH_NAMESPACE
from lab.catalog.declare_contracts import (
    contract_problems,
    contracts,
    control_problems,
    templates_of_contracts,
)
from lab.catalog.declare_parts import Texts
from lab.document.load import load
from lab.document.position import in_order
from lab.errors import InputError


def load_contracts(data: bytes, *, file: str, addon: Addon | None = None) -> tuple[Contract, ...]:
    """Read a file of contracts that are no addon's, of the version ``lab.contracts/v1``.

    ``file`` is what messages call it. ``addon`` is what stands for an addon when their texts are rendered:
    templates are looked for in its folder, images among its own; without one, neither is. What ``needs``
    names is not looked for. Raises InputError, with every problem on a line of its own in ``details``, sorted
    by place.
    """
    document, problems = load(data, file=file, format=FORMAT)
    made: tuple[Contract, ...] = ()
    if document is not None:
        entries = document.values.get("contracts", ())
        made = contracts(entries, namespace=MESH_NAMESPACE, needs=())
        texts = Texts(document, addon)
        problems += contract_problems(document, texts)
        problems += texts.templates(templates_of_contracts(entries))
        problems += control_problems([document], {each.id for each in made})
    if problems:
        lines = [str(problem) for problem in in_order(problems)]
        count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
        raise InputError(f"{count} in {file}", details="\n".join(lines), remedy="Nothing was started.")
    return made
