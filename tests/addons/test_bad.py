"""Every way to get an addon wrong that we know of, and exactly what is said about it.

A case is a folder ``bad/NAME`` of addons, as ``addons/`` is one, with ``expected.txt``, the whole message.
Where it has a ``topology.yaml``, the addons are well as far as can be told without one: they are placed, and
rendered.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.catalog.trial import require_renderable
from lab.errors import InputError
from lab.topology.read import read_topology

BAD = Path(__file__).parent / "bad"
NAMES = sorted(path.name for path in BAD.iterdir())

IMAGES = ("lab.local/python:3", "docker.io/hashicorp/vault:1.21.0")

KEPT = ("gateway-api/crds",)

LINE = re.compile(r"[a-z0-9-]+/\S+( \(rendered\))?:\d+:\d+ [a-z]\S*: .+[^.]\. [A-Z].*[.?]")


def use(name: str) -> None:
    """Do all that can be done with a case, in the order in which it is done."""
    catalog = load_catalog(BAD / name, images=IMAGES, kept=KEPT)
    topology = read_topology(f"{name}/topology.yaml", folder=BAD)
    require_renderable(topology, place(topology, catalog))


def message(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(BAD)
    with pytest.raises(InputError) as caught:
        use(name)
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", NAMES)
def test_says_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert message(name, monkeypatch) == (BAD / name / "expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_one_line_of_place_path_fault_and_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in message(name, monkeypatch).splitlines()[1:-1]:
        assert LINE.fullmatch(line), line


def test_there_are_enough_cases() -> None:
    assert len(NAMES) >= 150
    assert all((BAD / name / "expected.txt").is_file() for name in NAMES)
