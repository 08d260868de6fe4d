"""The steps for addons: what comes after what, what is done, and what is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.plan.addons import SeenAddons, addon_steps, ends
from lab.plan.resolve import Seen, SeenCluster, resolve
from lab.plan.step import Plan, Step
from tests.unit.catalog.addons import placed, topology, write

READY = "ready: [{kind: Deployment, name: x}]\nimages: [lab.local/python:3]\n"


def steps(
    folder: Path, seen: Mapping[str, SeenAddons] | None = None, *, standing: tuple[str, ...] = ()
) -> dict[str, Step]:
    made = addon_steps(
        placed(folder, "[{use: web}, {use: store}]"),
        seen or {},
        standing=standing,
        brought=["images/image/x"],
        meshed=True,
    )
    return {step.id: step for step in made}


def two(folder: Path) -> None:
    """A store on the hub, known elsewhere, and a web on the apps that needs it."""
    write(folder, "store", on="mgmt", more=READY + "elsewhere: [main.yaml.j2]\n")
    write(folder, "web", on="app", more=READY + "needs: [store]\n")


def test_whoever_needs_something_comes_after_it_also_across_clusters(tmp_path: Path) -> None:
    two(tmp_path)
    made = steps(tmp_path)
    assert list(made) == [
        "hub/store",
        "hub/store/ready",
        "a/store",
        "b/store",
        "a/web",
        "a/web/ready",
        "b/web",
        "b/web/ready",
    ]
    assert made["hub/store"].needs == ("hub/network", "hub/mesh")
    assert made["a/web"].needs == ("a/network", "a/mesh", "a/store", "hub/store/ready")
    assert made["a/store"].summary == "make store known"
    assert not any(step.done for step in made.values())


def test_new_clusters_hold_every_image_and_others_are_brought_them(tmp_path: Path) -> None:
    two(tmp_path)
    made = steps(tmp_path, {"a": SeenAddons(carried=True)}, standing=("hub", "a"))
    assert (made["hub/images"].done, made["a/images"].done) == (False, True)
    assert "b/images" not in made
    assert made["hub/images"].needs == ("hub/create", "images/image/x")
    assert "hub/images" in made["hub/store"].needs


def test_what_is_there_as_wanted_is_done(tmp_path: Path) -> None:
    two(tmp_path)
    seen = SeenAddons(current=frozenset({"store"}), ready=frozenset({"store"}))
    made = steps(tmp_path, {"hub": seen})
    assert {step.id for step in made.values() if step.done} == {"hub/store", "hub/store/ready"}
    changed = steps(tmp_path, {"hub": SeenAddons(ready=frozenset({"store"}))})
    assert not changed["hub/store/ready"].done


def test_what_leaves_goes_before_what_it_needed(tmp_path: Path) -> None:
    two(tmp_path)
    leaving = {"old": (), "older": ("old",)}
    made = steps(tmp_path, {"a": SeenAddons(leaving=leaving)})
    assert made["a/old/remove"].needs == ("a/network", "a/older/remove")
    assert made["a/older/remove"].needs == ("a/network",)


def whole(folder: Path, addons: SeenAddons) -> Plan:
    found = placed(folder, "[{use: web}, {use: store}]")
    up = SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True, addons=addons)
    seen = Seen(network=True, node_image=True, verified=True, clusters=dict.fromkeys(("hub", "a", "b"), up))
    bring = [
        Step("images/image/x", "image-part", summary="x"),
        Step("tools/kind", "tool", summary="k"),
        Step("tools/helm", "tool", summary="h"),
    ]
    return resolve(topology(folder, "[{use: web}, {use: store}]"), seen, bring=bring, placed=found)


def test_a_lab_is_up_when_its_addons_are(tmp_path: Path) -> None:
    two(tmp_path)
    both = frozenset({"store", "web"})
    assert whole(tmp_path, SeenAddons(current=both, ready=both, carried=True)).pending == ()


def test_a_new_addon_brings_its_images_and_is_proved(tmp_path: Path) -> None:
    two(tmp_path)
    pending = {step.id for step in whole(tmp_path, SeenAddons()).pending}
    assert {"images/image/x", "hub/images", "hub/store", "a/web", "lab/verify"} <= pending
    assert not {"hub/create", "hub/cilium", "images/node"} & pending


def test_memory_counts_where_an_addon_is(tmp_path: Path) -> None:
    two(tmp_path)
    plan = whole(tmp_path, SeenAddons())
    # 16Mi for the store on the hub, and for the web on each of the two apps.
    assert plan.budget.memory_mib == 3 * 1100 + 3 * 16


def test_the_proof_comes_last(tmp_path: Path) -> None:
    two(tmp_path)
    plan = whole(tmp_path, SeenAddons())
    assert set(ends(placed(tmp_path, "[{use: web}, {use: store}]"))) <= set(plan.by_id["lab/verify"].needs)
    assert plan.steps[-1].id == "lab/verify"


def test_what_upstream_defines_is_fetched_before_its_addon_and_no_other(tmp_path: Path) -> None:
    more = "definitions: [{from: a/kinds}, {from: a/more}, {from: b/kinds}]\nelsewhere: [main.yaml.j2]\n"
    write(tmp_path, "edge", on="mgmt", more=more)
    write(tmp_path, "plain", on="mgmt")
    of = topology(tmp_path, "[{use: edge}, {use: plain}]")
    known = load_catalog(tmp_path / "addons", images=(), kept=["a/kinds", "a/more", "b/kinds"])
    made = addon_steps(
        place(of, known), {}, standing=("hub",), brought=["images/files/a", "images/image/x"], meshed=False
    )
    needs = {step.id: step.needs for step in made}
    # What is fetched already is no step to wait for; elsewhere there are no definitions.
    assert needs["hub/edge"] == ("hub/network", "images/files/a")
    assert needs["a/edge"] == ("a/network",)
    assert needs["hub/plain"] == ("hub/network",)


def known(folder: Path) -> None:
    """A store, a web that needs it, and something that has nothing to do with them."""
    two(folder)
    write(folder, "other", on="app", more=READY)


def planned(folder: Path, seen: Seen) -> Plan:
    uses = "[{use: web}, {use: store}, {use: other}]"
    bring = [Step(f"tools/{name}", "tool", summary=name, done=True) for name in ("kind", "helm")]
    return resolve(topology(folder, uses), seen, bring=bring, placed=placed(folder, uses))


def stands(names: frozenset[str]) -> SeenCluster:
    there = SeenAddons(current=names, ready=names, carried=True)
    return SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True, addons=there)


ALL = frozenset({"web", "store", "other"})


def seen_with(names: frozenset[str] = ALL, **more: object) -> Seen:
    clusters = {name: stands(ALL) for name in ("hub", "a", "b")} | {"hub": stands(names)}
    seen = Seen(network=True, node_image=True, verified=True, clusters=clusters)
    return replace(seen, **more)  # type: ignore[arg-type]


def test_where_one_addon_changes_it_is_proved_with_those_that_need_it(tmp_path: Path) -> None:
    known(tmp_path)
    plan = planned(tmp_path, seen_with(ALL - {"store"}))
    assert plan.prove == ("store", "web")
    verify = plan.by_id["lab/verify"]
    assert (verify.done, verify.summary) == (False, "prove store and web")


def test_where_nothing_changes_nothing_is_proved_again(tmp_path: Path) -> None:
    known(tmp_path)
    plan = planned(tmp_path, seen_with())
    assert plan.prove == ()
    assert plan.pending == ()


def test_what_was_changed_and_never_proved_is_proved_now(tmp_path: Path) -> None:
    known(tmp_path)
    plan = planned(tmp_path, seen_with(to_prove=frozenset({"other"})))
    assert plan.prove == ("other",)
    assert [step.id for step in plan.pending] == ["lab/verify"]


def test_where_more_than_addons_changes_everything_is_proved(tmp_path: Path) -> None:
    known(tmp_path)
    assert planned(tmp_path, seen_with(verified=False)).prove is None
    seen = seen_with()
    moved = {**seen.clusters, "a": replace(seen.cluster("a"), meshed=False)}
    assert planned(tmp_path, replace(seen, clusters=moved)).prove is None


def test_what_is_removed_leaves_nothing_to_prove(tmp_path: Path) -> None:
    known(tmp_path)
    seen = seen_with()
    there = replace(seen.cluster("b").addons, leaving={"old": ()})
    moved = {**seen.clusters, "b": replace(seen.cluster("b"), addons=there)}
    plan = planned(tmp_path, replace(seen, clusters=moved))
    assert [step.id for step in plan.pending] == ["b/old/remove"]
