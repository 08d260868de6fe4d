"""The stand-in for Multipass accepts what is expected of the real one, and nothing that is not documented."""

from __future__ import annotations

import pytest

from tests.multipass import standin
from tests.multipass.confirm import differences, entries


@pytest.mark.parametrize("dialect", ["1.16", "next"])
def test_every_expected_command_line_is_one_that_it_knows(
    monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    monkeypatch.setenv("MULTIPASS_STANDIN_DIALECT", dialect)
    for entry in entries():
        if entry.get("dialect", dialect) == dialect:
            command, *rest = entry["words"]
            standin.parsed(command, rest)


@pytest.mark.parametrize(
    "words",
    [
        "launch --mem 2G",
        "launch --zone zone1",
        "delete --force x",
        "list --all",
        "info --all",
        "exec x --user root -- true",
        "start --force x",
        "version --json",
    ],
)
def test_what_is_not_documented_is_refused(capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert standin.main(words.split()) == 1
    assert capsys.readouterr().err.startswith("Unknown option '")


def test_later_versions_have_other_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTIPASS_STANDIN_DIALECT", "next")
    assert standin.parsed("launch", ["--zone", "zone1"]) == ({"zone": "zone1"}, [])
    assert standin.main(["delete", "--purge", "x"]) == 1
    assert capsys.readouterr().err == "Unknown option 'purge'.\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("list --format json", 3, "list failed: cannot connect to the multipass socket\n"),
        ("lunch", 1, "Error: Unknown Command: 'lunch'\n"),
    ],
)
def test_without_a_daemon(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, code: int, text: str
) -> None:
    monkeypatch.setenv("MULTIPASS_STANDIN_DAEMON", "stopped")
    assert standin.main(words.split()) == code
    assert capsys.readouterr().err == text


@pytest.mark.parametrize("word", ["version", "get", "find", "help"])
def test_what_needs_no_machine_is_as_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(standin, "make_network", lambda: None)
    for entry in entries():
        if entry["words"][0] == word and entry.get("dialect", "1.16") == "1.16":
            code = standin.main(entry["words"])
            printed = capsys.readouterr()
            assert list(differences(entry, code, printed.out, printed.err)) == []


def test_differences_are_told() -> None:
    entry = {"exit": 2, "complains": "no such", "json": {"a.*.b": "str"}}
    assert list(differences(entry, 1, "", "what?")) == [
        "exit code 1, expected 2",
        "nothing like 'no such' in what it complains",
    ]
    entry = {"json": {"a.*.b": "str", "c": "int"}}
    assert list(differences(entry, 0, '{"a": [{"b": 1}], "c": 2}', "")) == ["a.*.b is int, expected str"]
    assert list(differences({"json": {"c": "int"}}, 0, "{}", "")) == ["c is not there, expected int"]
