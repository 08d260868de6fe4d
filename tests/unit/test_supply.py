"""What a lab is made of: which source, which images, which steps bring them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.clients import docker_images
from lab.errors import InputError
from lab.host import container_engine, tools
from lab.images.catalog import catalog, needed_for
from lab.images.recipe import programs
from lab.images.registry import RegistrySource
from lab.images.source.source import SourceImages
from lab.supply import everything_cached, supply
from tests.unit.catalog.addons import topology as a_topology
from tests.unit.catalog.addons import write
from tests.unit.labs import settings, topology

PULLED = "docker.io/grafana/grafana:13.2.0"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries cannot be reached, unless a test says so."""
    monkeypatch.setattr(RegistrySource, "probe", lambda *_, **__: {"quay.io": "no answer"})
    monkeypatch.setattr(container_engine, "shim_needed", lambda: False)


def fill(cache: Path) -> None:
    """A cache with everything that making a lab from source takes."""
    machine = tools.this_machine()
    for program in programs().values():
        folder = cache / "programs" / program.key(machine.architecture)
        folder.mkdir(parents=True)
        (folder / "build.json").write_text('{"seconds": 1}')
    (cache / "images").mkdir()
    for image in catalog().values():
        (cache / "images" / f"{image.key(machine.architecture)}.tar").touch()
    for name in ("kind", "helm"):
        path = tools.tool_path(name, settings(cache.parent))
        path.parent.mkdir(parents=True)
        path.touch()


def test_a_source_is_taken_at_its_word(tmp_path: Path) -> None:
    own = settings(tmp_path)
    assert isinstance(supply(own, topology(), images="registry").source, RegistrySource)
    assert isinstance(supply(own, topology(), images="source").source, SourceImages)
    with pytest.raises(InputError) as refused:
        supply(own, topology(), images="dockerhub")
    assert refused.value.brief == "--images dockerhub: there is no such source"
    assert refused.value.remedy == "Use one of auto, registry, source."


def test_auto_is_the_registry_when_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def probe(_: object, images: list[Any]) -> dict[str, str]:
        asked.append([image.reference for image in images])
        return {}

    monkeypatch.setattr(RegistrySource, "probe", probe)
    found = supply(settings(tmp_path), topology(), images="auto")
    assert isinstance(found.source, RegistrySource)
    assert not found.is_built
    # Asked of what would be pulled, not of what comes inside the node image.
    assert asked == [
        [
            "docker.io/kindest/node:v1.35.8",
            *(image.reference for image in needed_for(["mesh"])),
        ]
    ]


def test_auto_is_the_source_when_no_registry_does(tmp_path: Path) -> None:
    found = supply(settings(tmp_path), topology(), images="auto")
    assert isinstance(found.source, SourceImages)
    assert found.is_built


def test_auto_asks_nobody_when_all_was_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(*_: object, **__: object) -> dict[str, str]:
        raise AssertionError("nobody is to be asked")

    monkeypatch.setattr(RegistrySource, "probe", probe)
    fill(tmp_path / "cache")
    found = supply(settings(tmp_path), topology(), images="auto")
    assert isinstance(found.source, SourceImages)
    assert all(step.done for step in found.steps())
    assert everything_cached(settings(tmp_path), topology())


def test_not_everything_is_cached_where_something_is_missing(tmp_path: Path) -> None:
    assert not everything_cached(settings(tmp_path), topology())
    fill(tmp_path / "cache")
    next((tmp_path / "cache" / "images").glob("pause-*")).unlink()
    assert not everything_cached(settings(tmp_path), topology())


def test_auto_asks_nobody_when_all_was_pulled_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegistrySource, "at_hand", lambda *_: True)
    assert isinstance(supply(settings(tmp_path), topology(), images="auto").source, RegistrySource)


def test_the_base_is_of_the_version_that_is_asked_for(tmp_path: Path) -> None:
    own, of = settings(tmp_path), topology()
    assert supply(own, of, images="source").base.reference == "docker.io/kindest/node:v1.35.8"
    exact = replace(of, clusters=tuple(replace(each, kubernetes="1.35.8") for each in of.clusters))
    assert supply(own, exact, images="source").base.reference == "docker.io/kindest/node:v1.35.8"


@pytest.mark.parametrize("versions", [("1.99", "1.99"), ("1.35", "1.99"), ("1.35.7", "1.35.7")])
def test_a_version_without_a_node_image_is_refused(tmp_path: Path, versions: tuple[str, str]) -> None:
    of = topology()
    clusters = tuple(replace(each, kubernetes=v) for each, v in zip(of.clusters, versions, strict=True))
    with pytest.raises(InputError) as refused:
        _ = supply(settings(tmp_path), replace(of, clusters=clusters), images="source").base
    assert "there is no node image for Kubernetes" in refused.value.brief
    assert "This version has 1.35.8" in refused.value.remedy


def test_only_several_control_plane_nodes_need_a_load_balancer(tmp_path: Path) -> None:
    own = settings(tmp_path)
    plain = supply(own, topology("hub-spoke"), images="source")
    several = supply(own, topology("hub-spoke-ha"), images="source")
    assert [image for image in several.images if image not in plain.images] == list(
        needed_for(["load-balancer"])
    )
    assert plain.images[0] == plain.base
    assert len({image.reference for image in several.images}) == len(several.images)
    # It runs beside the nodes, and so is not in their image.
    assert several.node_image == plain.node_image
    assert plain.node_image is not None


def test_what_runs_beside_nodes_is_loaded_for_those_who_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(docker_images, "load", lambda path, **_: loaded.append(path))
    of = topology("hub-spoke-ha")
    several = supply(settings(tmp_path), of, images="source")
    said: list[str] = []
    for name in ("app1", "mgmt"):
        several.load_beside(of.cluster(name), say=said.append, cancelled=Event())
    assert said == ["loading docker.io/envoyproxy/envoy:v1.36.2"]
    assert loaded == [several.source.archive(needed_for(["load-balancer"])[0])]


def test_steps_bring_everything_in_an_order_that_works(tmp_path: Path) -> None:
    steps = supply(settings(tmp_path), topology(), images="source").steps()
    ids = [step.id for step in steps]
    assert len(set(ids)) == len(ids)
    for step in steps:
        assert set(step.needs) <= set(ids[: ids.index(step.id)])
        assert step.kind == ("tool" if step.id.startswith("tools/") else "image-part")
    assert ids[-2:] == ["tools/kind", "tools/helm"]
    # kind is also a part of the node image, and is built once for both.
    assert steps[-2].needs == ("images/program/kind",)
    assert steps[-1].needs == ()


def test_a_step_is_brought_by_whoever_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = supply(settings(tmp_path), topology(), images="source")
    done: list[str] = []
    monkeypatch.setattr(SourceImages, "bring", lambda _, part, **__: done.append(part))
    monkeypatch.setattr(tools, "tool", lambda name, *_, **__: done.append(f"tool {name}"))
    for step in ("tools/helm", "images/program/kind", "images/image/registry.k8s.io/pause:3.10"):
        found.bring(step, say=lambda _: None, cancelled=Event())
    assert done == ["tool helm", "program/kind", "image/registry.k8s.io/pause:3.10"]


def test_what_took_longer_here_is_expected_to_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_of = supply(settings(tmp_path), topology(), images="source")
    monkeypatch.setattr(SourceImages, "bring", lambda *_, **__: None)
    before = {step.id: step.estimate_s for step in made_of.steps()}
    made_of.bring("images/program/coredns", say=lambda _: None, cancelled=Event())
    after = {step.id: step.estimate_s for step in made_of.steps()}
    assert {step for step in before if before[step] != after[step]} == {"images/program/coredns"}


def test_what_can_only_be_pulled_is_left_out_from_source_with_what_needs_it(tmp_path: Path) -> None:
    write(tmp_path, "pages", more=f"images: [{PULLED}]\n")
    write(tmp_path, "links", more="needs: [pages]\n")
    write(tmp_path, "plain")
    images = [*catalog()]
    wanted = place(
        a_topology(tmp_path, "[{use: pages}, {use: links}, {use: plain}]"),
        load_catalog(tmp_path / "addons", images=images),
    )
    own = settings(tmp_path)
    made = supply(own, topology(), images="source", wanted=wanted)
    assert made.left_out == {
        "pages": f"{PULLED} can only be pulled, not made from source",
        "links": "it needs pages",
    }
    assert {each.addon.name for each in made.placed} == {"plain"}
    assert PULLED not in {image.reference for image in made.images}
    pulled = supply(own, topology(), images="registry", wanted=wanted)
    assert pulled.left_out == {}
    assert PULLED in {image.reference for image in pulled.images}


@pytest.mark.parametrize("images", ["source", "registry"])
def test_what_upstream_defines_is_fetched_whatever_the_source_of_images(tmp_path: Path, images: str) -> None:
    write(tmp_path, "edge", more="definitions: [{from: gateway-api/crds}]\n")
    wanted = place(
        a_topology(tmp_path, "[{use: edge}]"),
        load_catalog(tmp_path / "addons", images=(), kept=["gateway-api/crds"]),
    )
    steps = {
        step.id: step for step in supply(settings(tmp_path), topology(), images=images, wanted=wanted).steps()
    }
    step = steps["images/files/gateway-api"]
    assert (step.kind, step.done) == ("image-part", False)
