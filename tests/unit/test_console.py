from __future__ import annotations

import io
import json
import sys

import pytest

from lab import console
from lab.errors import HostError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Called in a test, puts a terminal that can do everything in place of stdout and stderr.

    In the test and not here, because pytest replaces both once more before the test starts.
    """
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def put() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return put


FAILURE = HostError("no [space] left", details="df:\n  0 MiB\n", remedy="Free some.")


def test_the_result_goes_to_stdout_and_the_rest_to_stderr(capsys):
    console.out("result")
    console.note("progress")

    assert capsys.readouterr() == ("result\n", "progress\n")


def test_an_error_is_three_paragraphs(capsys):
    console.error(FAILURE)

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: no [space] left\n  df:\n    0 MiB\nFree some.\n"


def test_an_error_without_details_or_remedy(capsys):
    console.error(HostError("no space left"))

    assert capsys.readouterr().err == "error: no space left\n"


def test_an_error_is_coloured_on_a_terminal(terminal):
    stream = terminal()
    console.error(FAILURE)

    assert "\x1b[1;31merror: \x1b[0m\x1b[1mno [space] left\x1b[0m\n  df:\n    0 MiB\n" in stream.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_an_error_is_plain_where_colour_is_not_wanted(terminal, monkeypatch, variable, value):
    stream = terminal()
    monkeypatch.setenv(variable, value)

    console.error(FAILURE)

    assert stream.getvalue() == "error: no [space] left\n  df:\n    0 MiB\nFree some.\n"


def test_a_long_error_is_not_broken_into_lines(terminal):
    stream = terminal()
    console.error(HostError("x" * 300, details="y" * 300))

    assert "x" * 300 in stream.getvalue()
    assert "y" * 300 in stream.getvalue()


def test_a_table_in_plain_text(capsys):
    console.table(("name", "mib", "seen"), [("mgmt", 2048, "yes"), ("app1", 512.25, None)], title="clusters")

    assert capsys.readouterr().out == ("clusters\nname    mib  seen\nmgmt   2048  yes\napp1  512.2  -\n")


def test_a_table_without_rows(capsys):
    console.table(("name", "memory"), [])

    assert capsys.readouterr().out == "name  memory\n"


def test_a_table_on_a_terminal(terminal):
    stream = terminal()
    console.table(("name",), [("[red]app1[/red]",)], title="clusters")

    text = stream.getvalue()
    assert "[red]app1[/red]" in text
    assert "─" in text
    assert "\x1b[" in text


def test_on_a_narrow_terminal_names_stay_whole(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = terminal()
    console.table(("name", "a", "b"), [("C5-any-backend", "inconclusive", "inconclusive")], names=True)

    assert "C5-any-backend" in stream.getvalue()
    assert "inconclusive" not in stream.getvalue()


def test_a_row_must_fit_its_table():
    with pytest.raises(ValueError, match="zip"):
        console.table(("a", "b"), [("x", "y", "z")])


TREE: console.Tree = {"mgmt": {"vault": {}, "thanos": {"[store]": {}}}, "app1": {}}


def test_a_tree_in_plain_text(capsys):
    console.tree("hub-spoke", TREE)

    assert capsys.readouterr().out == "hub-spoke\n  mgmt\n    vault\n    thanos\n      [store]\n  app1\n"


def test_a_tree_on_a_terminal(terminal):
    stream = terminal()
    console.tree("hub-spoke", TREE)

    assert "└── app1" in stream.getvalue()
    assert "[store]" in stream.getvalue()


def test_json_keeps_order_and_letters(capsys):
    console.out_json({"b": 1, "a": "é"})

    out = capsys.readouterr().out
    assert json.loads(out) == {"b": 1, "a": "é"}
    assert out.index('"b"') < out.index('"a"')
    assert "é" in out


def test_a_note_to_nobody_does_no_harm(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())

    console.note("text")


def test_yes_is_assumed_without_asking(terminal):
    stream = terminal()
    assert console.confirm("Remove it?", assume_yes=True)
    assert stream.getvalue() == ""


def test_without_a_terminal_nothing_is_asked(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert not console.confirm("Remove it?", assume_yes=False)
    assert "--yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yellow\n", False)],
)
def test_an_answer_on_a_terminal(terminal, monkeypatch, answer, expected):
    stream = terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    assert console.confirm("Remove it?", assume_yes=False) is expected
    assert stream.getvalue() == "Remove it? [y/N] "


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.9, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_a_duration_is_for_people(seconds, text):
    assert console.duration(seconds) == text
