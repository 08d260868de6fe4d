"""What upstream publishes as files: which there are, what of them is read, and that each has a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.catalog.addon import Definitions
from lab.errors import ProvisionError
from lab.images.files import ModuleFiles, kept
from lab.images.recipe import programs
from tests.unit.labs import settings

KIND = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {0}}}\n"


def no_go() -> Path:
    raise AssertionError("nothing is to be fetched")


def files(folder: Path) -> ModuleFiles:
    return ModuleFiles(settings=settings(folder), architecture="amd64", go=no_go)


def fetched(folder: Path, **texts: str) -> Path:
    """A cache that holds gateway-api's definitions, as they would be in its module."""
    target = settings(folder).cache / "programs" / programs()["gateway-api"].key("amd64")
    (target / "files" / "crds").mkdir(parents=True)
    for name, text in texts.items():
        (target / "files" / "crds" / f"{name}.yaml").write_text(text)
    (target / "build.json").write_text(json.dumps({"seconds": 1}))
    return target


def names(folder: Path, *only: str) -> list[str]:
    things = files(folder).objects(Definitions("gateway-api", "crds", only))
    return [thing["metadata"]["name"] for thing in things]


def test_only_what_programs_keep_as_files_can_be_asked_for() -> None:
    assert "gateway-api/crds" in kept()
    assert not any(each.startswith("cilium/") for each in kept())


def test_every_file_of_a_folder_is_read_in_the_order_of_names_or_those_that_are_asked_for(
    tmp_path: Path,
) -> None:
    two = KIND.format("two") + "---\n" + KIND.format("three")
    fetched(tmp_path, b=two, a=KIND.format("one"), kustomization="resources: [a.yaml]\n")
    assert names(tmp_path) == ["one", "two", "three"]
    assert names(tmp_path, "b") == ["two", "three"]


def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    fetched(tmp_path, a=KIND.format("one"))
    with pytest.raises(ProvisionError) as refused:
        names(tmp_path, "b")
    assert refused.value.brief == "gateway-api/crds has no b.yaml"
    assert refused.value.remedy == "It has a."


def test_what_was_not_fetched_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"gateway-api v1\.4\.0 was not fetched yet"):
        names(tmp_path)


def test_a_name_changes_with_what_is_asked_for_and_reads_nothing(tmp_path: Path) -> None:
    asked = [
        Definitions("gateway-api", "crds"),
        Definitions("gateway-api", "crds-experimental"),
        Definitions("gateway-api", "crds", ("a",)),
        Definitions("kyverno-crds", "crds"),
    ]
    assert len({files(tmp_path).key(each) for each in asked}) == len(asked)


def test_a_part_is_done_once_it_was_fetched(tmp_path: Path) -> None:
    [part] = files(tmp_path).parts(["gateway-api", "gateway-api"])
    assert (part.name, part.done) == ("files/gateway-api", False)
    fetched(tmp_path)
    [part] = files(tmp_path).parts(["gateway-api"])
    assert part.done
    # Here already: nobody is asked for Go.
    files(tmp_path).bring("gateway-api", say=print)
