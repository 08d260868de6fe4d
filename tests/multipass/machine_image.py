"""The stand-in's machines: Debian with systemd and cloud-init, made as node images' systems are."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from lab.clients import docker_images, process
from lab.host import tools
from lab.images.source.system import root_file_system
from lab.settings import Settings

PACKAGES = (
    "systemd systemd-sysv dbus cloud-init locales sudo hostname iproute2 iputils-ping iptables nftables kmod "
    "procps jq conntrack e2fsprogs ca-certificates python3 netbase python3-cffi-backend"
).split()
"""What Ubuntu's cloud image has of what is called in a machine; locales and dbus are for cloud-init. The last
is named since debootstrap does not find who provides what python3-cryptography asks for."""

UNITS = "/lib/systemd/system"
SERVICES = ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")

FILES = {
    # What kind's entrypoint does, too: systemd makes mounts shared only where it is in no container, and
    # leaves the host's devices alone only where /sys is read-only. A machine has a router and a resolver, and
    # by routes Cilium finds its devices; these two are in a network for documentation (RFC 5737), where
    # nobody answers: nothing gets off this machine. The engine's own resolver would ask the host's.
    "usr/local/sbin/machine-init": (
        "#!/bin/sh\nset -eu\nmount -o remount,ro /sys\nmount --make-rshared /\n"
        "ip route replace default via 192.0.2.1 dev eth0 onlink\n"
        "echo nameserver 192.0.2.1 >/etc/resolv.conf\nexec /sbin/init\n"
    ),
    # The default user is called as Ubuntu's, with its locale, and the network is the engine's to set up.
    "etc/cloud/cloud.cfg.d/99-standin.cfg": json.dumps(
        {
            "datasource_list": ["NoCloud", "None"],
            "network": {"config": "disabled"},
            "locale": "C.UTF-8",
            "system_info": {"default_user": {"name": "ubuntu", "gecos": "Ubuntu"}},
        }
    ),
    # What a virtual machine may and a container may not, where the host itself is restricted: some sysctls, a
    # score below its parent's. And its cgroups are the host's, of whichever version.
    "etc/default/kubelet": (
        "KUBELET_EXTRA_ARGS=--feature-gates=KubeletInUserNamespace=true --fail-cgroupv1=false\n"
    ),
    "etc/systemd/system/containerd.service.d/container.conf": "[Service]\nOOMScoreAdjust=\n",
}

LINKS = {
    # Whoever waits for the network would wait two minutes for what is not networkd's to set up.
    **{
        f"etc/systemd/system/{name}.service": "/dev/null"
        for name in ("systemd-networkd", "systemd-networkd-wait-online")
    },
    "etc/systemd/system/multi-user.target.wants/cloud-init.target": f"{UNITS}/cloud-init.target",
    **{
        f"etc/systemd/system/cloud-init.target.wants/{name}.service": f"{UNITS}/{name}.service"
        for name in SERVICES
    },
}
"""cloud-init's are here because the generator that would enable them looks at the kernel's command line and
the firmware, which are the host's."""


def build(settings: Settings) -> str:
    """Have the image in the engine's store; return its name. Takes a minute, once."""
    text = json.dumps([PACKAGES, FILES, LINKS], sort_keys=True)
    tag = f"lab.local/test-machine:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if docker_images.image(tag) is not None:
        return tag
    architecture = tools.this_machine().architecture
    root = root_file_system(PACKAGES, settings.cache, architecture=architecture, timeout=1800)
    with tempfile.TemporaryDirectory(dir=settings.cache) as folder:
        whole = Path(folder) / "machine.tar"
        shutil.copyfile(root, whole)
        with tarfile.open(whole, "a") as archive:
            for name, content in FILES.items():
                member = tarfile.TarInfo(f"./{name}")
                member.size, member.mode = len(content.encode()), 0o755 if "sbin" in name else 0o644
                archive.addfile(member, io.BytesIO(content.encode()))
            for name, target in LINKS.items():
                member = tarfile.TarInfo(f"./{name}")
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)
        process.run(["docker", "import", "--change=ENV container=docker", whole, tag], timeout=600)
    return tag
