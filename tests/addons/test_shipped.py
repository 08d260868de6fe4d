"""The addons of the checkout, and those made for testing the tool: each can be read, placed and rendered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from lab.catalog.addon import Addon, Catalog
from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.catalog.render import render
from lab.catalog.trial import require_renderable
from lab.catalog.words import look
from lab.degrade.profiles import PROFILES
from lab.images.catalog import catalog as images
from lab.images.files import kept
from lab.mesh.claims import mesh
from lab.settings import PROJECT
from lab.topology.model import Topology
from lab.topology.read import read_topology
from tests.unit.catalog.test_schema import Yaml12

SHIPPED = PROJECT / "addons"
TESTING = Path(__file__).parent / "catalog"

WORDS_OF_NETWORKS = ("gateway",)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def hub_with(folder: Path, *, used: list[str]) -> Topology:
    path = folder / "t.yaml"
    clusters = "{mgmt: {role: mgmt}, app1: {role: app}, app2: {role: app}}"
    uses = ", ".join(f"{{use: {name}}}" for name in used)
    path.write_text(
        f"version: lab/v1\nname: t\nclusters: {clusters}\n" + (f"addons: [{uses}]\n" if used else "")
    )
    return read_topology(str(path), folder=folder)


def together(catalog: Catalog) -> Iterator[list[str]]:
    """Sets of addons that can be in one lab, of which each is in one at least."""
    excluded = {name: set(addon.excludes) for name, addon in catalog.addons.items()}
    yield [name for name in excluded if not excluded[name]]
    for name in (name for name in excluded if excluded[name]):
        others = (other for other in excluded if other not in excluded[name] and not excluded[other])
        yield [*others, name]


@pytest.mark.parametrize("folder", [SHIPPED, TESTING], ids=["shipped", "testing"])
def test_all_can_be_rendered_in_labs(folder: Path, tmp_path: Path) -> None:
    catalog = load_catalog(folder, images=images(), kept=kept())
    seen: set[str] = set()
    for used in together(catalog):
        topology = hub_with(tmp_path, used=used)
        placed = place(topology, catalog)
        lab = look(topology, placed, seed=b"seed")
        for each in placed:
            assert render(each, lab)
            seen.add(each.addon.name)
    assert seen == set(names(folder))


def test_all_can_be_rendered_with_every_switch_turned(tmp_path: Path) -> None:
    catalog = load_catalog(SHIPPED, images=images(), kept=kept())
    for used in together(catalog):
        topology = hub_with(tmp_path, used=used)
        placed = [
            replace(each, options=dict(each.options) | switched(each.addon))
            for each in place(topology, catalog)
        ]
        require_renderable(topology, placed)
        lab = look(topology, placed, seed=b"seed")
        for each in placed:
            assert render(each, lab)


def switched(addon: Addon) -> dict[str, bool]:
    switches = (each for each in addon.options.values() if isinstance(each.default, bool))
    return {each.name: not each.default for each in switches}


@pytest.mark.parametrize("folder", [SHIPPED, TESTING], ids=["shipped", "testing"])
def test_editors_find_nothing_wrong(folder: Path) -> None:
    schema = json.loads((SHIPPED / "addon.schema.json").read_text(encoding="utf-8"))
    for name in names(folder):
        text = (folder / name / "addon.yaml").read_text(encoding="utf-8")
        jsonschema.Draft202012Validator(schema).validate(yaml.load(text, Loader=Yaml12))


@pytest.mark.parametrize("folder", [SHIPPED, TESTING], ids=["shipped", "testing"])
def test_every_container_asks_for_an_image_that_the_addon_states(folder: Path, tmp_path: Path) -> None:
    catalog = load_catalog(folder, images=images(), kept=kept())
    for used in together(catalog):
        topology = hub_with(tmp_path, used=used)
        placed = place(topology, catalog)
        lab = look(topology, placed, seed=b"seed")
        for each in placed:
            pods = [made.get("spec", {}).get("template", {}).get("spec", {}) for made in render(each, lab)]
            for pod in pods:
                for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
                    assert container["image"] in each.addon.images
                    assert container["imagePullPolicy"] == "IfNotPresent"


def names_in(text: str, name: str) -> bool:
    """Whether ``text`` has an addon's name; where that is a word of networks as well, in quotes."""
    pattern = f"[\"']{name}[\"']" if name in WORDS_OF_NETWORKS else rf"(?<![\w-]){re.escape(name)}(?![\w-])"
    return re.search(pattern, text) is not None


def test_an_experiment_waits_for_whatever_may_still_come_back() -> None:
    shipped = load_catalog(SHIPPED, images=images(), kept=kept()).addons.values()
    longest = 0.0
    for contract in (*mesh().contracts, *(each for addon in shipped for each in addon.contracts)):
        within = {each.of: each.within for each in contract.judgements if each.rule == "returns"}
        within |= {each.of: within[each.of] + within[each.once] for each in contract.judgements if each.once}
        longest = max(longest, *within.values(), 0)
    assert [name for name, each in PROFILES.items() if each.recover < longest] == []
    assert longest > 0


def test_nothing_in_lab_names_an_addon() -> None:
    files = [path for path in (PROJECT / "lab").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    # What images are made of is data about programs, whichever addon uses them.
    recipes = PROJECT / "lab" / "images"

    def is_recipe(path: Path) -> bool:
        return recipes / "instead" in path.parents or (path.parent == recipes and path.suffix == ".yaml")

    found = [
        f"{path.relative_to(PROJECT)} names {name}"
        for path in sorted(files)
        if not is_recipe(path)
        for name in names(SHIPPED)
        if names_in(path.read_text(encoding="utf-8"), name)
    ]
    assert not found, "\n".join(found)


def test_a_name_is_found_and_a_word_is_not() -> None:
    assert names_in("if addon == 'vault':", "vault")
    assert names_in("docker.io/hashicorp/vault:1", "vault")
    assert not names_in("vaulted, my-vault", "vault")
    assert names_in('use = "gateway"', "gateway")
    assert not names_in("the bridge's gateway address", "gateway")


def test_the_broken_one_ends_at_once(tmp_path: Path) -> None:
    catalog = load_catalog(TESTING, images=images(), kept=kept())
    topology = hub_with(tmp_path, used=["broken"])
    placed = place(topology, catalog)
    _, deployment, _ = render(placed[0], look(topology, placed, seed=b"seed"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-c", 'import sys; sys.exit("it is broken on purpose")']


def test_the_slow_one_takes_as_long_as_it_is_told(tmp_path: Path) -> None:
    catalog = load_catalog(TESTING, images=images(), kept=kept())
    topology = hub_with(tmp_path, used=["slow"])
    placed = place(topology, catalog)
    lab = look(topology, placed, seed=b"seed")
    [there] = [each for each in placed if each.cluster == "app1"]
    deployment = next(made for made in render(there, lab) if made["kind"] == "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["initialDelaySeconds"] == 20


def test_the_addon_of_the_documentation_can_be_rendered(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "addons.md").read_text(encoding="utf-8")
    addon, template, _, contracts = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [program] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    home = tmp_path / "addons" / "hello"
    home.mkdir(parents=True)
    for name, content in (
        ("addon.yaml", addon + contracts),
        ("hello.yaml.j2", template),
        ("hello.py", program),
    ):
        (home / name).write_text(content, encoding="utf-8")
    catalog = load_catalog(tmp_path / "addons", images=images())
    topology = hub_with(tmp_path, used=["hello"])
    placed = place(topology, catalog)
    require_renderable(topology, placed)
    assert [each.cluster for each in placed] == ["app1", "app2"]
    assert [each.id for each in placed[0].addon.contracts] == ["H1"]
