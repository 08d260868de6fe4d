from __future__ import annotations

import pytest

from lab.topology.versions import MINORS, is_supported, minor_of
from lab.topology.vocabulary import default


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("1.35", True),
        ("1.35.8", True),
        ("1.35.0", True),
        ("1.37", True),
        ("1.34", False),
        ("1.3", False),
        ("2.35", False),
    ],
)
def test_a_known_minor_with_any_patch_is_supported(version: str, supported: bool) -> None:
    assert is_supported(version) is supported


def test_the_newest_patch_is_of_its_minor() -> None:
    assert all(minor_of(minor.newest) == name == minor.name for name, minor in MINORS.items())


def test_the_default_is_one_that_cilium_tests() -> None:
    assert MINORS[str(default("defaults", "kubernetes"))].tested
