from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from lab.degrade.report.junit import junit
from tests.unit.degrade.report import judged, made

# What the schemas of Ant (JUnit.xsd) and Jenkins (junit-10.xsd) say, as far as ours can break it:
# children in their order, attributes that are needed, and those that are known.
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*system-out system-err ",
    "properties": r"(property )*",
    "testcase": r"((skipped|error|failure) )?",
    **dict.fromkeys(("property", "skipped", "error", "failure", "system-out", "system-err"), ""),
}
NEEDED = {
    "testsuites": set(),
    "testsuite": set("name timestamp hostname tests failures errors time package id".split()),
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "error": {"type"},
    "failure": {"type"},
}
KNOWN = {
    "testsuites": set("name time tests failures disabled errors".split()),
    "testsuite": NEEDED["testsuite"] | {"skipped", "disabled"},
    "testcase": NEEDED["testcase"] | {"status"},
    "skipped": {"message"},
    "error": {"type", "message"},
    "failure": {"type", "message"},
}
SHAPES = {
    "time": r"\d+\.\d+",
    "tests|failures|errors|skipped|id": r"\d+",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "hostname|name|classname|package": r"\S.*",
}


def problems(root):
    for element in root.iter():
        tag, at = element.tag, element.attrib
        if not re.fullmatch(CHILDREN[tag], "".join(f"{child.tag} " for child in element)):
            yield f"{tag} has {[child.tag for child in element]}"
        yield from (f"{tag} lacks {key}" for key in NEEDED.get(tag, set()) - set(at))
        yield from (f"{tag} has {key}" for key in set(at) - KNOWN.get(tag, NEEDED.get(tag, set())))
        for keys, shape in SHAPES.items():
            for key in keys.split("|"):
                if key in at and tag != "property" and not re.fullmatch(shape, at[key]):
                    yield f"{tag} has {key}={at[key]!r}"
    for suite in root.iter("testsuite"):
        for key, tag in {
            "tests": "testcase",
            "failures": "failure",
            "errors": "error",
            "skipped": "skipped",
        }.items():
            if int(suite.get(key)) != len(list(suite.iter(tag))):
                yield f"{key} is {suite.get(key)}"


def cases(verdicts):
    [suite] = JUnitXml.fromstring(junit(made.history(), verdicts))
    return {case.name: case for case in suite}


def test_it_keeps_to_the_schemas():
    assert not list(problems(ET.fromstring(junit(made.history(), judged.verdicts()))))
    assert not list(problems(ET.fromstring(junit(made.history(), []))))


def test_the_check_finds_what_breaks_them():
    root = ET.fromstring(junit(made.history(), judged.verdicts()))
    suite = root[0]
    suite.set("timestamp", "2026-01-01T10:00:00Z")
    suite.set("tests", "3")
    suite.remove(*suite.iter("system-out"))

    assert len(list(problems(root))) == 3


def test_each_verdict_is_what_ci_calls_it():
    found = cases(judged.verdicts())

    assert {name.split()[0]: [type(each) for each in case.result] for name, case in found.items()} == {
        "C1": [Failure],
        "C2": [],
        "C3": [Failure],
        "C4": [Error],
        "C6": [],
        "C6-ten-tries": [],
        "C8": [Skipped],
    }
    c1 = found["C1 Application workloads run on when mgmt dies."]
    assert c1.classname == "degrade.kill"
    assert c1.time == 260.0
    assert c1.result[0].message.startswith("app2: 4 of 2599 requests")
    assert "app1: rollouts end: 26 of 26 ended" in c1.result[0].text
    assert found["C4 Policies are enforced without mgmt."].result[0].type == "inconclusive"


def test_a_control_passes_by_failing():
    control = next(each for each in judged.verdicts() if each.control_of)
    name = "C6-ten-tries fails, as it must"

    assert cases([control])[name].is_passed
    failed = cases([replace(control, word="pass", reason="")])[name].result[0]
    assert (type(failed), failed.message) == (Failure, "it was to fail, and did not")
    assert cases([replace(control, word="inconclusive")])[name].is_error
    assert cases([replace(control, word="skipped")])[name].is_skipped


def test_properties_say_what_was_tried():
    [suite] = JUnitXml.fromstring(junit(made.history(), judged.verdicts()))
    found = {each.name: each.value for each in suite.properties()}

    assert found["fault"] == "kill"
    assert found["target"] == "mgmt"
    assert found["version.Cilium"] == "1.19.5"
    assert found["profile.hold_s"] == "90"
    assert suite.time == 260.0


@pytest.mark.parametrize("text", ["a\x00\x1b[31m\ufffeb", "\ud800", "</failure><script>&\"'", "]]>", "a\nb"])
def test_hostile_text_stays_text(text):
    hostile = replace(judged.verdicts()[0], contract=text, claim=text, reason=text)
    history = made.history()
    history.run.update(target=text, versions={text: text})

    root = ET.fromstring(junit(history, [hostile]))

    assert not list(problems(root))
    assert len(list(root.iter("failure"))) == 1


def test_a_run_of_which_nothing_is_known():
    assert not list(problems(ET.fromstring(junit(made.History(run=made.header([])), judged.verdicts()))))
