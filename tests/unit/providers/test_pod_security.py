"""Pod Security: what is enforced, and how each version's API server is told."""

from __future__ import annotations

import pytest

from lab.providers import pod_security


def test_baseline_is_what_a_namespace_gets_that_says_nothing() -> None:
    [plugin] = pod_security.admission()["plugins"]
    assert plugin["name"] == "PodSecurity"
    assert plugin["configuration"]["defaults"]["enforce"] == "baseline"
    assert plugin["configuration"]["exemptions"] == {"namespaces": ["kube-system", "local-path-storage"]}


@pytest.mark.parametrize("version", ["1.35", "1.35.8"])
def test_arguments_are_a_mapping_up_to_1_35(version: str) -> None:
    arguments = pod_security.api_server(version)["apiServer"]["extraArgs"]
    assert arguments == {"admission-control-config-file": pod_security.PATH}


def test_arguments_are_a_list_from_1_36_on() -> None:
    arguments = pod_security.api_server("1.36")["apiServer"]["extraArgs"]
    assert arguments == [{"name": "admission-control-config-file", "value": pod_security.PATH}]
