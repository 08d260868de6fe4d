from __future__ import annotations

import datetime as dt
import errno
import json
import os
import stat
import threading

from lab.engine import journal
from lab.engine.journal import Journal


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "lab" / "journal" / "run.jsonl"

    with Journal(path) as book:
        book.write("run-start", lab="hub")
        book.write("step-end", step="mgmt/create", outcome="done", seconds=1.5)

    first, second = journal.read(path)
    assert (first.event, first.step, first.fields) == ("run-start", None, {"lab": "hub"})
    assert (second.event, second.step) == ("step-end", "mgmt/create")
    assert second.fields == {"outcome": "done", "seconds": 1.5}
    assert second.mono >= first.mono
    at = dt.datetime.fromisoformat(first.at)
    assert at.utcoffset() == dt.timedelta(0)
    assert abs((dt.datetime.now(dt.UTC) - at).total_seconds()) < 60


def test_only_the_owner_may_read_it(tmp_path):
    path = tmp_path / "journal" / "run.jsonl"

    Journal(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_only_appended_to(tmp_path):
    path = tmp_path / "run.jsonl"
    for event in ("first", "second"):
        with Journal(path) as book:
            book.write(event)

    assert [record.event for record in journal.read(path)] == ["first", "second"]


def test_a_record_is_on_disk_before_write_returns(tmp_path):
    path = tmp_path / "run.jsonl"
    with Journal(path) as book:
        book.write("step-start", step="a")

        assert [record.step for record in journal.read(path)] == ["a"]


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    path = tmp_path / "run.jsonl"
    with Journal(path) as book:
        book.write("whole")
    with path.open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00+00:00", "mo')

    assert [record.event for record in journal.read(path)] == ["whole"]


def test_whatever_is_recorded_can_be_read(tmp_path):
    path = tmp_path / "run.jsonl"
    with Journal(path) as book:
        book.write("step-end", error="two\nlines \u2028 and \udcff", path=tmp_path)

    (record,) = journal.read(path)
    assert record.fields["path"] == str(tmp_path)
    assert record.fields["error"].startswith("two\nlines \u2028 and ")


def test_threads_do_not_cut_into_one_another(tmp_path):
    path = tmp_path / "run.jsonl"
    with Journal(path) as book:

        def write(number: int) -> None:
            for count in range(50):
                book.write("said", step=f"s{number}", count=count, text="x" * 500)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 400
    assert len(journal.read(path)) == 400


def test_a_full_disk_does_not_end_the_run(tmp_path, monkeypatch, caplog):
    def write(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path / "run.jsonl") as book:
        monkeypatch.setattr(os, "write", write)
        book.write("step-start", step="a")

    assert "No space left on device" in caplog.text


def test_names_sort_by_time(tmp_path):
    names = [journal.new_path(tmp_path, "up").name for _ in range(3)]

    assert names == sorted(names)
    assert all("up" in name and name.endswith(".jsonl") for name in names)


def test_how_long_each_step_took_last(tmp_path):
    runs = [
        [("a", "done", 10.0), ("b", "done", 5.0)],
        [("a", "done", 12.0), ("b", "failed", 99.0), ("c", "done", 1.0)],
        [("a", "skipped", 0.0)],
    ]
    for number, run in enumerate(runs):
        with Journal(tmp_path / f"2026010{number}-up.jsonl") as book:
            for step, outcome, seconds in run:
                book.write("step-start", step=step)
                book.write("step-end", step=step, outcome=outcome, seconds=seconds)

    assert journal.last_durations(tmp_path) == {"a": 12.0, "b": 5.0, "c": 1.0}
    assert journal.last_durations(tmp_path / "nowhere") == {}
