"""A vocabulary as JSON Schema (draft 2020-12), for editors.

An editor that knows the schema completes keys, shows what they mean and marks slips while typing. What only
the whole file can tell (overlaps, names used twice) remains for the checks of its kind.
"""

from __future__ import annotations

import json
from typing import Any

from lab.document.scalars import DURATION_PATTERN
from lab.document.shapes import (
    Anything,
    Block,
    Boolean,
    Choice,
    Duration,
    Either,
    Field,
    Free,
    Integer,
    Network,
    Sequence,
    Shape,
    Table,
    Text,
)

_NETWORK = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"}


def schema_text(root: Block, *, title: str, source: str) -> str:
    """Return the text of the schema of files whose root is ``root``; ``source`` is where that is written."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": f"Generated from {source}: change that, not this file.",
    }
    return json.dumps(head | _schema(root), indent=2, ensure_ascii=False) + "\n"


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
        case Boolean():
            return {"type": "boolean"}
        case Anything():
            return {"type": "object"}
        case Free():
            return {}
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
    if block.one_of:
        schema["oneOf"] = [{"required": [name]} for name in block.one_of]
    if block.at_most_one_of:
        schema["not"] = {"required": list(block.at_most_one_of)}
    return schema


def _field(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": field.doc} | _schema(field.shape)
    if field.default is not None:
        schema["default"] = field.default
    if field.examples:
        schema["examples"] = list(field.examples)
    return schema
