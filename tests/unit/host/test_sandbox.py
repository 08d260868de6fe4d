"""Firewall rules: how they are recognised, and that nothing is claimed where they cannot be made.

That they hold packets back is shown with real containers, in tests/clusters/test_docker_door.py.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host import sandbox

LISTED = """\
-N DOCKER-USER
-A DOCKER-USER -i lab-one ! -o lab-one -m comment --comment "lab/name=one" -j REJECT --reject-with x
-A DOCKER-USER -i lab-one2 ! -o lab-one2 -m comment --comment lab/name=one2 -j REJECT
-A DOCKER-USER -o eth0 -m comment --comment "multicluster-lab: no forwarding" -j REJECT
-A OTHER -m comment --comment lab/name=one -j REJECT
-A DOCKER-USER -j RETURN
"""

IPTABLES = """\
#!/bin/sh
# A firewall of two files: its chains, and its rules as "CHAIN ARGUMENTS".
name="$(basename "$0")"
cd "{folder}/$name" 2>/dev/null || exit 3
echo "$*" >>calls
[ "$1" = -w ] && shift 2
verb="$1" chain="$2"
shift 2
case "$verb" in
-S) grep -qx "$chain" chains || exit 1
    sed -n "s/^$chain /-A $chain /p" rules ;;
-N) echo "$chain" >>chains ;;
-C) grep -qxF -- "$chain $*" rules ;;
-I) {{ echo "$chain $*"; cat rules; }} >new && mv new rules ;;
-D) grep -qxF -- "$chain $*" rules || exit 1
    grep -vxF -- "$chain $*" rules >new || true
    mv new rules ;;
esac
"""


class Firewall:
    """Stand-ins for iptables and ip6tables on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("iptables", "ip6tables"):
            script = folder / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(IPTABLES.format(folder=folder))
            script.chmod(0o755)

    def has(self, name: str, *, chains: str, rules: str = "") -> None:
        table = self.folder / name
        table.mkdir()
        (table / "chains").write_text("".join(f"{chain}\n" for chain in chains.split()))
        (table / "rules").write_text(rules)

    def rules(self, name: str) -> list[str]:
        return (self.folder / name / "rules").read_text().splitlines()


@pytest.fixture
def firewall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firewall:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Firewall(tmp_path)


def test_rules_are_recognised_by_their_whole_comment() -> None:
    (rule,) = sandbox.rules_with_comment(LISTED, chain="DOCKER-USER", comment="lab/name=one")
    assert rule[:5] == ["-i", "lab-one", "!", "-o", "lab-one"]
    assert rule[-2:] == ["--reject-with", "x"]
    blocked = sandbox.rules_with_comment(
        LISTED, chain="DOCKER-USER", comment="multicluster-lab: no forwarding"
    )
    assert len(blocked) == 1
    assert sandbox.rules_with_comment(LISTED, chain="DOCKER-USER", comment="lab/name=on") == []


def test_isolating_releasing_and_isolating_again(firewall: Firewall) -> None:
    firewall.has("iptables", chains="FORWARD DOCKER-USER", rules="FORWARD -j DOCKER-USER\n")
    firewall.has("ip6tables", chains="FORWARD")
    assert not sandbox.isolation("one")
    for _ in range(2):
        sandbox.isolate("br-one", lab="one")
        sandbox.isolate("br-two", lab="two")
    rule = "-i br-one ! -o br-one -m comment --comment lab/name=one -j REJECT"
    assert firewall.rules("iptables").count(f"DOCKER-USER {rule}") == 1
    # Where Docker manages no IPv6 rules, FORWARD is where ours belong.
    assert firewall.rules("ip6tables").count(f"FORWARD {rule}") == 1
    assert sandbox.isolation("one")
    assert sandbox.release("one")
    assert not sandbox.isolation("one")
    assert sandbox.isolation("two")
    assert not sandbox.release("one")


def test_a_kernel_without_ipv6_rules(firewall: Firewall) -> None:
    firewall.has("iptables", chains="FORWARD DOCKER-USER", rules="FORWARD -j DOCKER-USER\n")
    sandbox.isolate("br-one", lab="one")
    assert sandbox.isolation("one")


@pytest.mark.parametrize(
    ("chains", "rules", "complaint"),
    [
        ("FORWARD", "", "there is no chain DOCKER-USER"),
        ("FORWARD DOCKER-USER", "", "nothing jumps to the chain DOCKER-USER"),
    ],
)
def test_rules_that_would_have_no_effect_are_refused(
    firewall: Firewall, chains: str, rules: str, complaint: str
) -> None:
    firewall.has("iptables", chains=chains, rules=rules)
    with pytest.raises(HostError, match=complaint) as refused:
        sandbox.isolate("br-one", lab="one")
    assert "restart Docker" in refused.value.remedy
    assert not sandbox.isolation("one")


def test_blocking_goes_before_the_engine(firewall: Firewall) -> None:
    firewall.has("iptables", chains="FORWARD")
    for _ in range(2):
        sandbox.block_forwarding("eth0")
    assert firewall.rules("iptables") == [
        "DOCKER-USER -o eth0 -m comment --comment multicluster-lab: no forwarding -j REJECT"
    ]


def test_only_root_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    needs_root = "only be isolated by root"
    with pytest.raises(HostError, match=needs_root) as refused:
        sandbox.isolate("br-one", lab="one")
    assert refused.value.exit_code == 3
    assert re.search("LAB_ISOLATED", refused.value.remedy)
    assert not sandbox.isolation("one")
    with pytest.raises(HostError):
        sandbox.release("one")
    with pytest.raises(HostError):
        sandbox.block_forwarding("eth0")
