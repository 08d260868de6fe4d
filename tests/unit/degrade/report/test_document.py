from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest

from lab.degrade.report import document
from lab.degrade.verdict import Finding, together
from tests.unit.degrade.report import judged, made

SCHEMA = json.loads((Path(document.__file__).parent / "verdict.schema.json").read_text())


def validate(value):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(value, SCHEMA, jsonschema.Draft202012Validator)


def test_what_scripts_rely_on():
    found = json.loads(document.text(made.history(), judged.verdicts()))

    validate(found)
    assert list(found) == ["run", "fault", "target", "profile", "started", "contracts"]
    assert (found["run"], found["fault"], found["target"]) == ("20260101-100000-kill-mgmt", "kill", "mgmt")
    assert found["started"] == "2026-01-01T10:00:00Z"
    assert found["profile"]["hold_s"] == 90
    c1 = found["contracts"][0]
    assert (c1["id"], c1["verdict"], c1["control_of"]) == ("C1", "fail", None)
    assert c1["measured"]["app2"]["between-app1_new"]["lost"] == 4
    assert "app1: rollouts end: 26 of 26 ended" in c1["evidence"]
    assert [each["control_of"] for each in found["contracts"]].count("C6") == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (math.nan, None),
        (math.inf, None),
        ((1, 2), [1, 2]),
        ({3: Path("x")}, {"3": "x"}),
        ("\ud800\x00", "\ufffd\ufffd"),
        (10**30, 10**30),
    ],
)
def test_whatever_was_measured_it_is_json(value, kept):
    finding = Finding(says="It is so.", ok=True, proof=False, seen="it is", measured={"thing": value})
    cluster = judged.on("C1", "app1", "pass", "", finding)

    found = json.loads(document.text(made.history(), [together("C1", "It holds.", [cluster])]))

    validate(found)
    assert found["contracts"][0]["measured"] == {"app1": {"thing": kept}}


@pytest.mark.parametrize(
    "change",
    [
        {"contracts": [{"id": "C1"}]},
        {"started": "2026-01-01 10:00"},
        {"extra": 1},
        {"profile": {"name": "quick"}},
    ],
)
def test_the_schema_refuses(change):
    with pytest.raises(jsonschema.ValidationError):
        validate(document.document(made.history(), judged.verdicts()) | change)


def test_a_word_that_is_no_verdict_is_refused():
    found = document.document(made.history(), judged.verdicts())
    found["contracts"][0]["verdict"] = "fine"

    with pytest.raises(jsonschema.ValidationError):
        validate(found)
