"""``junit.xml``: verdicts in the form that CI systems read.

A contract is a test case: ``fail`` is a failure, ``inconclusive`` an error (nothing was shown, which is not
the same), ``skipped`` is skipped. A negative control that failed as it must is a passed test case.
What is written keeps to the schemas of both Ant and Jenkins; where they differ, to the stricter.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.degrade.history import History
from lab.degrade.report import words
from lab.degrade.report.moments import extent
from lab.degrade.verdict import Verdict


def junit(history: History, verdicts: Sequence[Verdict]) -> bytes:
    """The report as a document, in UTF-8.

    The time of a test case is that of the run: contracts are sampled all the time, side by side.
    """
    start, end = extent(history)
    took = f"{end - start:.3f}"
    fault, target = (words.line(history.run.get(key, "")) for key in ("fault", "target"))
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(sum(each.surprising for each in verdicts)),
        "errors": str(sum(each.word == "inconclusive" for each in verdicts)),
    }
    report = ET.Element("testsuites", {"name": "degrade", **counts, "time": took})
    suite = ET.SubElement(
        report,
        "testsuite",
        {
            "name": f"degrade {fault} {target}".rstrip(),
            **counts,
            "skipped": str(sum(each.word == "skipped" for each in verdicts)),
            "time": took,
            # Ant's schema has moments without a zone, a host, a package and a number.
            "timestamp": words.stamp(history.run.get("wall")).removesuffix("Z"),
            "hostname": "localhost",
            "package": "degrade",
            "id": "0",
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(history.run):
        ET.SubElement(properties, "property", {"name": words.line(name), "value": words.line(value)})
    for each in verdicts:
        case = {
            "classname": f"degrade.{fault or 'unknown'}",
            "name": _name(each),
            "time": "0.000" if each.word == "skipped" else took,
        }
        _result(ET.SubElement(suite, "testcase", case), each)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    ET.indent(report)
    text: bytes = ET.tostring(report, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _properties(run: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key in ("run", "lab", "topology", "fault", "target"):
        yield key, run.get(key, "")
    yield from ((f"profile.{key}", value) for key, value in run.get("profile", {}).items())
    yield from ((f"version.{key}", value) for key, value in run.get("versions", {}).items())


def _name(verdict: Verdict) -> str:
    if verdict.control_of:
        return f"{words.line(verdict.contract)} fails, as it must"
    return f"{words.line(verdict.contract)} {words.line(verdict.claim)}"


def _result(case: ET.Element, verdict: Verdict) -> None:
    reason = words.line(verdict.reason, 2000)
    if verdict.word == "skipped":
        ET.SubElement(case, "skipped", {"message": reason})
        return
    if verdict.surprising and verdict.control_of:
        kind, of = "failure", "did-not-fail"
        reason = f"it was to fail, and did not: {reason}" if reason else "it was to fail, and did not"
    elif verdict.surprising:
        kind, of = "failure", "fail"
    elif verdict.word == "inconclusive":
        kind, of = "error", "inconclusive"
    else:
        return
    told = ET.SubElement(case, kind, {"message": reason, "type": of})
    told.text = "\n".join([reason, *(words.line(each, 2000) for each in verdict.as_json()["evidence"])])
