"""The schema of ``addon.yaml``, for editors."""

from __future__ import annotations

from lab.catalog.vocabulary import ADDON
from lab.document import schema


def schema_text() -> str:
    """Return the text of ``addons/addon.schema.json``, which a test compares with the file."""
    return schema.schema_text(ADDON, title="An addon of lab", source="lab/catalog/vocabulary.py")
