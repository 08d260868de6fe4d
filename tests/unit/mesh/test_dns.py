"""Cluster DNS: what it forwards, and to whom."""

from __future__ import annotations

from typing import Any, cast

from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.mesh import dns
from tests.unit.labs import topology


class FakeKube:
    def __init__(self, corefile: str | None) -> None:
        self.corefile = corefile

    def get(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/kube-system/configmaps/coredns"
        if self.corefile is None:
            raise Refused("not there", details="", status=404)
        return {"data": {"Corefile": self.corefile}}


def test_an_isolated_lab_asks_nobody() -> None:
    text = dns.corefile(topology(egress="deny"))
    assert "forward" not in text
    assert "rcode NXDOMAIN" in text
    assert "kubernetes cluster.local" in text


def test_an_open_lab_asks_the_nodes_resolver() -> None:
    text = dns.corefile(topology(egress="allow"))
    assert "forward . /etc/resolv.conf" in text
    assert "NXDOMAIN" not in text


def test_both_are_well_formed() -> None:
    for text in (dns.OPEN, dns.CLOSED):
        assert text.count("{") == text.count("}")
        assert "{{" not in text


def test_the_manifest_replaces_what_kubeadm_made() -> None:
    manifest = dns.manifest(topology(egress="deny"))
    assert manifest["metadata"] == {
        "name": "coredns",
        "namespace": "kube-system",
        "labels": {"lab/name": "pair"},
    }
    assert manifest["data"] == {"Corefile": dns.CLOSED}


def test_what_is_configured_is_compared_with_what_is_asked_for() -> None:
    def is_current(corefile: str | None, egress: str) -> bool:
        return dns.is_current(cast("Kube", FakeKube(corefile)), topology(egress=egress))

    assert is_current(dns.CLOSED, "deny")
    assert is_current(dns.OPEN, "allow")
    assert not is_current(dns.OPEN, "deny")
    assert not is_current(".:53 {}", "allow")
    assert not is_current(None, "allow")
