"""The schema of topology files, for editors."""

from __future__ import annotations

from lab.document import schema
from lab.topology.vocabulary import TOPOLOGY


def schema_text() -> str:
    """Return the text of ``topologies/topology.schema.json``, which a test compares with the file."""
    return schema.schema_text(TOPOLOGY, title="A topology of lab", source="lab/topology/vocabulary.py")
