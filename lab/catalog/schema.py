"""The schemas of ``addon.yaml`` and of the mesh's contracts, for editors."""

from __future__ import annotations

from lab.catalog.contract_vocabulary import CONTRACTS
from lab.catalog.vocabulary import ADDON
from lab.document import schema


def schema_text() -> str:
    """Return the text of ``addons/addon.schema.json``, which a test compares with the file."""
    return schema.schema_text(ADDON, title="An addon of lab", source="lab/catalog/vocabulary.py")


def contracts_schema_text() -> str:
    """Return the text of ``lab/mesh/contracts/contracts.schema.json``, compared as well."""
    return schema.schema_text(
        CONTRACTS, title="Contracts of lab's mesh", source="lab/catalog/contract_vocabulary.py"
    )
