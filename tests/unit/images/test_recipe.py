"""Programs: every entry of programs.yaml can be built, and its key changes with what comes out."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from lab.images import recipe
from lab.images.recipe import Kept, Program, Wheel, programs

PLAIN = Program(
    name="tool",
    module="example.org/tool",
    version="v1.2.3",
    licence="MIT",
    layout="wrapper",
    packages={"tool": "cmd/tool"},
    tags=("one",),
    ldflags="-X main.version={version} -X main.bare={bare_version}",
    replace={"example.org/part": "v0.1.0"},
    keep={"chart": Kept(path="charts/tool")},
    seconds=10,
    disk_mib=100,
)

OTHERWISE = {
    "name": "tool2",
    "module": "example.org/fork",
    "version": "v1.2.4",
    "layout": "folder",
    "packages": {"tool": "."},
    "tags": ("one", "two"),
    "ldflags": "",
    "staging": "v0.35.8",
    "replace": {},
    "keep": {"chart": Kept(path="charts/tool", go_constant="x")},
    "wheels": {"amd64": Wheel(platform="manylinux", sha256="0")},
    "main": "package main",
    "requires": {"example.org/more": "v0.2.0"},
    "instead": {"example.org/more": {"all.go": "package more"}},
}
"""For each field that changes what is built, another value."""


@pytest.mark.parametrize("name", programs())
def test_every_program_says_what_it_takes_to_build_it(name: str) -> None:
    program = programs()[name]
    assert program.name == name
    assert program.layout in {"wrapper", "folder", "wheel", "files"}
    assert (program.layout == "wheel") == bool(program.wheels)
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", program.version)
    assert program.packages if program.layout != "files" else program.keep and not program.packages
    assert program.seconds > 0
    assert program.disk_mib > 0
    assert program.licence
    for wheel in program.wheels.values():
        assert re.fullmatch("[0-9a-f]{64}", wheel.sha256)
    assert "{" not in program.linker_flags()


def test_there_is_a_key_for_each_program_and_architecture() -> None:
    keys = [program.key(machine) for program in programs().values() for machine in ("amd64", "arm64")]
    assert len(set(keys)) == len(keys)


def test_a_key_is_stable_and_tells_name_and_version() -> None:
    assert PLAIN.key("amd64") == replace(PLAIN).key("amd64")
    assert re.fullmatch(r"tool-v1\.2\.3-[0-9a-f]{12}", PLAIN.key("amd64"))


@pytest.mark.parametrize("field", OTHERWISE)
def test_a_key_changes_with_what_is_built(field: str) -> None:
    changed = replace(PLAIN, **{field: OTHERWISE[field]})  # type: ignore[arg-type]
    assert changed.key("amd64") != PLAIN.key("amd64")


def test_what_changes_nothing_keeps_the_key() -> None:
    same = replace(PLAIN, seconds=99, disk_mib=9, licence="Apache-2.0")
    assert same.key("amd64") == PLAIN.key("amd64")
    ineffective = {"seconds", "disk_mib", "licence"}
    assert OTHERWISE.keys() | ineffective == {field.name for field in fields(Program)}


def test_a_new_way_of_building_changes_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PLAIN.key("amd64")
    monkeypatch.setattr(recipe, "FORMAT", recipe.FORMAT + 1)
    assert PLAIN.key("amd64") != before


def test_linker_flags_hold_the_version() -> None:
    assert PLAIN.linker_flags() == "-s -w -X main.version=v1.2.3 -X main.bare=1.2.3"
    assert replace(PLAIN, ldflags="").linker_flags() == "-s -w"


def test_every_folder_of_texts_is_one_programs_and_has_some() -> None:
    top = Path(recipe.__file__).parent / "instead"
    having = [program.name for program in programs().values() if program.instead]
    assert sorted(having) == sorted(path.name for path in top.iterdir())
    for program in programs().values():
        for files in program.instead.values():
            assert files
            assert all(text.strip() and path.endswith(".go") for path, text in files.items())
