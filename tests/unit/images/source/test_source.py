"""The source ``source``: the parts of the work, in what order and how long, and what each brings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.images.base import Part
from lab.images.catalog import CatalogImage, catalog
from lab.images.recipe import programs
from lab.images.source.source import LANES, SourceImages
from lab.settings import Settings


def no_go() -> Path:
    raise AssertionError("Go is not needed")


@pytest.fixture
def source(tmp_path: Path) -> SourceImages:
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    return SourceImages(settings=settings, architecture="amd64", go=no_go)


def put(source: SourceImages, name: str, *, seconds: float = 1.0, version: str = "") -> Path:
    """Have a program built already."""
    key = programs()[name].key("amd64") if not version else f"{name}-{version}-0123456789ab"
    folder = source.settings.cache / "programs" / key
    (folder / "bin").mkdir(parents=True)
    (folder / "build.json").write_text(json.dumps({"seconds": seconds}))
    return folder


ALL = list(catalog().values())


def of(parts: tuple[Part, ...], kind: str) -> list[Part]:
    return [part for part in parts if part.name.startswith(f"{kind}/")]


def test_programs_come_before_what_is_made_of_them(source: SourceImages) -> None:
    parts = source.parts(ALL)
    names = [part.name for part in parts]
    assert len(set(names)) == len(names)
    for part in parts:
        assert set(part.needs) <= set(names[: names.index(part.name)])
        assert not part.done
        assert part.estimate_s
        assert part.disk_mib > 0
    assert len(of(parts, "image")) == len([image for image in ALL if image.source])


def lanes(parts: Sequence[Part]) -> list[float]:
    """The seconds after which each lane ends; raises unless every part waits for at most one, in one lane."""
    ends: dict[str, float] = {}
    for part in parts:
        [before] = part.needs or ("",)
        ends[part.name] = (ends.pop(before) if before else 0.0) + (part.estimate_s or 0)
    return list(ends.values())


def test_the_longest_is_built_first_and_so_many_at_once(source: SourceImages) -> None:
    built = of(source.parts(ALL), "program")
    estimates = [part.estimate_s or 0 for part in built]
    assert estimates == sorted(estimates, reverse=True)
    ends = lanes(built)
    assert len(ends) == LANES
    # Whatever is built last was put where least was ahead of it.
    assert max(ends) - min(ends) <= min(estimates)


def test_what_is_built_holds_nothing_up(source: SourceImages) -> None:
    order = [part.name.partition("/")[2] for part in of(source.parts(ALL), "program")]
    put(source, order[0])
    put(source, order[3])
    built = {part.name: part for part in of(source.parts(ALL), "program")}
    assert built[f"program/{order[0]}"].done
    assert built[f"program/{order[3]}"].done
    assert built[f"program/{order[0]}"].needs == ()
    missing = [part for part in built.values() if not part.done]
    assert len(missing) == len(order) - 2
    assert len(lanes(missing)) == LANES


def test_only_what_is_asked_for(source: SourceImages) -> None:
    parts = source.parts([catalog()["registry.k8s.io/coredns/coredns:v1.13.1"]])
    assert [part.name for part in parts] == [
        "program/coredns",
        "image/registry.k8s.io/coredns/coredns:v1.13.1",
    ]
    assert parts[1].needs == ("program/coredns",)
    assert parts[1].summary == "make coredns:v1.13.1"
    assert parts[0].summary == f"build coredns {programs()['coredns'].version}"


def test_an_image_of_built_programs_is_made_and_then_there(source: SourceImages) -> None:
    image = catalog()["registry.k8s.io/coredns/coredns:v1.13.1"]
    folder = put(source, "coredns")
    (folder / "bin" / "coredns").write_text("binary")
    said: list[str] = []

    source.bring(f"image/{image.reference}", say=said.append)

    assert source.archive(image).is_file()
    assert all(part.done for part in source.parts([image]))
    assert said == ["writing the archive"]
    source.bring(f"image/{image.reference}", say=said.append)
    source.bring("program/coredns", say=said.append)
    assert said == ["writing the archive"]


def test_it_carries_nothing_and_brings_no_more_than_its_recipes(source: SourceImages) -> None:
    assert source.name == "source"
    assert not any(source.carried(image) for image in ALL)
    foreign = CatalogImage(reference="example.org/x:1", summary="", licence="MIT", roles=("x",))
    assert source.parts([foreign]) == ()


def test_the_chart_is_the_programs_own(source: SourceImages) -> None:
    folder = put(source, "cilium")
    assert source.chart("cilium") == folder / "files" / "chart"
