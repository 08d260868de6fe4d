"""What every command starts from: the topology on this host, what is kept of it, and words for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab import state
from lab.errors import InputError
from lab.host import facts
from lab.providers.existing import Existing
from lab.providers.kind import Kind
from lab.settings import Settings
from lab.topology.snapshot import ContainerNetwork, HostSnapshot
from lab.workspace import open_workspace
from tests.unit.labs import settings, workspace


class Host:
    """The host's networks, as planning sees them."""

    def __init__(self) -> None:
        self.networks: tuple[ContainerNetwork, ...] = ()

    def snapshot(self, settings: Settings) -> HostSnapshot:
        return HostSnapshot(networks=self.networks, labs=facts.other_labs(settings.state / "labs"))


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(facts, "snapshot", made.snapshot)
    return made


def test_a_lab_has_its_own_folder_and_a_kubeconfig_for_each_cluster(tmp_path: Path) -> None:
    found = open_workspace(settings(tmp_path), "pair", name=None)
    assert found.lab == "pair"
    assert found.folder.path == tmp_path / "state" / "labs" / "pair"
    assert {name: kube.kubeconfig.name for name, kube in found.kubes.items()} == {
        "east": "east.yaml",
        "west": "west.yaml",
    }
    # Opening one makes nothing.
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("asked_for", "name", "arguments"),
    [
        ("hub-spoke", None, ""),
        ("hub-spoke", "hub-spoke", ""),
        ("hub-spoke", "second", " --name second"),
        ("pair", None, " -t pair"),
        ("pair", "second", " -t pair --name second"),
    ],
)
def test_commands_that_we_suggest_name_the_lab(
    tmp_path: Path, asked_for: str, name: str | None, arguments: str
) -> None:
    assert open_workspace(settings(tmp_path), asked_for, name=name).arguments == arguments


def test_addresses_are_kept_whatever_comes_later(tmp_path: Path, host: Host) -> None:
    own = settings(tmp_path)
    first = open_workspace(own, "pair", name=None)
    first.folder.keep(first.topology.kept)
    taken = first.topology.cluster("east").pod_cidr
    host.networks = (ContainerNetwork("newcomer", (taken,), None),)
    assert open_workspace(own, "pair", name=None).topology.kept == first.topology.kept
    # A lab that is not there yet gives way.
    assert open_workspace(own, "pair", name="second").topology.cluster("east").pod_cidr != taken


def test_a_second_lab_shares_nothing_with_the_first(tmp_path: Path) -> None:
    own = settings(tmp_path)
    first = open_workspace(own, "hub-spoke", name=None)
    first.folder.keep(first.topology.kept)
    second = open_workspace(own, "hub-spoke", name="second")
    for one in first.topology.clusters:
        for other in second.topology.clusters:
            for network in (other.pod_cidr, other.service_cidr):
                assert not network.overlaps(one.pod_cidr)
                assert not network.overlaps(one.service_cidr)
    assert not first.topology.network.node_cidr.overlaps(second.topology.network.node_cidr)


def test_a_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='"Lab_1" cannot be the name of a lab'):
        open_workspace(settings(tmp_path), "pair", name="Lab_1")


@pytest.mark.parametrize(
    ("isolated", "stated", "asked"), [(False, False, False), (True, True, False), (True, False, True)]
)
def test_isolation_may_be_asked_for_in_three_places(
    tmp_path: Path, isolated: bool, stated: bool, asked: bool
) -> None:
    own = settings(tmp_path, isolated=stated)
    assert open_workspace(own, "pair", name=None, isolated=asked).isolated == isolated


def test_a_topology_may_ask_for_isolation_itself(tmp_path: Path) -> None:
    assert workspace(tmp_path, egress="deny").isolated
    assert not workspace(tmp_path).isolated


def test_the_provider_gets_what_it_needs_to_create(tmp_path: Path) -> None:
    provider = workspace(tmp_path, lab="second").provider(
        "east", binary=Path("/k"), image="i", cgroup_v1=True
    )
    assert isinstance(provider, Kind)
    assert (provider.lab, provider.binary, provider.image, provider.cgroup_v1) == (
        "second",
        Path("/k"),
        "i",
        True,
    )


def test_clusters_are_seen_to_side_by_side(tmp_path: Path) -> None:
    meeting = threading.Barrier(3)

    def act(name: str) -> str:
        meeting.wait(5)
        return name.upper()

    assert workspace(tmp_path, "hub-spoke").on_each(act) == {"mgmt": "MGMT", "app1": "APP1", "app2": "APP2"}


def test_an_error_on_one_cluster_is_an_error(tmp_path: Path) -> None:
    def act(name: str) -> None:
        if name == "west":
            raise InputError("west is wrong")

    with pytest.raises(InputError, match="west is wrong"):
        workspace(tmp_path).on_each(act)


def test_the_names_of_files_follow_the_labs(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    other = replace(first, topology=replace(first.topology, name="other"))
    assert other.folder == state.folder(first.settings, "other")
    assert IPv4Network("10.100.0.0/16") == first.topology.cluster("east").pod_cidr


def test_each_provider_is_shown_its_own_clusters_alone(tmp_path: Path) -> None:
    made = workspace(tmp_path, "hub-spoke")
    hub = replace(made.topology.cluster("mgmt"), provider="existing", provider_options={"context": "c"})
    mixed = replace(made, topology=replace(made.topology, clusters=(hub, *made.topology.clusters[1:])))
    assert [
        (type(provider), [cluster.name for cluster in of.clusters]) for provider, of in mixed.shared_out
    ] == [(Existing, ["mgmt"]), (Kind, ["app1", "app2"])]
    assert isinstance(mixed.provider("mgmt"), Existing)


def test_nodes_that_pull_for_themselves_know_images_by_digest(tmp_path: Path) -> None:
    made = workspace(tmp_path, "existing-pair")
    assert all(kube.images == {} for kube in made.kubes.values())
    far = replace(made.topology.cluster("east"), provider_options={"context": "c"})
    elsewhere = replace(made, topology=replace(made.topology, clusters=(far, made.topology.clusters[1])))
    name = elsewhere.kubes["east"].images["lab.local/python:3"]
    assert name.startswith("docker.io/library/python:")
    assert "@sha256:" in name


@pytest.mark.parametrize("name", ["existing-pair", "pair-multipass"])
def test_what_stands_in_no_network_of_the_labs_cannot_be_isolated(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as refused:
        open_workspace(settings(tmp_path), name, name=None, isolated=True)
    assert refused.value.brief == (
        f"{name}.yaml: east and west cannot be isolated: "
        "their nodes stand in no container network of the lab's"
    )
    assert refused.value.remedy == "Leave out --isolated (LAB_ISOLATED)."
