"""The vocabulary as JSON Schema (draft 2020-12), for editors.

An editor that knows ``topologies/topology.schema.json`` completes keys, shows what they mean and marks
slips while typing. What only the whole file can tell (overlaps, names used twice) remains ``check``'s.
"""

from __future__ import annotations

import json
from typing import Any

from lab.topology.scalars import DURATION_PATTERN
from lab.topology.shapes import (
    Anything,
    Block,
    Choice,
    Duration,
    Either,
    Field,
    Integer,
    Network,
    Sequence,
    Shape,
    Table,
    Text,
)
from lab.topology.vocabulary import TOPOLOGY

_NETWORK = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"}


def schema_text() -> str:
    """Return the text of ``topologies/topology.schema.json``, which a test compares with the file."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A topology of lab",
        "description": "Generated from lab/topology/vocabulary.py: change that, not this file.",
    }
    return json.dumps(head | _schema(TOPOLOGY), indent=2, ensure_ascii=False) + "\n"


def _schema(shape: Shape) -> dict[str, Any]:
    match shape:
        case Text():
            longest = {} if shape.longest is None else {"maxLength": shape.longest}
            return {"type": "string", "pattern": f"^(?:{shape.pattern})$"} | longest
        case Integer():
            if shape.only:
                return {"enum": list(shape.only)}
            return {"type": "integer", "minimum": shape.lowest, "maximum": shape.highest}
        case Choice():
            return {"enum": list(shape.values)}
        case Network():
            return dict(_NETWORK)
        case Duration():
            return {"type": "string", "minLength": 1, "pattern": f"^{DURATION_PATTERN}$"}
        case Anything():
            return {"type": "object"}
        case Sequence():
            return {"type": "array", "minItems": 1, "items": _schema(shape.item)}
        case Table():
            return {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _schema(shape.key),
                "additionalProperties": _schema(shape.value),
            }
        case Either():
            return {"anyOf": [_schema(shape.short), _schema(shape.long)]}
        case Block():
            return _block(shape)


def _block(block: Block) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.name: _field(field) for field in block.fields},
    }
    if required := [field.name for field in block.fields if field.required]:
        schema["required"] = required
    if needs := {field.name: [field.needs] for field in block.fields if field.needs}:
        schema["dependentRequired"] = needs
    return schema


def _field(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": field.doc} | _schema(field.shape)
    if field.default is not None:
        schema["default"] = field.default
    if field.examples:
        schema["examples"] = list(field.examples)
    return schema
