from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time

import pytest

from lab.degrade.history import parse, read
from lab.degrade.recorder import Recorder
from lab.errors import HostError
from lab.redact import Redactor
from tests.unit.degrade.histories import Run

HEADER = {key: value for key, value in Run().first_line().items() if key not in ("kind", "mono", "wall")}


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_recorded_can_be_read(tmp_path):
    path = tmp_path / "runs" / "r1" / "history.jsonl"
    before = time.monotonic()

    with Recorder(path) as recorder:
        recorder.write("run", **HEADER)
        recorder.write("phase", phase="baseline")
        recorder.write("sample", id="C1/app1/sync", ok=True, seconds=0.1, value={"n": 1}, mono=5.0, wall=6.0)

    history = read(path)
    assert history.run["fault"] == "kill"
    start, _ = history.spans["baseline"]
    # To the microsecond: what is kept is rounded.
    assert before - 1e-6 <= start <= time.monotonic() + 1e-6
    assert history.samples["C1/app1/sync"][0][:2] == (5.0, 6.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_record_is_there_before_write_returns_and_synced_only_where_it_matters(tmp_path, monkeypatch):
    path = tmp_path / "history.jsonl"
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(len(records(path))))
    recorder = Recorder(path)

    for kind in ("run", "sample", "phase", "gap", "batch", "act", "fault", "note"):
        recorder.write(kind)

    assert [each["kind"] for each in records(path)][-1] == "note"
    assert synced == [3, 7]


def test_threads_do_not_cut_into_one_another(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl")

    def many(number: int) -> None:
        for index in range(200):
            recorder.write("sample", id=f"C1/app1/s{number}", ok=True, seconds=0.1, value="x" * index)

    threads = [threading.Thread(target=many, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(records(recorder.path)) == 800


def full(monkeypatch, *, after: int) -> list[bool]:
    """A disk that takes ``after`` bytes and no more, until something is put into the list."""
    room = [after]
    freed: list[bool] = []
    write = os.write

    def limited(fd: int, data: bytes) -> int:
        if freed:
            return write(fd, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = data[: room[0]]
        room[0] -= len(part)
        return write(fd, part)

    monkeypatch.setattr(os, "write", limited)
    return freed


def test_a_full_disk_is_told_once_and_stops_no_sampler(tmp_path, monkeypatch):
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    recorder.write("run", **HEADER)
    freed = full(monkeypatch, after=20)

    recorder.check()
    for index in range(3):
        recorder.write("note", text=f"lost {index}")

    assert recorder.lost == 3
    with pytest.raises(HostError) as caught:
        recorder.check()
    assert caught.value.brief == "the history of the experiment cannot be written any more"
    assert caught.value.details == "[Errno 28] No space left on device"
    recorder.check()

    freed.append(True)
    recorder.write("note", text="kept")

    assert [note.text for note in read(path).notes] == [
        "3 records before this are lost: [Errno 28] No space left on device",
        "kept",
        "the run was cut off: its end was not recorded",
        "1 of the records cannot be read",
    ]


def test_a_disk_that_does_not_sync_is_told(tmp_path, monkeypatch):
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    recorder = Recorder(tmp_path / "history.jsonl")

    recorder.write("phase", phase="hold")

    assert recorder.lost == 0
    with pytest.raises(HostError):
        recorder.check()


def test_a_folder_that_cannot_be_made_is_an_error_for_people(tmp_path):
    (tmp_path / "runs").write_text("")

    with pytest.raises(HostError, match="cannot be written"):
        Recorder(tmp_path / "runs" / "history.jsonl")


def test_what_follows_a_line_that_was_cut_off_is_kept(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(Run().first_line()) + '\n{"kind": "no')

    with Recorder(path) as recorder:
        recorder.write("fault", what="undone", detail="by hand")

    assert read(path).first("undone")


def test_nothing_is_written_once_it_is_closed(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl")
    recorder.close()
    recorder.close()

    recorder.write("phase", phase="hold")
    recorder.check()

    assert not recorder.path.read_text()


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [1.0, float("inf")],
        {1: "a", (1, 2): "b"},
        {"path": object},
        b"bytes",
        "two\nlines \u2028 and \udcff",
        {"a", "b"},
    ],
)
def test_whatever_is_recorded_can_be_read(tmp_path, value):
    recorder = Recorder(tmp_path / "history.jsonl")

    recorder.write("sample", id="C1/app1/sync", ok=True, seconds=0.1, value=value)

    (line, rest) = recorder.path.read_text().split("\n")
    assert json.loads(line, parse_constant=pytest.fail)["ok"]
    assert not rest


def test_what_contains_itself_can_be_recorded(tmp_path):
    value: list[object] = []
    value.append(value)
    recorder = Recorder(tmp_path / "history.jsonl")

    recorder.write("sample", id="C1/app1/sync", value=value)

    assert records(recorder.path)[0]["id"] == "C1/app1/sync"


PLANTED = "correct-horse-battery"


@pytest.mark.parametrize(
    "fields",
    [
        {"error": f"login with {PLANTED} was refused"},
        {"value": {"data": {"password": PLANTED}}},
        {"value": ["--token", "another-0123456789"]},
        {"value": {"token": "another-0123456789"}},
        {
            "value": {"kind": "Secret", "data": {"key": "YW5vdGhlci0wMTIzNDU2Nzg5"}},
            "note": "another-0123456789",
        },
        {"detail": f"Authorization: Bearer {PLANTED}"},
    ],
)
def test_no_secret_is_recorded(tmp_path, fields):
    recorder = Recorder(tmp_path / "history.jsonl", Redactor([PLANTED, "another-0123456789"]).text)

    recorder.write("sample", id="C1/app1/sync", ok=False, seconds=0.5, **fields)

    (record,) = records(recorder.path)
    assert record["id"] == "C1/app1/sync"
    assert "REDACTED" in json.dumps(record)
    for secret in (PLANTED, "another-0123456789", "YW5vdGhlci0wMTIzNDU2Nzg5"):
        assert secret not in recorder.path.read_text()


def test_a_password_without_an_end_takes_nothing_after_it_along(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl")

    recorder.write("sample", error="password: 'abc", ok=False, seconds=0.5, value="it's", id="C1/app1/secret")

    (record,) = records(recorder.path)
    assert (record["ok"], record["seconds"], record["value"]) == (False, 0.5, "it's")
    assert record["id"] == "C1/app1/secret"
    assert "abc" not in record["error"]


def test_a_redactor_that_breaks_a_value_takes_it_whole(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl", lambda text: text.replace('"', "", 1))

    recorder.write("note", value={"a": 1})

    assert records(recorder.path)[0]["value"] == "REDACTED"


def test_in_the_header_a_name_is_no_hint_at_a_secret(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl", Redactor([PLANTED]).text)
    header = {
        **HEADER,
        "versions": {"external-secrets": "0.10.4", "vault": "1.20.0"},
        "host": {"proxy": f"http://me:{PLANTED}@10.0.0.1"},
        "cases": [
            {
                "contract": "C3",
                "cluster": "app1",
                "series": {"secret": {"every": 5, "timeout": 5}},
                "judgements": [
                    {"rule": "holds", "expression": "acts.token.value == series.secret.hold.last"}
                ],
            }
        ],
    }

    recorder.write("run", **header)

    run = parse(recorder.path.read_text(), file="x").run
    assert run["versions"]["external-secrets"] == "0.10.4"
    assert run["cases"][0]["series"]["secret"]["every"] == 5
    assert run["cases"][0]["judgements"][0]["expression"] == "acts.token.value == series.secret.hold.last"
    assert run["host"]["proxy"] == "http://me:REDACTED@10.0.0.1"
