"""Which contracts are judged where, and why others are not: the shipped ones, on shipped topologies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.addons import catalog
from lab.catalog.place import Placed, place
from lab.degrade.cases import Away, Case, Skipped, bind, choose
from lab.degrade.told import told
from lab.errors import InputError
from lab.settings import from_environment
from lab.topology.model import Topology
from tests.unit import labs

CATALOG = catalog(from_environment())


def lab(name: str) -> tuple[Topology, tuple[Placed, ...]]:
    topology = labs.topology(name)
    return topology, place(topology, CATALOG)


def bound(name: str, away: Away, *wanted: str) -> tuple[list[Case], list[Skipped]]:
    topology, placed = lab(name)
    addons = {each.addon.name for each in placed}
    return bind(topology, choose(told(topology, placed, CATALOG), wanted), away, addons=addons)


def on(cases: list[Case]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in cases:
        found.setdefault(case.contract.id, []).append(case.cluster)
    return found


def test_without_the_hub_every_contract_is_judged_on_each_application_cluster() -> None:
    cases, skipped = bound("hub-spoke", Away("mgmt"))
    apps = ["app1", "app2"]
    judged = ("C1", "C2", "C3", "C3-delete", "C4", "C5", "C5-any-backend", "C6", "C7")
    assert on(cases) == dict.fromkeys(judged, apps)
    # Controls that need something beside the real one, which the topology does not ask for.
    assert {(each.contract.id, each.cluster, each.reason) for each in skipped} == {
        (control, app, f"{addon} is not set up for it (options.control)")
        for control, addon in (
            ("C2-one-tenant", "thanos"),
            ("C2-restarted", "prometheus-agent"),
            ("C2-truncated", "prometheus-agent"),
            ("C6-ten-tries", "promtail"),
        )
        for app in apps
    }


def test_flows_lead_to_every_cluster_that_is_left() -> None:
    cases, _ = bound("hub-spoke", Away("mgmt"), "C1")
    assert {case.cluster: [stream.id for stream in case.streams] for case in cases} == {
        "app1": ["inside", "between-app2"],
        "app2": ["inside", "between-app1"],
    }


def test_what_needs_a_second_cluster_is_not_asked_where_there_is_none() -> None:
    cases, skipped = bound("hub-spoke-small", Away("mgmt"), "C1")
    [case] = cases
    assert [stream.id for stream in case.streams] == ["inside"]
    assert "between" not in {judgement.of for judgement in case.judgements}
    assert skipped == []


def test_a_small_lab_says_what_it_has_not() -> None:
    cases, skipped = bound("hub-spoke-small", Away("mgmt"))
    assert set(on(cases)) == {"C1", "C2", "C3", "C3-delete", "C4", "C5", "C5-any-backend", "C6"}
    assert {each.contract.id: each.reason for each in skipped}["C7"] == "the lab has no argocd"


def test_claims_about_the_hub_say_nothing_of_another_cluster() -> None:
    cases, skipped = bound("hub-spoke", Away("app2"))
    assert on(cases) == {
        "C1": ["mgmt", "app1"],
        "C5": ["mgmt", "app1"],
        "C5-any-backend": ["mgmt", "app1"],
    }
    reasons = {each.contract.id: each.reason for each in skipped}
    assert reasons["C3"] == "it is about life without a cluster of role mgmt; app2 is app"


def test_with_one_component_away_only_what_rests_on_it_is_judged() -> None:
    cases, skipped = bound("hub-spoke", Away("mgmt", component="vault"))
    assert on(cases) == {"C3": ["app1", "app2"], "C3-delete": ["app1", "app2"]}
    assert {each.contract.id: each.reason for each in skipped}["C6"] == "it does not rest on vault"


def test_an_addon_that_the_lab_has_not_is_named() -> None:
    topology, placed = lab("hub-spoke")
    _, skipped = bind(topology, told(topology, placed, CATALOG), Away("mgmt"), addons={"promtail", "demo"})
    assert {each.contract.id: each.reason for each in skipped}["C6"] == "the lab has no loki"


def test_a_lab_without_a_mesh_has_none_of_its_contracts() -> None:
    topology, placed = lab("hub-spoke")
    bare = replace(topology, mesh=replace(topology.mesh, kind="none"))
    cases, skipped = bind(bare, told(bare, placed, CATALOG), Away("mgmt"), addons=set())
    assert "C1" not in on(cases)
    assert {each.contract.id: each.reason for each in skipped}["C1"] == "the lab has no mesh"


def test_a_contract_takes_its_controls_along() -> None:
    topology, placed = lab("pair")
    known = told(topology, placed, CATALOG)
    assert [each.contract.id for each in choose(known, ["C5"])] == ["C5", "C5-any-backend"]


def test_a_contract_that_nobody_tells_is_refused_with_the_nearest() -> None:
    topology, placed = lab("pair")
    with pytest.raises(InputError) as refused:
        choose(told(topology, placed, CATALOG), ["C5-any-backed"])
    assert refused.value.brief == "there is no contract 'C5-any-backed'"
    assert refused.value.remedy == (
        'Did you mean "C5-any-backend"? There are C1, C2, C2-one-tenant, C2-restarted, C2-truncated, C3, '
        "C3-delete, C4, C5, C5-any-backend, C6, C6-ten-tries and 1 more."
    )
