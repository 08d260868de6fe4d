from __future__ import annotations

from pathlib import Path

import pytest

from lab.catalog.place import Place, place
from lab.errors import InputError
from tests.unit.catalog.addons import catalog, placed, topology, write


def places(folder: Path, uses: str) -> list[Place]:
    return [each.place for each in placed(folder, uses)]


def test_an_addon_goes_to_its_own_role(tmp_path: Path) -> None:
    write(tmp_path)
    assert places(tmp_path, "[{use: x}]") == [("a", "x"), ("b", "x")]


def test_any_is_every_cluster(tmp_path: Path) -> None:
    write(tmp_path, on="any")
    assert places(tmp_path, "[{use: x}]") == [("hub", "x"), ("a", "x"), ("b", "x")]


def test_one_of_several_roles_is_enough(tmp_path: Path) -> None:
    write(tmp_path, on="[edge, mgmt]")
    assert places(tmp_path, "[{use: x}]") == [("hub", "x")]


def test_the_topology_says_otherwise(tmp_path: Path) -> None:
    write(tmp_path)
    assert places(tmp_path, "[{use: x, on: [b, mgmt]}]") == [("hub", "x"), ("b", "x")]


def test_options_are_of_their_type_and_may_differ_by_cluster(tmp_path: Path) -> None:
    write(tmp_path, more="options: {wait: {type: duration, default: 1m, summary: s}}\n")
    one, two = placed(tmp_path, "[{use: x, on: a}, {use: x, on: b, with: {wait: 6h}}]")
    assert (one.cluster, one.options) == ("a", {"wait": 60})
    assert (two.cluster, two.options) == ("b", {"wait": 21600})


def test_the_order_is_that_of_needs_and_then_that_of_the_topology(tmp_path: Path) -> None:
    write(tmp_path, "first", more="needs: [second]\n", on="mgmt")
    write(tmp_path, "second", more="after: [third, unused]\n", on="mgmt")
    write(tmp_path, "third", on="mgmt")
    write(tmp_path, "fourth", on="mgmt")
    write(tmp_path, "unused", on="mgmt")
    uses = "[{use: fourth}, {use: first}, {use: second}, {use: third}]"
    assert [name for _, name in places(tmp_path, uses)] == ["fourth", "third", "second", "first"]


def test_what_is_needed_may_be_on_another_cluster(tmp_path: Path) -> None:
    write(tmp_path, "server", on="mgmt")
    write(tmp_path, "agent", more="needs: [server]\n")
    needs = {each.place: each.needs for each in placed(tmp_path, "[{use: agent}, {use: server}]")}
    assert needs == {
        ("hub", "server"): (),
        ("a", "agent"): (("hub", "server"),),
        ("b", "agent"): (("hub", "server"),),
    }


def test_what_is_needed_and_here_is_needed_here_only(tmp_path: Path) -> None:
    write(tmp_path, "policy", on="any")
    write(tmp_path, "shop", more="after: [policy]\n")
    needs = {each.place: each.needs for each in placed(tmp_path, "[{use: policy}, {use: shop}]")}
    assert needs["a", "shop"] == (("a", "policy"),)


def test_what_goes_elsewhere_is_on_every_other_cluster(tmp_path: Path) -> None:
    write(tmp_path, "server", on="mgmt", more="elsewhere: [service.yaml]\n", service__yaml="")
    write(tmp_path, "agent", more="needs: [server]\n")
    found = placed(tmp_path, "[{use: server}, {use: agent, on: a}]")
    assert [(*each.place, each.part, each.templates) for each in found] == [
        ("hub", "server", "home", ("main.yaml.j2",)),
        ("a", "server", "elsewhere", ("service.yaml",)),
        ("b", "server", "elsewhere", ("service.yaml",)),
        ("a", "agent", "home", ("main.yaml.j2",)),
    ]
    # The name by which it is reached from here, and the server itself.
    assert found[-1].needs == (("a", "server"), ("hub", "server"))


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    write(tmp_path, "base")
    write(tmp_path, "middle", more="needs: [base]\n")
    write(tmp_path, "top", more="needs: [middle]\nafter: [beside]\n")
    write(tmp_path, "beside")
    return tmp_path


@pytest.mark.parametrize(
    ("only", "without", "names"),
    [
        ([], [], ["base", "middle", "beside", "top"]),
        (["mesh"], [], []),
        (["middle"], [], ["base", "middle"]),
        (["mesh", "beside"], [], ["beside"]),
        (["top"], [], ["base", "middle", "top"]),
        ([], ["base"], ["beside"]),
        ([], ["top"], ["base", "middle", "beside"]),
        ([], ["beside"], ["base", "middle", "top"]),
        (["top", "beside"], ["middle"], ["beside"]),
    ],
)
def test_a_selection_is_whole(chain: Path, only: list[str], without: list[str], names: list[str]) -> None:
    wanted = topology(
        chain, "[{use: base, on: a}, {use: middle, on: a}, {use: top, on: a}, {use: beside, on: a}]"
    )
    found = place(wanted, catalog(chain), only=only, without=without)
    assert [each.addon.name for each in found] == names


@pytest.mark.parametrize(
    ("selection", "brief", "remedy"),
    [
        (
            {"only": ["bas"]},
            '--only bas: the topology has no such addon; did you mean "base"?',
            "Known: mesh and base.",
        ),
        ({"without": ["mesh"]}, "--without mesh: the topology has no such addon", "Known: base."),
        ({"only": ["top"]}, "--only top: the topology has no such addon", "Known: mesh and base."),
    ],
)
def test_a_selection_is_of_the_topology(
    chain: Path, selection: dict[str, list[str]], brief: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        place(topology(chain, "[{use: base}]"), catalog(chain), **selection)
    assert (caught.value.brief, caught.value.remedy) == (brief, remedy)


def test_a_topology_without_addons_has_none(chain: Path) -> None:
    from tests.unit.labs import topology as shipped

    assert place(shipped("pair"), catalog(chain)) == ()
