"""Addons on a cluster: applied in order, pruned, remembered, removed, however often and wherever it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from lab.catalog.addon import Workload
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference, Refused
from lab.errors import InputError
from lab.platform.install import Installer, Wanted, missing
from lab.platform.record import records
from tests.unit.platform.cluster import FakeKube


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def installer(kube: FakeKube) -> Installer:
    return Installer(cast("Kube", kube), "lab1", timeout=5)


def thing(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "x"}, **more}


def wanted(*objects: dict[str, Any]) -> Wanted:
    return Wanted("x", "1.2", ("other",), objects)


def remembered(kube: FakeKube) -> dict[str, tuple[str, list[str]]]:
    found = records(cast("Kube", kube))
    return {name: (each.fingerprint, [r.name for r in each.objects]) for name, each in found.items()}


def test_objects_are_applied_in_order_and_remembered(kube: FakeKube) -> None:
    one = wanted(thing("ConfigMap", "a"), thing("Service", "b"))
    installer(kube).install(one)
    assert [each for each in kube.done if "lab-addon" not in each] == ["apply ConfigMap a", "apply Service b"]
    assert remembered(kube) == {"x": (one.fingerprint, ["a", "b"])}
    [record] = records(cast("Kube", kube)).values()
    assert record == one.record(one.objects)
    labels = kube.objects["ConfigMap", "kube-system", "lab-addon-x"]["metadata"]["labels"]
    assert labels["lab/name"] == "lab1"


def test_what_an_addon_has_no_more_is_removed(kube: FakeKube) -> None:
    installer(kube).install(wanted(thing("ConfigMap", "a"), thing("Service", "b")))
    kube.done.clear()
    installer(kube).install(wanted(thing("Service", "b"), thing("Service", "c")))
    assert "remove ConfigMap a" in kube.done
    assert "remove Service b" not in kube.done
    assert remembered(kube)["x"][1] == ["b", "c"]


def test_an_object_that_changed_its_version_is_the_same(kube: FakeKube) -> None:
    old = thing("HTTPRoute", "a") | {"apiVersion": "gateway.networking.k8s.io/v1beta1"}
    installer(kube).install(wanted(old))
    installer(kube).install(wanted(old | {"apiVersion": "gateway.networking.k8s.io/v1"}))
    assert not [each for each in kube.done if each.startswith("remove")]


def test_a_kind_that_comes_is_waited_for(kube: FakeKube) -> None:
    kube.unknown = ["Thing", "Thing"]
    installer(kube).install(wanted(thing("Thing", "a")))
    assert ("Thing", "x", "a") in kube.objects


def test_what_upstream_defines_comes_first_and_is_remembered(kube: FakeKube) -> None:
    read: list[str] = []

    def define() -> list[dict[str, Any]]:
        read.append("definitions")
        return [thing("CustomResourceDefinition", "kinds")]

    one = replace(wanted(thing("ConfigMap", "a")), definitions=("of-1",), define=define)
    # Large files are not read in order to tell whether they are there.
    assert one.fingerprint != wanted(thing("ConfigMap", "a")).fingerprint
    assert one.fingerprint != replace(one, definitions=("of-2",)).fingerprint
    assert read == []
    installer(kube).install(one)
    applied = [each for each in kube.done if "lab-addon" not in each]
    assert applied == ["apply CustomResourceDefinition kinds", "apply ConfigMap a"]
    assert remembered(kube) == {"x": (one.fingerprint, ["kinds", "a"])}


def test_a_refusal_leaves_a_record_of_all_that_may_be_there(kube: FakeKube) -> None:
    installer(kube).install(wanted(thing("ConfigMap", "old")))
    kube.refused = {"b": "denied"}
    with pytest.raises(Refused):
        installer(kube).install(wanted(thing("ConfigMap", "a"), thing("Service", "b")))
    # Not current, and nothing of it is forgotten: it can be finished, or removed.
    assert remembered(kube) == {"x": ("", ["old", "a", "b"])}
    kube.refused = {}
    installer(kube).install(wanted(thing("ConfigMap", "a")))
    assert ("ConfigMap", "x", "old") not in kube.objects
    assert remembered(kube)["x"][1] == ["a"]


def test_removal_goes_backwards_and_waits_until_all_is_gone(kube: FakeKube) -> None:
    one = wanted(thing("Namespace", "x"), thing("Service", "b"))
    installer(kube).install(one)
    kube.done.clear()
    kube.lingering = ["x"]
    installer(kube).remove(one.record(one.objects))
    assert kube.done == ["remove Service b", "remove Namespace x"]
    assert kube.lingering == []
    assert kube.objects == {}


@pytest.mark.parametrize(
    ("kind", "state", "told"),
    [
        ("Deployment", None, "a is not there yet"),
        ("Deployment", 0, "a: 0 of 1 ready"),
        ("Deployment", 1, None),
        ("Job", 0, "Job a is not done"),
        ("Job", 1, None),
    ],
)
def test_what_is_missing_is_told_in_words(
    kube: FakeKube, kind: Any, state: int | None, told: str | None
) -> None:
    if state is not None:
        kube.ready = {"a": state}
    assert missing(cast("Kube", kube), [Workload(kind, "a", "x")]) == told


def test_versions_of_a_group_are_one_identity() -> None:
    core = Reference("v1", "Service", "x", "a")
    assert core.identity == ("", "Service", "x", "a")
    assert Reference("apps/v1", "Deployment", "x", "a").identity == ("apps", "Deployment", "x", "a")


def test_what_others_have_is_never_taken_over(kube: FakeKube) -> None:
    kube.objects["ConfigMap", "x", "a"] = thing("ConfigMap", "a")
    careful = replace(installer(kube), shared=True)
    with pytest.raises(InputError) as refused:
        careful.install(wanted(thing("Service", "b"), thing("ConfigMap", "a")))
    assert refused.value.brief == "x cannot be installed: ConfigMap a is there already, and not the lab's"
    assert refused.value.remedy == (
        "Nothing of it was changed. Leave the addon out (--without x), or remove what is there."
    )
    assert kube.done == []
    ours = thing("ConfigMap", "a")
    ours["metadata"]["labels"] = {"lab/name": "lab1"}
    kube.objects["ConfigMap", "x", "a"] = ours
    careful.install(wanted(thing("Service", "b"), thing("ConfigMap", "a")))
    assert "apply ConfigMap a" in kube.done
