"""The first line of a history: what was tried, and what is to be judged. Complete, or refused."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from typing import Any, Final, get_args

from lab.catalog.contract import PHASES, Rule
from lab.document.position import listed, shorten

FORMAT: Final = 1

_RUN: Final[Mapping[str, Any]] = {
    "run": "",
    "lab": "",
    "topology": "",
    "asked_for": {},
    "fault": "",
    "target": "",
    "boot": "",
    "profile": {},
    "versions": {},
    "host": {},
    "cases": [],
    "skipped": [],
}
_PROFILE: Final[Mapping[str, Any]] = {"name": "", "baseline_s": 0.0, "hold_s": 0.0, "scaled": ""}
_ASKED_FOR: Final[Mapping[str, Any]] = {"topology": "", "contract": ""}
"""Words of the command line; empty in what an earlier version wrote."""

_CASE: Final[Mapping[str, Any]] = {
    "contract": "",
    "cluster": "",
    "claim": "",
    "control_of": "",
    "fails": "",
    "series": {},
    "flows": {},
    "acts": {},
    "judgements": [],
}
_SKIPPED: Final[Mapping[str, Any]] = dict.fromkeys(
    ("contract", "cluster", "claim", "control_of", "reason"), ""
)
_SERIES: Final[Mapping[str, Any]] = {"summary": "", "every": 5.0, "timeout": 5.0}
_FLOW: Final[Mapping[str, Any]] = {"summary": "", "every": 0.1}
_ACT: Final[Mapping[str, Any]] = {"summary": "", "during": "hold"}
_JUDGEMENT: Final[Mapping[str, Any]] = {
    "rule": "",
    "says": "",
    "of": "",
    "phases": [],
    "lost": 0,
    "least": 1,
    "after": 0.0,
    "within": 0.0,
    "once": "",
    "expression": "",
    "proof": False,
}


class Unshaped(ValueError):
    """A header that cannot be used: its text says where and why."""


def header(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``record`` with everything in it that judges and reports ask for. Raises Unshaped.

    What is left out stands for nothing: an empty text, no cases. Keys that are not known stay.
    """
    run = _filled(record, _RUN, "it")
    run["profile"] = _filled(run["profile"], _PROFILE, "profile")
    run["asked_for"] = _filled(run["asked_for"], _ASKED_FOR, "asked_for")
    run["cases"] = [_case(case, f"cases[{index}]") for index, case in enumerate(run["cases"])]
    run["skipped"] = [
        _named(_filled(each, _SKIPPED, f"skipped[{index}]"), f"skipped[{index}]", "contract")
        for index, each in enumerate(run["skipped"])
    ]
    return run


def _case(value: Any, where: str) -> dict[str, Any]:
    case = _named(_filled(value, _CASE, where), where, "contract", "cluster")
    for key, like in (("series", _SERIES), ("flows", _FLOW), ("acts", _ACT)):
        case[key] = {name: _filled(each, like, f"{where}.{key}.{name}") for name, each in case[key].items()}
        for name, each in case[key].items():
            if each.get("every", 1) <= 0:
                raise Unshaped(f"{where}.{key}.{name}.every is {each['every']}")
    case["judgements"] = [
        _judgement(each, f"{where}.judgements[{index}]") for index, each in enumerate(case["judgements"])
    ]
    return case


def _judgement(value: Any, where: str) -> dict[str, Any]:
    judgement = _filled(value, _JUDGEMENT, where)
    if judgement["rule"] not in get_args(Rule):
        raise Unshaped(
            f"{where}.rule is {_shown(judgement['rule'])}, not {listed(get_args(Rule), joint='or')}"
        )
    for phase in judgement["phases"]:
        if phase not in PHASES:
            raise Unshaped(f"{where}.phases has {_shown(phase)}, which is not {listed(PHASES, joint='or')}")
    return judgement


def _filled(value: Any, like: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unshaped(f"{where} is {_shown(value)}")
    made = dict(value)
    for key, default in like.items():
        if made.get(key) is None:
            made[key] = copy.copy(default)
        elif not _fits(made[key], default):
            raise Unshaped(f"{where}.{key} is {_shown(made[key])}")
    return made


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, type(default))


def _named(made: dict[str, Any], where: str, *keys: str) -> dict[str, Any]:
    for key in keys:
        if not made[key]:
            raise Unshaped(f"{where} has no {key}")
    return made


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str))
