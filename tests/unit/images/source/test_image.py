"""Images of the catalog, made of built programs: what lies where, and what is said when a part is missing."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.clients import process
from lab.errors import ProvisionError
from lab.images.catalog import CatalogImage, Recipe
from lab.images.source.image import archive_path, located, make, node_runtime_spec
from lab.images.source.program import Built

RECIPE = Recipe(
    files={"/usr/bin/kind": "kind/bin/kind", "/": "kind/files/base"},
    texts={"/kind/version": "v1"},
    links={"/usr/bin/k": "kind"},
    folders={"/tmp": "1777"},
    entrypoint=("/usr/bin/kind",),
    env={"A": "b"},
    user="65532",
)
IMAGE = CatalogImage(
    reference="example.org/kind:v1", summary="an example", licence="MIT", roles=("node",), source=RECIPE
)


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Built]:
    folder = tmp_path / "kind"
    for name, text in {"bin/kind": "binary", "files/base/etc/x.conf": "x=1", "files/pause.c": ""}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin/kind").chmod(0o755)
    return {"kind": Built(folder)}


def layer(path: Path) -> tuple[list[tarfile.TarInfo], dict[str, Any]]:
    """The entries of an archive's only layer, and its configuration."""
    with tarfile.open(path) as archive:
        [manifest] = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(archive.extractfile(manifest["Config"]))  # type: ignore[arg-type]
        [name] = manifest["Layers"]
        with tarfile.open(fileobj=archive.extractfile(name)) as inner:
            return inner.getmembers(), config["config"]


def test_a_recipe_becomes_an_image(built: dict[str, Built], tmp_path: Path) -> None:
    made = make(IMAGE, tmp_path / "cache", built=built, architecture="amd64", timeout=1)
    assert made == archive_path(IMAGE, tmp_path / "cache", architecture="amd64")
    members, config = layer(made)
    assert {each.name: oct(each.mode) for each in members if not each.isdir()} == {
        "usr/bin/kind": "0o755",
        "etc/x.conf": "0o644",
        "kind/version": "0o644",
        "usr/bin/k": "0o777",
    }
    assert {each.name: oct(each.mode) for each in members if each.isdir()}["tmp"] == "0o1777"
    assert (config["Entrypoint"], config["User"]) == (["/usr/bin/kind"], "65532")
    assert "A=b" in config["Env"]


def test_what_is_made_is_not_made_again(built: dict[str, Built], tmp_path: Path) -> None:
    made = make(IMAGE, tmp_path / "cache", built=built, architecture="amd64", timeout=1)
    before = made.stat().st_mtime_ns
    assert make(IMAGE, tmp_path / "cache", built={}, architecture="amd64", timeout=1) == made
    assert made.stat().st_mtime_ns == before


def test_without_a_recipe_there_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"example\.org/kind:v1 cannot be made from package registries"):
        make(replace(IMAGE, source=None), tmp_path, built={}, architecture="amd64", timeout=1)


def test_a_missing_part_leaves_nothing(built: dict[str, Built], tmp_path: Path) -> None:
    built["kind"].binary("kind").unlink()
    cache = tmp_path / "cache"
    with pytest.raises(ProvisionError, match="is missing, so the image cannot be made"):
        make(IMAGE, cache, built=built, architecture="amd64", timeout=1)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_sources_are_programs_binaries_or_kept_files(built: dict[str, Built]) -> None:
    folder = built["kind"].folder
    assert located("kind/bin/kind", built) == folder / "bin" / "kind"
    assert located("kind/files/base", built) == folder / "files" / "base"


def test_a_nodes_containers_start_from_containerds_own_spec(tmp_path: Path) -> None:
    ctr = tmp_path / "ctr"
    ctr.write_text("""#!/bin/sh\necho '{"process": {"args": ["sh"], "rlimits": [{"type": "x"}]}}'\n""")
    ctr.chmod(0o755)
    assert json.loads(node_runtime_spec(ctr)) == {
        "process": {"args": ["sh"]},
        "hooks": {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]},
    }


@pytest.mark.skipif(process.find("cc") is None, reason="needs a C compiler")
def test_one_c_file_becomes_a_static_program(built: dict[str, Built], tmp_path: Path) -> None:
    built["kind"].kept("pause.c").write_text("int main(void) { return 7; }\n")
    image = replace(IMAGE, source=Recipe(compile={"/pause": "kind/files/pause.c"}))
    made = make(image, tmp_path / "cache", built=built, architecture="amd64", timeout=1)
    [program], _ = layer(made)
    assert (program.name, oct(program.mode)) == ("pause", "0o755")
    assert program.size > 1000
