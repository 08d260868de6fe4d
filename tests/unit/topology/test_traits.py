"""What providers differ in, and what a cluster's own settings change of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lab.providers import PROVIDERS
from lab.topology.traits import FAULTS, SPARING_NODES, TRAITS, USUAL, Size, traits_of

LAB = Path(__file__).parents[3] / "lab"

MAY_NAME = ("providers", "topology/traits.py", "topology/vocabulary.py", "topology/check_providers.py")
"""Where providers are named: what they are, and the words of a topology file that are theirs."""


@pytest.mark.parametrize(
    ("provider", "at_home", "preloaded", "shells"),
    [("kind", True, True, True), ("multipass", False, True, True), ("existing", False, False, False)],
)
def test_what_follows_from_who_makes_the_nodes(
    provider: str, at_home: bool, preloaded: bool, shells: bool
) -> None:
    traits = TRAITS[provider]
    assert (traits.at_home, traits.preloaded, traits.shells) == (at_home, preloaded, shells)


def test_every_provider_that_has_traits_is_there() -> None:
    assert PROVIDERS.keys() == TRAITS.keys()


def test_what_machines_are_given() -> None:
    assert traits_of("kind", {}).size is None
    assert traits_of("multipass", {}).size == USUAL
    given = traits_of("multipass", {"memory": "1.5G", "disk": "512M"}).size
    assert given == Size(memory="1.5G", disk="512M", cpus=USUAL.cpus)
    assert (given.memory_mib, given.disk_mib) == (1536, 512)


def test_a_topology_may_allow_more_or_less() -> None:
    assert traits_of("existing", {}).faults == SPARING_NODES == {"isolate", "component"}
    assert traits_of("existing", {"faults": "all"}).faults == FAULTS
    assert traits_of("existing", {"faults": "component"}).faults == {"component"}
    reached = traits_of("existing", {"nodes": "docker"})
    assert (reached.makes, reached.at_home, reached.shells) == (False, False, True)
    assert reached.faults == SPARING_NODES


def test_nobody_else_asks_which_provider_it_is() -> None:
    """No comparison with a provider's name, and no import of one, but where they are what it is about."""
    found = []
    for path in LAB.rglob("*.py"):
        if str(path.relative_to(LAB)).startswith(MAY_NAME):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in {
                f"lab.providers.{each}" for each in TRAITS
            }:
                found.append(f"{path}:{node.lineno} imports {node.module}")
            if isinstance(node, ast.Compare | ast.Match) and ".provider" in ast.unparse(node):
                words = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                found += [f"{path}:{node.lineno} asks for {word!r}" for word in words & TRAITS.keys()]
    assert found == []
