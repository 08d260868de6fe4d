from __future__ import annotations

import pytest

from lab.document.position import Position, Problem, in_order, listed, nearest, render_path, shorten


def test_a_problem_is_one_line_that_editors_can_follow() -> None:
    problem = Problem(
        Position("topologies/x.yaml", 14, 7),
        ("clusters", "app1", "id"),
        "7 is mgmt's as well",
        "Change one.",
        against=Position("topologies/x.yaml", 3, 1),
    )
    assert (
        str(problem) == "topologies/x.yaml:14:7 clusters.app1.id: 7 is mgmt's as well (line 3). Change one."
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("name",), "name"),
        (("clusters", "app1", "pod_cidr"), "clusters.app1.pod_cidr"),
        (("addons", 0, "on", 2), "addons[0].on[2]"),
        (("clusters", "app.one"), 'clusters["app.one"]'),
        (("clusters", "a\nb"), 'clusters["a?b"]'),
    ],
)
def test_paths_read_as_people_write_them(path: tuple[str | int, ...], text: str) -> None:
    assert render_path(path) == text


def test_problems_come_in_order_of_place_and_once() -> None:
    late = Problem(Position("f", 10, 1), ("b",), "m", "r")
    early = Problem(Position("f", 9, 40), ("a",), "m", "r")
    assert in_order([late, early, late]) == (early, late)


@pytest.mark.parametrize(
    ("word", "guess"),
    [("podCIDR", "pod_cidr"), ("pod-cidr", "pod_cidr"), ("rol", "role"), ("ROLE", "role"), ("zebra", None)],
)
def test_a_slip_finds_the_word_that_was_meant(word: str, guess: str | None) -> None:
    assert nearest(word, ["role", "pod_cidr", "service_cidr"]) == guess


def test_lists_read_as_prose() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b"], joint="or") == "a or b"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(range(5), most=2) == "0, 1 and 3 more"


def test_quoted_values_stay_on_one_short_line() -> None:
    assert shorten("x" * 50) == "x" * 37 + "..."
    assert shorten("a\tb") == "a?b"
