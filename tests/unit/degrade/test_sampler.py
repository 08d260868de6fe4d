"""What the sampler makes of acts that are done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import state
from lab.addons import catalog
from lab.catalog.place import place
from lab.catalog.words import look
from lab.degrade.left import Left
from lab.degrade.recorder import Recorder
from lab.degrade.sampler import Sampler
from lab.degrade.scope import Away, bind, choose
from lab.degrade.told import told
from lab.platform.steps import Attempted
from lab.settings import from_environment
from tests.unit import labs


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({"endures": [21600.0, 21606.0]}, 21600.0),
        ({"endures": []}, None),
        ({"endures": ["long"]}, None),
        (None, None),
    ],
)
def test_how_long_a_claim_is_made_for_is_what_an_act_has_found(
    tmp_path: Path, value: Any, seconds: float | None
) -> None:
    addons = catalog(from_environment())
    topology = labs.topology("hub-spoke")
    placed = place(topology, addons)
    names = {each.addon.name for each in placed}
    cases, _ = bind(
        topology, choose(told(topology, placed, addons), ["C1", "C2"]), Away("mgmt"), addons=names
    )
    with Recorder(tmp_path / "history.jsonl") as recorder:
        left = Left(state.folder(replace(from_environment(), state=tmp_path), "hub-spoke"))
        sampler = Sampler(look(topology, placed, seed=b"seed"), {}, tuple(cases), recorder, "run1", left)
        sampler.acts["C2/app1/log"] = Attempted(value is not None, "", 1.0, value)
        found = {case.id: sampler.endures(case) for case in cases}
    assert found == {"C1/app1": None, "C1/app2": None, "C2/app1": seconds, "C2/app2": None}
