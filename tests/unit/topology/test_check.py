"""Rules that need more than a file: what a lab kept, its name, and how long checking takes.

Everything that a file alone can get wrong is in ``bad/``.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.topology.model import Kept
from lab.topology.read import read_topology
from lab.topology.snapshot import HostSnapshot, LabCluster, OtherLab, Route

HEAD = "version: lab/v1\nname: t\n"
KEPT = Path(__file__).parent / "kept"


def kept(name: str) -> Kept:
    return read_topology(f"{KEPT}/{name}.before.yaml", folder=KEPT).kept


@pytest.mark.parametrize(
    "name", sorted(path.name.removesuffix(".after.yaml") for path in KEPT.glob("*.after.yaml"))
)
def test_a_file_cannot_undo_what_runs(name: str) -> None:
    """A lab is made from NAME.before.yaml; what is then said of NAME.after.yaml is in NAME.expected.txt."""
    with pytest.raises(InputError) as caught:
        read_topology(f"{name}.after", folder=KEPT, kept=kept(name))
    assert f"{caught.value}\n" == (KEPT / f"{name}.expected.txt").read_text(encoding="utf-8")


def test_pinning_what_runs_to_what_it_has_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(
        f"{HEAD}clusters:\n  a: {{role: app}}\n  b: {{role: app, id: 2, pod_cidr: 10.101.0.0/16}}\n"
    )
    assert read_topology(str(file), folder=tmp_path, kept=kept("moved")).cluster("b").id == 2


def test_the_labs_name_counts_towards_host_names(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(f"{HEAD}clusters: {{a-rather-long-cluster-name: {{role: app}}}}\n")
    read_topology(str(file), folder=tmp_path, lab_name="short")
    with pytest.raises(InputError, match="more than the 63 of a host name"):
        read_topology(str(file), folder=tmp_path, lab_name="a-lab-whose-name-takes-some")


def test_existing_clusters_are_none_of_the_hosts_business(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(
        f"{HEAD}clusters:\n"
        "  cloud: {role: app, provider: existing, existing: {context: prod}, pod_cidr: 10.4.0.0/14, "
        "service_cidr: 10.8.0.0/20}\n"
        "  here: {role: app}\n"
    )
    vpn = HostSnapshot(routes=(Route(IPv4Network("10.0.0.0/12"), "tun0", "to the cloud"),))
    topology = read_topology(str(file), folder=tmp_path, snapshot=vpn)
    assert topology.cluster("cloud").pod_cidr == IPv4Network("10.4.0.0/14")
    assert topology.cluster("cloud").provider_options == {"context": "prod"}


@pytest.mark.parametrize("pinned", [False, True])
def test_511_clusters_beside_511_others_take_less_than_a_second(tmp_path: Path, pinned: bool) -> None:
    other = OtherLab(
        "other",
        tuple(
            LabCluster(
                f"o{n}", IPv4Network((0x64400000 + n * 8192, 20)), IPv4Network((0x64401000 + n * 8192, 20))
            )
            for n in range(511)
        ),
    )
    # Pinned all to one network, in 511 entries: the most problems that a file can have with addresses.
    entries = "".join(f"  c{n}: {{role: app, pod_cidr: 10.0.0.0/16}}\n" for n in range(511))
    clusters = entries if pinned else "  all: {count: 511, prefix: c, role: app}\n"
    file = tmp_path / "t.yaml"
    file.write_text(f"{HEAD}mesh: {{max_clusters: 511}}\nclusters:\n{clusters}")
    began = time.process_time()
    if pinned:
        with pytest.raises(InputError, match="510 problems"):
            read_topology(str(file), folder=tmp_path, snapshot=HostSnapshot(labs=(other,)))
    else:
        read_topology(str(file), folder=tmp_path, snapshot=HostSnapshot(labs=(other,)))
    assert time.process_time() - began < 1
