"""``verdict.json``: what came of an experiment, for scripts. ``verdict.schema.json`` says what is in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lab.degrade.history import History
from lab.degrade.report import words
from lab.degrade.verdict import Verdict


def document(history: History, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The document; all in it is JSON."""
    run = history.run
    made: dict[str, Any] = _json(
        {
            "run": run["run"],
            "fault": run["fault"],
            "target": run["target"],
            "profile": {key: run["profile"][key] for key in ("name", "baseline_s", "hold_s", "scaled")},
            "started": words.stamp(run["wall"]),
            "contracts": [each.as_json() for each in verdicts],
        }
    )
    return made


def text(history: History, verdicts: Sequence[Verdict]) -> str:
    """The document as it is written."""
    return json.dumps(document(history, verdicts), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json(value: Any) -> Any:
    """``value`` in types that JSON has. What it cannot say is null, or a text."""
    if isinstance(value, Mapping):
        return {words.plain(key): _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else words.plain(value)
