"""Which contracts are judged where, and why others are not: the shipped ones, on shipped topologies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.addons import catalog
from lab.catalog.place import Placed, place
from lab.degrade.scope import Away, Case, Skipped, bind, choose
from lab.degrade.told import told
from lab.errors import InputError
from lab.settings import from_environment
from lab.topology.model import StaleBackends, Topology
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
    judged = ("C1", "C2", "C3", "C3-delete", "C4", "C4-far", "C5", "C5-any-backend", "C6", "C7")
    assert on(cases) == dict.fromkeys(judged, apps)
    # Controls that need something beside the real one, which the topology does not ask for, and what is
    # claimed of labs and of faults that are others.
    assert {(each.contract.id, each.cluster, each.reason) for each in skipped} == {
        (contract, app, reason)
        for contract, reason in (
            ("C2-one-tenant", "the topology asks for no second Receive (option control)"),
            ("C2-restarted", "the topology asks for no second agent (option control)"),
            ("C2-truncated", "the topology asks for no second agent (option control)"),
            (
                "C6-ten-tries",
                "there is no second Promtail (option control), or a frozen node's kernel takes what it sends",
            ),
            ("C5-preferred", "it is for labs that prefer near backends"),
            (
                "C5-dropped",
                (
                    "it is for labs that drop a lost cluster's backends, and for faults that let none of its "
                    "heartbeats through"
                ),
            ),
            (
                "C5-own-api",
                "it is for a cluster whose mesh API server is away, and only that (--target CLUSTER/mesh)",
            ),
        )
        for app in apps
    }


def test_of_an_isolated_hub_nothing_is_judged_that_may_not_be_away() -> None:
    cases, skipped = bound("hub-spoke", Away("mgmt", fault="isolate"))
    apps = ["app1", "app2"]
    judged = ("C1", "C2", "C3", "C3-delete", "C4", "C5", "C5-any-backend", "C6")
    assert on(cases) == dict.fromkeys(judged, apps)
    reasons = {each.contract.id: each.reason for each in skipped}
    assert reasons["C4-far"].endswith("or API servers may still reach an isolated cluster's pods")
    assert reasons["C7"].startswith("an isolated Argo CD is not away, as it is seen here")


def test_when_a_loss_by_policy_is_noticed_is_not_reckoned_with() -> None:
    topology = labs.topology("pair")
    topology = replace(topology, mesh=replace(topology.mesh, stale_backends=StaleBackends("drop_after", 45)))
    cases, _ = bind(topology, told(topology, (), CATALOG), Away("west", fault="isolate"), addons=())
    assert on(cases) == {"C1": ["east"], "C5": ["east"]}


@pytest.mark.parametrize(
    ("stale", "wanted"),
    [
        (StaleBackends("keep"), "C5-any-backend"),
        (StaleBackends("prefer_local"), "C5-preferred"),
        (StaleBackends("drop_after", 45), "C5-dropped"),
    ],
)
def test_what_is_claimed_of_a_lost_clusters_backends_is_what_the_topology_has_chosen(
    stale: StaleBackends, wanted: str
) -> None:
    topology = labs.topology("pair")
    topology = replace(topology, mesh=replace(topology.mesh, stale_backends=stale))
    cases, _ = bind(topology, told(topology, (), CATALOG), Away("west"), addons=())
    assert on(cases) == {each: ["east"] for each in ("C1", "C5", wanted)}
    [case] = [each for each in cases if each.contract.id == wanted]
    [judgement] = [each for each in case.judgements if each.of == "anywhere"]
    assert (judgement.after, judgement.phases) == ((205, ("hold",)) if stale.seconds else (0, ()))
    # Whoever judges it reads the number.
    [written] = [each for each in case.as_json()["judgements"] if each["of"] == "anywhere"]
    assert written["after"] == judgement.after


def test_without_a_mesh_nobody_asks_an_engine_that_is_far_away() -> None:
    topology, placed = lab("hub-spoke")
    bare = replace(topology, mesh=replace(topology.mesh, kind="none"))
    there = choose(told(bare, placed, CATALOG), ["C4"])
    cases, skipped = bind(bare, there, Away("mgmt"), addons={"kyverno"})
    assert on(cases) == {"C4": ["app1", "app2"]}
    assert {each.contract.id for each in skipped} == {"C4-far"}


def test_with_a_clusters_mesh_api_server_away_that_cluster_is_judged_and_all_others_are_there() -> None:
    cases, _ = bound("hub-spoke", Away("app1", component="mesh"))
    [case] = cases
    assert (case.id, case.placed.addon.name) == ("C5-own-api/app1", "mesh")
    assert [stream.id for stream in case.streams] == ["between-mgmt", "between-app2", "anywhere", "near"]


def test_when_and_after_know_the_fault_the_lab_and_the_cluster_that_is_judged() -> None:
    topology = labs.topology("hub-spoke")
    topology = replace(topology, mesh=replace(topology.mesh, stale_backends=StaleBackends("drop_after", 30)))
    own = next(each for each in told(topology, (), CATALOG) if each.contract.id == "C5")
    judgement = replace(own.contract.judgements[0], later="options.margin + mesh.drop_after - 50")
    homes = {
        name: replace(placed, options={"margin": margin})
        for margin, (name, placed) in enumerate(own.homes.items(), start=20)
    }
    when = (
        'component == "mesh" and away == "app1" and cluster.role == "app" and mesh.kind == "cilium" '
        "and options.margin > 0"
    )
    contract = replace(own.contract, when=when, judgements=(judgement,))
    cases, skipped = bind(
        topology, [replace(own, contract=contract, homes=homes)], Away("app1", "mesh"), addons=()
    )
    assert {case.cluster: case.judgements[0].after for case in cases} == {"app1": 1, "app2": 2}
    assert [each.cluster for each in skipped] == ["mgmt"]


@pytest.mark.parametrize(
    ("later", "why"),
    [
        ("mesh.stale_backends", "mesh.stale_backends is no number"),
        ("options.word + 1", "options.word + 1 cannot be made out: "),
        ("1 / mesh.drop_after", "1 / mesh.drop_after cannot be made out: division by zero"),
    ],
)
def test_a_time_that_is_none_in_this_lab_is_refused(later: str, why: str) -> None:
    topology = labs.topology("pair")
    own = next(each for each in told(topology, (), CATALOG) if each.contract.id == "C5")
    contract = replace(own.contract, judgements=(replace(own.contract.judgements[0], later=later),))
    with pytest.raises(InputError) as refused:
        bind(topology, [replace(own, contract=contract)], Away("west"), addons=())
    assert refused.value.brief.startswith(f"C5: after of a judgement is no time in this lab: {why}")
    assert refused.value.remedy == "Correct it."


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
    judged = {"C1", "C2", "C3", "C3-delete", "C4", "C4-far", "C5", "C5-any-backend", "C6"}
    assert set(on(cases)) == judged
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
    assert [each.contract.id for each in choose(known, ["C5-dropped"])] == ["C5-dropped"]


def test_a_contract_that_nobody_tells_is_refused_with_the_nearest() -> None:
    topology, placed = lab("pair")
    with pytest.raises(InputError) as refused:
        choose(told(topology, placed, CATALOG), ["C5-any-backed"])
    assert refused.value.brief == "there is no contract 'C5-any-backed'"
    assert refused.value.remedy == (
        'Did you mean "C5-any-backend"? There are C1, C2, C2-one-tenant, C2-restarted, C2-truncated, C3, '
        "C3-delete, C4, C4-far, C5, C5-any-backend, C5-dropped and 5 more."
    )
