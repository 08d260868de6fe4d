from __future__ import annotations

from typing import Any

import pytest

from lab import settings
from lab.catalog.objects import LABEL, fault_of, fingerprint, identity, labelled, near_first, placed_in

LABELS = {"lab/name": "t"}


def thing(kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} | more


def test_the_label_is_the_labs() -> None:
    assert LABEL == settings.LABEL


@pytest.mark.parametrize(
    ("kind", "namespace", "placed"),
    [
        ("ConfigMap", None, "here"),
        ("ConfigMap", "there", "there"),
        ("ClusterRole", None, None),
        ("ClusterRole", "there", None),
        ("Unheard", None, "here"),
        ("Unheard", "", None),
    ],
)
def test_what_has_a_namespace_has_one(kind: str, namespace: str | None, placed: str | None) -> None:
    made = thing(kind)
    if namespace is not None:
        made["metadata"]["namespace"] = namespace
    assert placed_in(made, "here")["metadata"].get("namespace") == placed


GLOBAL = {"service.cilium.io/global": "true"}
LOCAL = {"service.cilium.io/affinity": "local"}


@pytest.mark.parametrize(
    ("kind", "said", "made"),
    [
        ("Service", GLOBAL, GLOBAL | LOCAL),
        ("Service", GLOBAL | {"service.cilium.io/affinity": ""}, GLOBAL | {"service.cilium.io/affinity": ""}),
        ("Service", {"service.cilium.io/global": "false"}, {"service.cilium.io/global": "false"}),
        ("Service", {}, {}),
        ("Service", None, None),
        ("ConfigMap", GLOBAL, GLOBAL),
    ],
)
def test_a_global_service_that_says_nothing_prefers_near_backends(kind: str, said: Any, made: Any) -> None:
    service = thing(kind, metadata={"name": "x", "annotations": said})
    assert near_first(service)["metadata"] == {"name": "x", "annotations": made}
    assert near_first(thing(kind)) == thing(kind)


def test_pods_and_claims_are_labelled_like_what_makes_them() -> None:
    claims = [{"metadata": {"name": "data"}}]
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {}}
    made = labelled(thing("StatefulSet", spec={"template": pod, "volumeClaimTemplates": claims}), LABELS)
    assert made["metadata"]["labels"] == LABELS
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "x", "lab/name": "t"}
    assert made["spec"]["volumeClaimTemplates"] == [{"metadata": {"name": "data", "labels": LABELS}}]
    assert "labels" not in claims[0]["metadata"]


def test_a_cron_jobs_jobs_and_pods_are_labelled() -> None:
    made = labelled(thing("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": {}}}}}), LABELS)
    job = made["spec"]["jobTemplate"]
    assert job["metadata"]["labels"] == LABELS
    assert job["spec"]["template"]["metadata"]["labels"] == LABELS


def test_what_makes_no_pods_is_labelled_itself_only() -> None:
    made = labelled(thing("ConfigMap", data={"template": "x"}), LABELS)
    assert made["data"] == {"template": "x"}
    assert labelled(thing("Deployment"), LABELS)["metadata"]["labels"] == LABELS


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (None, "this is not a Kubernetes object: it is not a mapping"),
        ({"kind": "X"}, "this is not a Kubernetes object: apiVersion is missing or not text"),
        ({"apiVersion": "v1"}, "this is not a Kubernetes object: kind is missing or not text"),
        ({"apiVersion": "v1", "kind": "X"}, "this X has no metadata"),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"name": 1}}, "this X has no metadata.name"),
        (thing(metadata={"name": "x", "namespace": 1}), "the namespace of this ConfigMap is not text"),
        (thing(metadata={"name": "x", "labels": []}), ""),
        (thing(metadata={"name": "x", "labels": "a"}), "the labels of this ConfigMap are not a mapping"),
        (thing(), ""),
    ],
)
def test_what_is_no_object_is_told(wrong: object, fault: str) -> None:
    assert fault_of(wrong) == fault


def test_versions_of_a_group_are_one_object() -> None:
    assert identity(thing(apiVersion="apps/v1")) == identity(thing(apiVersion="apps/v1beta1"))
    assert identity(thing(apiVersion="v1")) != identity(thing(apiVersion="apps/v1"))


def test_a_fingerprint_is_of_what_is_said() -> None:
    one = fingerprint([{"a": 1, "b": 2}])
    assert one == fingerprint([{"b": 2, "a": 1}])
    assert one != fingerprint([{"a": 1, "b": "2"}])
