"""What the kernel offers of what containers, kind and Cilium need, found out without guessing.

Asked in this order, the first that knows decides: trying it (VXLAN, as root, in a network
namespace that ends with the try), what the kernel says it has now (/proc/filesystems, /sys), its
configuration, and whether a module for it could be loaded. What nobody knows stays unknown and is
no reason to refuse: kernels without a configuration at hand are common, and mostly complete.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.clients import process
from lab.errors import LabError

_PROBE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Need:
    """A feature, where to look for it, and what it is for."""

    name: str
    option: str
    """Its name in the kernel's configuration, without ``CONFIG_``."""

    what_for: str
    module: str = ""
    filesystem: str = ""
    path: str = ""
    """A path that exists only with it."""

    required: bool = True


NEEDS = (
    Need(
        name="overlayfs", option="OVERLAY_FS", what_for="image layers", module="overlay", filesystem="overlay"
    ),
    Need(name="bridge", option="BRIDGE", what_for="container networks", module="bridge"),
    Need(name="veth", option="VETH", what_for="container and pod interfaces", module="veth"),
    Need(name="vxlan", option="VXLAN", what_for="Cilium's tunnel between nodes", module="vxlan"),
    Need(name="bpf", option="BPF_SYSCALL", what_for="Cilium's data path", filesystem="bpf"),
    Need(
        name="bpf-classifier",
        option="NET_CLS_BPF",
        what_for="Cilium's programs on interfaces",
        module="cls_bpf",
    ),
    Need(
        name="ingress-queue",
        option="NET_SCH_INGRESS",
        what_for="Cilium's programs on interfaces",
        module="sch_ingress",
    ),
    Need(
        name="netfilter", option="NF_CONNTRACK", what_for="Docker's and Cilium's NAT", module="nf_conntrack"
    ),
    Need(
        name="btf",
        option="DEBUG_INFO_BTF",
        what_for="some of Cilium's tracing",
        path="/sys/kernel/btf/vmlinux",
        required=False,
    ),
    Need(
        name="tproxy",
        option="NETFILTER_XT_TARGET_TPROXY",
        what_for="Cilium's L7 policies",
        module="xt_TPROXY",
        required=False,
    ),
)
"""From Cilium's system requirements ("Required Kernel Options") and Docker's check-config."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A need, and whether the kernel meets it; None where that could not be found out."""

    need: Need
    present: bool | None
    how: str
    """What told."""


def features() -> tuple[Feature, ...]:
    """What this machine's kernel offers. Loads at most the module for VXLAN, by trying it."""
    config = configuration()
    filesystems = _filesystems()
    return tuple(_feature(need, config=config, filesystems=filesystems) for need in NEEDS)


def configuration(release: str | None = None) -> Mapping[str, str]:
    """The kernel's configuration, ``{"VXLAN": "y", ...}``; empty where it is not published."""
    release = release or platform.release()
    with contextlib.suppress(OSError):
        return parse_configuration(gzip.decompress(Path("/proc/config.gz").read_bytes()).decode())
    for file in (Path(f"/boot/config-{release}"), Path(f"/usr/lib/modules/{release}/config")):
        with contextlib.suppress(OSError):
            return parse_configuration(file.read_text())
    return {}


def parse_configuration(text: str) -> dict[str, str]:
    """A kernel's .config; what is "not set" gets the value ``n``."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.removeprefix("CONFIG_").partition("=")
            found[name] = value.strip('"')
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.removeprefix("# CONFIG_").removesuffix(" is not set")] = "n"
    return found


def _feature(need: Need, *, config: Mapping[str, str], filesystems: frozenset[str]) -> Feature:
    if need.name == "vxlan" and os.geteuid() == 0 and (tried := _try_vxlan()) is not None:
        return Feature(need=need, present=tried, how="a VXLAN interface was made")
    if need.path and Path(need.path).exists():
        return Feature(need=need, present=True, how=need.path)
    if need.filesystem in filesystems:
        return Feature(need=need, present=True, how="/proc/filesystems")
    if need.module and Path("/sys/module", need.module).is_dir():
        return Feature(need=need, present=True, how=f"/sys/module/{need.module}")
    built = config.get(need.option, "n" if config else None)
    if built == "y":
        return Feature(need=need, present=True, how=f"CONFIG_{need.option}=y")
    if need.module and built != "n" and _loadable(need.module):
        return Feature(need=need, present=True, how=f"module {need.module}")
    if built == "n":
        return Feature(need=need, present=False, how=f"CONFIG_{need.option} is not set")
    # Built as a module that is not among our files: in a container, it may be among the host's.
    return Feature(need=need, present=None, how="no kernel configuration and no module to look at")


def _filesystems() -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines())
    return frozenset()


def _loadable(module: str) -> bool:
    try:
        process.run(["modprobe", "--dry-run", "--quiet", module], timeout=_PROBE_S)
    except LabError:
        return False
    return True


def _try_vxlan() -> bool | None:
    """Whether a VXLAN interface can be made; None where a network namespace cannot be."""
    try:
        process.run(["unshare", "--net", "true"], timeout=_PROBE_S)
    except LabError:
        return None
    link = ["ip", "link", "add", "lab-probe", "type", "vxlan", "id", "1", "dstport", "8472"]
    try:
        process.run(["unshare", "--net", *link], timeout=_PROBE_S)
    except process.CommandError:
        return False
    except LabError:
        return None
    return True
