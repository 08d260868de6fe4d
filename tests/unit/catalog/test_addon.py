from __future__ import annotations

from pathlib import Path

import pytest

from lab.catalog.addon import bytes_of, repository_of
from tests.unit.catalog.addons import catalog, write


@pytest.mark.parametrize(
    ("size", "number"),
    [("5", 5), ("1k", 1000), ("128Mi", 128 * 2**20), ("1.5Gi", 3 * 2**29), ("2G", 2 * 10**9), ("1Ti", 2**40)],
)
def test_sizes_are_bytes(size: str, number: int) -> None:
    assert bytes_of(size) == number


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("docker.io/hashicorp/vault:1.21.0", "docker.io/hashicorp/vault"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:1@sha256:00", "localhost:5000/a/b"),
        ("lab.local/python", "lab.local/python"),
    ],
)
def test_a_repository_is_a_reference_without_its_tag(reference: str, repository: str) -> None:
    assert repository_of(reference) == repository


def test_memory_is_rounded_up(tmp_path: Path) -> None:
    home = write(tmp_path)
    text = (home / "addon.yaml").read_text().replace("16Mi", "1M")
    (home / "addon.yaml").write_text(text)
    assert catalog(tmp_path).addons["x"].memory_mib == 1


def test_an_image_is_found_by_repository_where_that_is_clear(tmp_path: Path) -> None:
    one, two = "docker.io/hashicorp/vault:1.20.0", "docker.io/hashicorp/vault:1.21.0"
    write(tmp_path, more=f'images: ["{one}", "{two}", "lab.local/python:3"]\n')
    addon = catalog(tmp_path).addons["x"]
    assert addon.image("lab.local/python") == "lab.local/python:3"
    assert addon.image("docker.io/hashicorp/vault") is None
    assert addon.image(one) == one
    assert addon.image("lab.local/pyt") is None
