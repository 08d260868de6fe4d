"""Nodes that are containers of this machine's engine, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from lab.clients import docker
from lab.clients.docker_objects import Container
from lab.errors import ProvisionError

_AT_ONCE = 8

_MEMORY = """
cd /sys/fs/cgroup
if [ -f memory.current ]; then
    cat memory.current
    sed -n 's/^inactive_file //p' memory.stat
else
    cat memory/memory.usage_in_bytes
    sed -n 's/^total_inactive_file //p' memory/memory.stat
fi
"""
"""Prints what a node uses and how much of that is page cache which it would give back, for either
version of cgroups: as ``docker stats`` counts, which takes two seconds to say so."""


def start(nodes: Iterable[Container]) -> None:
    """Start those that are stopped or frozen."""
    for node in nodes:
        if node.status == "paused":
            docker.unpause_container(node.name)
        elif node.status != "running":
            docker.start_container(node.name)


def halt(nodes: Iterable[Container], how: Literal["kill", "stop", "pause"]) -> None:
    """Take those that run away, all at once: half a cluster is another fault."""
    act: Mapping[str, Callable[[str], None]] = {
        "kill": docker.kill_container,
        "stop": docker.stop_container,
        "pause": docker.pause_container,
    }
    running = [node for node in nodes if node.status == "running"]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(lambda node: act[how](node.name), running))


def since(node: Container) -> str:
    """Which container it is and when it was last started, as :class:`lab.providers.base.NodeState` has it."""
    return f"{node.id[:12]} {node.started_at}"


def memory(owners: Mapping[str, str]) -> dict[str, int]:
    """Bytes in use by the running nodes of each cluster; ``owners`` has their clusters, by node."""
    used: dict[str, int] = {}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for name, size in zip(owners, pool.map(_memory_of, owners), strict=True):
            used[owners[name]] = used.get(owners[name], 0) + size
    return used


def _memory_of(node: str) -> int:
    """Bytes in use by a node; 0 if it went away meanwhile."""
    try:
        used, cache = docker.execute(node, ["sh", "-euc", _MEMORY]).split()
    except ProvisionError:
        return 0
    return max(0, int(used) - int(cache))
