from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jinja2 import UndefinedError

from lab.catalog.templates import (
    Folder,
    environment,
    expression_fault,
    expression_paths,
    known_parts,
    mentioned,
    text_fault,
)
from lab.catalog.words import value_at
from lab.document.scalars import Unfit


def render(template: str, **known: object) -> str:
    return environment().from_string(template).render(**known)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{ 'häh' | b64encode }}", "aMOkaA=="),
        ("{{ 'aMOkaA==' | b64decode }}", "häh"),
        ("{{ 'x' | sha256 }}", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        ("{{ {'b': [1, true, none], 'a': 'ä'} | to_json }}", '{"b": [1, true, null], "a": "ä"}'),
        ("{{ {'b': [1], 'a': 'ä'} | to_yaml }}", "b:\n- 1\na: ä\n"),
        ("a:\n  {% if true %}\n  b: c\n  {% endif %}\n", "a:\n  b: c\n"),
        ("{{ '<&>' }}", "<&>"),
    ],
)
def test_the_language_has(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize("text", ["a\u2028b", "a\x7fb\x85", "\ufeff", 'q"\\\n\t', "😀"])
def test_json_is_yaml_whatever_it_holds(text: str) -> None:
    made = render("a: {{ text | to_json }}", text=text)
    assert yaml.safe_load(made) == {"a": text}
    assert json.loads(made[3:]) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nothing }}", '"nothing" is not known'),
        ("{{ options.wait }}", 'there is no "wait" among a and b'),
        ("{{ map.wait }}", 'there is no "wait" among c'),
        ("{{ none.wait }}", '"wait" is asked of something that is not there yet'),
    ],
)
def test_what_is_not_known_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UndefinedError) as caught:
        render(text, options=SimpleNamespace(a=1, b=2), map={"c": 1})
    assert str(caught.value) == message


def test_an_expression_compiles_or_says_why() -> None:
    assert expression_fault("result.data.value | b64decode == nonce and status in [200, 201]") == ""
    assert "unexpected 'end of template'" in expression_fault("status ==")
    assert "No filter named 'b46'" in expression_fault("x | b46")


def test_a_text_compiles_or_says_why() -> None:
    assert text_fault("/v1/{{ nonce }}") == ""
    assert "unexpected end of template" in text_fault("/v1/{{ nonce")


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("acts.refresh.ok", {("acts", "refresh"), ("acts", "refresh", "ok")}),
        ("not a['b-c'].d or a['b-c'].e > 1", {("a", "b-c"), ("a", "b-c", "d"), ("a", "b-c", "e")}),
        ("a[b.c].d | default(e.f)", {("b", "c"), ("e", "f")}),
        ("a[0].b", {("a", "0"), ("a", "0", "b")}),
        ("f(a).b", set()),
        ("a", set()),
    ],
)
def test_what_an_expression_names_outright(expression: str, paths: set[tuple[str, ...]]) -> None:
    assert set(expression_paths(expression)) == paths


def test_what_an_expression_asks_for_is_told_as_a_whole() -> None:
    expression = "status == 200 and result.items[0]['b-c'].d and not result.items[0]['b-c'].d"
    assert mentioned(expression) == (("status",), ("result", "items", "0", "b-c", "d"))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("a", "b", "1", "c"), (True, 7)),
        (("a", "b", "2"), (False, None)),
        (("a", "b", "x"), (False, None)),
        (("a", "x", "c"), (False, None)),
        (("n", "c"), (True, None)),
        (("n", "__dict__"), (False, None)),
        (("n", "c", "d"), (False, None)),
    ],
)
def test_what_is_at_a_path(path: tuple[str, ...], found: tuple[bool, object]) -> None:
    known = {"a": {"b": [0, {"c": 7}]}, "n": SimpleNamespace(c=None)}
    assert value_at(known, path) == found


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("known ~ 1", ["k1"]),
        ("status == 200 and result.x == known ~ 1", ["k1"]),
        ("result[known] ~ (known | upper)", ["K", "k"]),
        ("'a' | upper == result", ["A"]),
        ("result | default(range(2) | list)", ["[0, 1]"]),
        ("status == 200", []),
    ],
)
def test_parts_of_an_expression_that_wait_for_no_answer(expression: str, made: list[str]) -> None:
    assert sorted(part.render(known="k") for part in known_parts(expression, ["known"])) == made


def test_files_are_read_from_the_folder_and_below_it(tmp_path: Path) -> None:
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "a.json").write_text("{}")
    (tmp_path / "bytes").write_bytes(b"\xff")
    folder = Folder(tmp_path, "addons/x")
    assert folder.read("dashboards/a.json") == "{}"
    assert folder.read("./dashboards/a.json") == "{}"
    for name, message in {
        "dashboards": 'there is no file "dashboards"',
        "bytes": '"bytes" is not UTF-8',
        "../x": '"../x" leads out of the addon\'s folder',
        "dashboards/../bytes": '"dashboards/../bytes" leads out of the addon\'s folder',
        str(tmp_path / "bytes"): f'"{tmp_path / "bytes"}" leads out of the addon\'s folder',
    }.items():
        with pytest.raises(Unfit) as caught:
            folder.read(name)
        assert str(caught.value)[:30] == message[:30]
