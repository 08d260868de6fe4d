"""Images: every entry of images.yaml can be pulled, or made, or is carried; keys follow the content."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from lab.images import catalog as module
from lab.images.catalog import CatalogImage, Recipe, catalog, needed_for
from lab.images.recipe import Kept, Program, programs

SPDX = {
    "AGPL-3.0-only",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BUSL-1.1",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "MIT",
    "PSF-2.0",
}
"""Identifiers of the SPDX licence list that the catalog may use; extend it with care."""

RECIPE = Recipe(files={"/usr/bin/kind": "kind/bin/kind"}, entrypoint=("/usr/bin/kind",))
IMAGE = CatalogImage(
    reference="example.org/kind:v1", summary="an example", licence="MIT", roles=("node",), source=RECIPE
)

OTHERWISE = {
    "debian": ("bash",),
    "system": ("systemd",),
    "leave_out": ("*-dev",),
    "files": {"/usr/local/bin/kind": "kind/bin/kind"},
    "texts": {"/version": "1"},
    "compile": {"/pause": "kubernetes/files/pause.c"},
    "links": {"/bin/sh": "dash"},
    "folders": {"/tmp": "1777"},
    "entrypoint": (),
    "command": ("create",),
    "env": {"HOME": "/"},
    "user": "65532",
    "workdir": "/home",
    "stop_signal": "SIGINT",
}


@pytest.mark.parametrize("reference", catalog())
def test_every_image_can_be_had(reference: str) -> None:
    image = catalog()[reference]
    assert re.fullmatch(r"[a-z0-9.]+/[a-z0-9./-]+:[A-Za-z0-9._-]+", reference)
    assert not reference.endswith(":latest")
    assert image.roles
    assert image.summary
    if image.carried_by:
        assert image.carried_by in catalog()
        assert catalog()[image.carried_by].digest
        assert not image.digest
    else:
        assert re.fullmatch("sha256:[0-9a-f]{64}", image.digest)


@pytest.mark.parametrize("reference", catalog())
def test_every_licence_is_an_spdx_expression(reference: str) -> None:
    expression = catalog()[reference].licence
    names = re.split(r" (?:AND|OR) ", expression.replace("(", "").replace(")", ""))
    assert set(names) <= SPDX
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("reference", [name for name, image in catalog().items() if image.source])
def test_every_file_comes_from_a_program_that_has_it(reference: str) -> None:
    recipe = catalog()[reference].source
    assert recipe is not None
    for target, source in {**recipe.files, **recipe.compile}.items():
        name, kind, member = source.split("/", 2)
        program = programs()[name]
        assert target.startswith("/")
        assert member in (program.packages if kind == "bin" else program.keep), source
        assert kind in {"bin", "files"}
    for mode in recipe.folders.values():
        assert 0 < int(mode, 8) <= 0o7777
    # What only debootstrap can install cannot stand beside what is merely unpacked.
    assert not (recipe.system and recipe.debian)


@pytest.mark.parametrize("machine", ["amd64", "arm64"])
def test_no_two_images_share_a_key(machine: str) -> None:
    keys = [image.key(machine) for image in catalog().values() if image.source]
    assert len(set(keys)) == len(keys)


def test_a_key_is_stable_and_readable() -> None:
    assert IMAGE.key("amd64") == replace(IMAGE, source=replace(RECIPE)).key("amd64")
    assert re.fullmatch("kind-v1-[0-9a-f]{12}", IMAGE.key("amd64"))
    assert replace(IMAGE, source=None).key("amd64") == ""


@pytest.mark.parametrize("field", OTHERWISE)
def test_a_key_changes_with_the_recipe(field: str) -> None:
    changed = replace(IMAGE, source=replace(RECIPE, **{field: OTHERWISE[field]}))  # type: ignore[arg-type]
    assert changed.key("amd64") != IMAGE.key("amd64")


def test_all_of_a_recipe_is_in_the_key() -> None:
    assert OTHERWISE.keys() == {field.name for field in fields(Recipe)}


def test_a_key_changes_with_a_program_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before, other = IMAGE.key("amd64"), catalog()["registry.k8s.io/pause:3.10"].key("amd64")
    newer: dict[str, Program] = {
        **programs(),
        "kind": replace(programs()["kind"], keep={"base": Kept(path="elsewhere")}),
    }
    monkeypatch.setattr(module, "programs", lambda: newer)
    assert IMAGE.key("amd64") != before
    assert catalog()["registry.k8s.io/pause:3.10"].key("amd64") == other


def test_the_same_content_under_another_name_is_another_archive() -> None:
    assert replace(IMAGE, reference="example.org/kind:v2").key("amd64") != IMAGE.key("amd64")


def test_programs_of_a_recipe_are_each_named_once() -> None:
    recipe = catalog()["quay.io/cilium/cilium:v1.19.5"].source
    assert recipe is not None
    assert [program.name for program in recipe.programs()] == ["cilium", "cni-plugins"]


def test_roles_choose_images_in_catalog_order() -> None:
    chosen = needed_for(["mesh", "node"])
    assert list(chosen) == [image for image in catalog().values() if {"node", "mesh"} & set(image.roles)]
    assert needed_for(["no-such-role"]) == ()
    assert [image.reference for image in needed_for(["base"])] == ["docker.io/kindest/node:v1.35.8"]
