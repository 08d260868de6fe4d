from __future__ import annotations

from pathlib import Path

import pytest

from lab.engine.appended import Appended


def test_the_file_is_its_owners_alone_and_what_was_in_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "journals" / "one.jsonl"
    with Appended(path):
        path.write_text("first\n")
    with Appended(path) as again:
        assert again.path.read_text() == "first\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_may_be_closed_twice(tmp_path: Path) -> None:
    with Appended(tmp_path / "one.jsonl") as file:
        file.close()


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Appended(tmp_path / "file" / "one.jsonl")
