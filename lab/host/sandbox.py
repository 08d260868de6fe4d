"""Keeping what runs in containers from sending packets off the machine.

Two rules, both in Docker's own chain for them (``DOCKER-USER``, which Docker asks before any rule
of its own; one in FORWARD would come too late): :func:`isolate` for one lab's bridge, and
:func:`block_forwarding` for everything that would be forwarded out of one of the host's interfaces.
They must be there before the first container is.

What :func:`isolate` covers: whatever a container of the lab sends to any other interface, so the
internet, the local network, VPNs and other Docker networks. Nodes of the lab still reach one
another (bridged, or forwarded from the bridge to itself) and the host answers them.

What it does not cover:

- Services of the host itself, reached at the bridge's gateway address: those packets are not
  forwarded. A proxy there would carry them on.
- Docker's embedded DNS (127.0.0.11), which may ask a resolver *from the host's network namespace*,
  where no rule of ours sees the container's question. In every version it does so for a loopback
  resolver of the host's /etc/resolv.conf, such as systemd-resolved's 127.0.0.53
  (moby/libnetwork#1595); since Docker 26 also for IPv6 resolvers of containers without IPv6
  (moby/moby#47512); current versions do so for every resolver of that file (TransformForIntNS in
  moby's libnetwork/internal/resolvconf). Where it does, the container's own /etc/resolv.conf says
  "ExtServers: [host(ADDRESS)]", since Docker 26. Servers given with ``--dns`` are asked from the
  container in every version, and so are rejected. Networks made with ``--internal`` forward no
  questions since 23.0.11, 25.0.5 and 26.0 (CVE-2024-29018), but publish no ports either, and
  through these kind's API servers are reached. A lab that must not leak even names needs a DNS of
  its own that forwards nowhere.
"""

from __future__ import annotations

import os
import shlex
from typing import Final

from lab.clients import process
from lab.errors import HostError
from lab.host.container_engine import system_path
from lab.settings import LABEL

CHAIN: Final = "DOCKER-USER"

_BLOCK: Final = "multicluster-lab: no forwarding"
"""Comment of the rules of :func:`block_forwarding`."""

_WAIT: Final = ("-w", "30")
"""Docker holds the lock of the tables now and then; seconds to wait for it."""


def isolate(bridge: str, *, lab: str) -> None:
    """Reject what comes from ``bridge`` and would leave through any other interface.

    ``bridge`` need not exist yet. Does nothing where the rule is there already. Raises
    :class:`HostError` where such a rule cannot be made: not root, no iptables, or an engine that
    is elsewhere (Docker Desktop, rootless) or that does not use iptables.
    """
    _require_engine_chain()
    rule = ("-i", bridge, "!", "-o", bridge, *_comment(f"{LABEL}={lab}"), "-j", "REJECT")
    for command, chain in _targets():
        _ensure(command, chain, rule)


def release(lab: str) -> bool:
    """Remove the rules of ``lab``; return whether there were any. Raises :class:`HostError` when not root."""
    if not available():
        if os.geteuid() == 0:
            return False
        raise HostError("firewall rules can only be removed by root", remedy=_ROOT_REMEDY)
    found = [
        (command, chain, rule)
        for command, chain in _targets()
        for rule in _rules(command, chain, comment=f"{LABEL}={lab}")
    ]
    for command, chain, rule in found:
        _run(command, "-D", chain, *rule)
    return bool(found)


def isolation(lab: str) -> bool:
    """Whether ``lab`` is kept from sending packets off the machine, by rules that Docker obeys.

    False also where the rules cannot be read (not root, no iptables).
    """
    if not available() or _complaint() is not None:
        return False
    return all(_rules(command, chain, comment=f"{LABEL}={lab}") for command, chain in _targets())


def block_forwarding(interface: str) -> None:
    """Reject whatever a container would send out of the host's ``interface``, for every lab and build.

    May run before the engine does: the engine keeps the chain that it finds, and puts its jump in
    place before it restarts any container. Raises :class:`HostError` when not root or no iptables.
    """
    if not available():
        raise HostError("forwarding can only be blocked by root, with iptables", remedy=_ROOT_REMEDY)
    if not _has_chain("iptables", CHAIN):
        _run("iptables", "-N", CHAIN)
    rule = ("-o", interface, *_comment(_BLOCK), "-j", "REJECT")
    for command, chain in _targets():
        _ensure(command, chain, rule)


def available() -> bool:
    """Whether firewall rules can be read and made here at all."""
    return os.geteuid() == 0 and process.find("iptables", path=system_path()) is not None


_ROOT_REMEDY: Final = (
    "Run as root on Linux with Docker Engine and iptables, or keep the machine itself off the network "
    "and leave out --isolated (LAB_ISOLATED)."
)


def _require_engine_chain() -> None:
    if not available():
        raise HostError(
            "a lab can only be isolated by root, with iptables, on the machine that runs its containers",
            remedy=_ROOT_REMEDY,
        )
    complaint = _complaint()
    if complaint is not None:
        raise HostError(
            f"a lab cannot be isolated: {complaint}",
            remedy="Start Docker Engine on this machine with its default firewall backend (iptables). After "
            "a reload of firewalld or of the firewall's rules, restart Docker: it restores its chains.",
        )


def _complaint() -> str | None:
    """Why rules in the chain would have no effect, if so."""
    if not _has_chain("iptables", CHAIN):
        return f"there is no chain {CHAIN}"
    if not _holds("iptables", "FORWARD", ("-j", CHAIN)):
        return f"nothing jumps to the chain {CHAIN}"
    return None


def _targets() -> list[tuple[str, str]]:
    """The tables to write to, with the chain in each.

    Docker manages IPv6 rules by default since 27; before, FORWARD of ip6tables is free for ours.
    Where the kernel has no IPv6 filter table there is no IPv6 rule to make.
    """
    targets = [("iptables", CHAIN)]
    if process.find("ip6tables", path=system_path()) is not None and _has_chain("ip6tables", "FORWARD"):
        jumps = _has_chain("ip6tables", CHAIN) and _holds("ip6tables", "FORWARD", ("-j", CHAIN))
        targets.append(("ip6tables", CHAIN if jumps else "FORWARD"))
    return targets


def _comment(text: str) -> tuple[str, ...]:
    return ("-m", "comment", "--comment", text)


def _ensure(command: str, chain: str, rule: tuple[str, ...]) -> None:
    if not _holds(command, chain, rule):
        _run(command, "-I", chain, *rule)


def _has_chain(command: str, chain: str) -> bool:
    return _succeeds(command, "-S", chain)


def _holds(command: str, chain: str, rule: tuple[str, ...]) -> bool:
    return _succeeds(command, "-C", chain, *rule)


def _succeeds(command: str, *words: str) -> bool:
    try:
        _run(command, *words)
    except process.CommandError:
        return False
    return True


def _run(command: str, *words: str) -> str:
    # By its path: a root shell made by su has no sbin folders on its PATH.
    found = process.find(command, path=system_path())
    return process.run([found or command, *_WAIT, *words]).stdout


def _rules(command: str, chain: str, *, comment: str) -> list[list[str]]:
    """The rules of ``chain`` that carry exactly ``comment``, as arguments for ``-D``."""
    listed = _run(command, "-S", chain)
    return rules_with_comment(listed, chain=chain, comment=comment)


def rules_with_comment(listed: str, *, chain: str, comment: str) -> list[list[str]]:
    """Of the output of ``iptables -S``, the rules appended to ``chain`` with exactly ``comment``."""
    found = []
    for line in listed.splitlines():
        words = shlex.split(line)
        if words[:2] == ["-A", chain] and ["--comment", comment] in [
            words[at : at + 2] for at in range(len(words))
        ]:
            found.append(words[2:])
    return found
