from __future__ import annotations

import json
import os
import stat
import xml.etree.ElementTree as ET

import pytest

from lab.degrade.report.write import write_all
from lab.errors import HostError
from tests.unit.degrade.report import judged, made


def test_all_reports_are_written_for_the_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        write_all(tmp_path, made.history(), judged.verdicts())
    finally:
        os.umask(old)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "report.html", "verdict.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert json.loads((tmp_path / "verdict.json").read_text())["fault"] == "kill"
    assert ET.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_written_again_they_are_the_same(tmp_path):
    write_all(tmp_path, made.history(), judged.verdicts())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    write_all(tmp_path, made.history(), list(judged.verdicts()))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    write_all(tmp_path, made.history(), judged.verdicts())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(HostError, match=r"verdict\.json cannot be written") as caught:
        write_all(tmp_path, made.history(), [])

    assert "No space left" in caught.value.details
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(HostError):
        write_all(tmp_path / "none", made.history(), judged.verdicts())


def test_what_somebody_left_half_written_is_no_hindrance(tmp_path):
    left = tmp_path / ".report.html.partial"
    left.write_text("x" * 10**6)
    left.chmod(0o644)

    write_all(tmp_path, made.history(), judged.verdicts())

    assert not left.exists()
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o600
