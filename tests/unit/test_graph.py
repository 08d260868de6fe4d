from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import graph
from lab.errors import InputError


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """A graph that can be ordered, written down in any order."""
    names = [f"n{number}" for number in range(draw(st.integers(0, 12)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:number]), max_size=4)) if number else []
        for number, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(acyclic())
def test_everything_stands_after_what_it_needs(needs):
    order = graph.order(needs)

    assert sorted(order) == sorted(needs)
    assert all(order.index(need) < order.index(name) for name in needs for need in needs[name])


@given(acyclic())
def test_each_place_goes_to_the_earliest_that_may_have_it(needs):
    """The contract as its docstring states it, in the slowest way that is surely right."""
    expected: list[str] = []
    while len(expected) < len(needs):
        expected.append(next(n for n in needs if n not in expected and set(needs[n]) <= set(expected)))

    assert list(graph.order(needs)) == expected


@given(acyclic())
def test_a_possible_order_is_kept(needs):
    order = graph.order(needs)

    assert graph.order({name: needs[name] for name in order}) == order


@given(acyclic(), st.randoms(use_true_random=False))
def test_the_order_of_needs_plays_no_part(needs, random):
    shuffled = {name: random.sample(each, len(each)) for name, each in needs.items()}

    assert graph.order(shuffled) == graph.order(needs)


@given(acyclic())
def test_reverse_order_is_for_taking_down(needs):
    order = graph.reverse_order(needs)

    assert all(order.index(name) < order.index(need) for name in needs for need in needs[name])


@given(acyclic(), st.data())
def test_a_closure_is_closed_and_holds_no_more_than_it_must(needs, data):
    names = data.draw(st.lists(st.sampled_from(sorted(needs)))) if needs else []

    found = graph.closure(needs, names)

    assert set(names) <= found
    assert all(need in found for name in found for need in needs[name])
    assert all(name in names or any(name in needs[other] for other in found) for name in found)


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)))
def test_any_graph_is_ordered_or_explained(needs):
    problem = ""
    try:
        graph.order(needs)
    except graph.GraphError as error:
        problem = error.brief

    unknown = [need for each in needs.values() for need in each if need not in needs]
    assert all(f"needs {need!r}, which is not there" in problem for need in unknown)
    if "circle: " in problem:
        cycle = problem.partition("circle: ")[2].split(" -> ")
        assert cycle[0] == cycle[-1]
        assert all(need in needs[name] for name, need in itertools.pairwise(cycle))


def test_written_order_decides_where_needs_leave_a_choice():
    needs = {"vault": ["mgmt"], "mgmt": [], "app1": [], "mesh": ["mgmt", "app1"]}

    assert graph.order(needs) == ("mgmt", "vault", "app1", "mesh")


def test_a_need_may_be_named_twice():
    assert graph.order({"b": ["a", "a"], "a": []}) == ("a", "b")


def test_a_cycle_is_spelled_out_from_its_earliest_name():
    needs = {"x": [], "d": ["c"], "a": ["x", "b"], "b": ["c"], "c": ["a"]}

    with pytest.raises(graph.GraphError) as caught:
        graph.order(needs)

    assert str(caught.value) == (
        "what is needed goes round in a circle: a -> b -> c -> a\n"
        "Each of these needs the next.\n"
        "Remove one of these needs."
    )
    assert isinstance(caught.value, InputError)


def test_the_smallest_cycle():
    with pytest.raises(graph.GraphError, match=r"circle: a -> a\n"):
        graph.order({"a": ["a"]})


def test_all_unknown_needs_are_told_at_once():
    with pytest.raises(graph.GraphError) as caught:
        graph.order({"grafana": ["thanso"], "thanos": ["storage"]})

    assert caught.value.brief == (
        "grafana needs 'thanso', which is not there, did you mean 'thanos'?\n"
        "thanos needs 'storage', which is not there"
    )


def test_a_closure_of_the_unknown():
    with pytest.raises(graph.GraphError, match="there is no 'valt', did you mean 'vault'"):
        graph.closure({"vault": []}, ["valt"])


def test_thousands_of_steps_are_ordered_at_once():
    needs = {f"n{number}": [f"n{number - 1}"] if number else [] for number in reversed(range(5000))}
    started = time.perf_counter()

    order = graph.order(needs)

    assert order[0] == "n0"
    assert len(graph.closure(needs, ["n4999"])) == 5000
    assert time.perf_counter() - started < 1
