"""Node images with everything preloaded: made once per content, then shared by all nodes.

Moving images into running nodes is the slowest step of all. What lies in the node image is unpacked
already and shared by every node made of it. From the first ``kind create`` until a pod of Cilium's image
(631 MiB) ran on three nodes, and on disk, medians of three by turns (bench/images.py, bench/results.md):

==========================================  ======  =======
``ctr images import`` into running nodes    63.5 s  4.2 GB
preloaded in the node image, packed         38.3 s  6.6 GB
a registry beside the nodes, as mirror      36.3 s  2.3 GB
preloaded, unpacked and shared (this)       28.5 s  0.4 GB
==========================================  ======  =======
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from lab.clients import docker, docker_images
from lab.errors import ProvisionError
from lab.host import container_engine
from lab.images.base import Say
from lab.settings import MADE_LABEL

log = logging.getLogger(__name__)

REPOSITORY = "lab.local/node"
KEPT = 3
"""How many node images stay in the engine's store: those of as many labs with different addons."""

FORMAT = 3
"""Part of the tag: raise it when preload.sh or the steps below change what comes out."""


@dataclass(frozen=True, kw_only=True)
class NodeImage:
    """What a node image is made of."""

    base: str
    """Reference of the base node image."""

    archives: Sequence[Path]
    """The base's own archive first, then those of every image to preload. Names are keyed by content."""

    shim: bool
    """Whether the host cannot grant CAP_SYS_RESOURCE, so that nodes need the runtime shim, too."""

    @property
    def tag(self) -> str:
        """Its name in the engine's store: same content, same name."""
        names = sorted(path.name for path in self.archives)
        text = json.dumps([FORMAT, self.base, names, self.shim])
        return f"{REPOSITORY}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def is_there(self) -> bool:
        """Whether the engine has it already."""
        return docker_images.image(self.tag) is not None

    def make(self, *, timeout: float, say: Say, cancelled: Event | None = None) -> str:
        """Make it, unless it is there; return its tag. ``timeout`` is in seconds, for each part.

        Raises :class:`ProvisionError` with what the node's containerd said.
        """
        if self.is_there():
            return self.tag
        base, *others = self.archives
        say("loading the base node image")
        loaded = docker_images.load(base, timeout=timeout, cancelled=cancelled)
        if not loaded:
            raise ProvisionError(f"{base.name} holds no image")
        # In the engine's store only while this is made: several versions share one reference.
        name = f"lab-preload-{secrets.token_hex(4)}"
        folder_of_all = Path(os.path.commonpath([path.parent for path in self.archives]))
        with TemporaryDirectory() as folder:
            docker.run_container(
                self.base,
                name=name,
                entrypoint="sleep",
                command=["infinity"],
                network="none",
                privileged=True,
                volumes=["/scratch", f"{folder_of_all}:/cache:ro"],
                labels={MADE_LABEL: "preload"},
            )
            try:
                say(f"unpacking {len(others)} images")
                script = resources.files("lab.images").joinpath("preload.sh").read_text(encoding="utf-8")
                docker.execute(
                    name,
                    ["sh", "-eu", "-s", *(f"/cache/{path.relative_to(folder_of_all)}" for path in others)],
                    input=script,
                    timeout=timeout,
                )
                if self.shim:
                    shim = Path(folder) / "runc"
                    shim.write_text(container_engine.shim_script())
                    shim.chmod(0o755)
                    docker.execute(name, ["sh", "-euc", _REAL_RUNC])
                    docker.copy_to(name, shim, "/usr/local/sbin/runc")
                say("saving the node image")
                docker_images.commit(
                    name,
                    tag=self.tag,
                    entrypoint=("/usr/local/bin/entrypoint", "/sbin/init"),
                    command=(),
                    labels={MADE_LABEL: "node-image"},
                )
            finally:
                docker.remove_container(name)
        _forget_old_ones()
        return self.tag


def _forget_old_ones() -> None:
    """Remove all but the newest node images: each takes gigabytes, and is made again in half a minute."""
    ours = [image for image in docker_images.images(f"{REPOSITORY}:*") if MADE_LABEL in image.labels]
    for old in ours[KEPT:]:
        for tag in old.tags:
            try:
                docker_images.remove_image(tag)
            except ProvisionError as error:
                # A node is made of it, running or not.
                log.info("%s stays: %s", tag, error.details)


_REAL_RUNC = """
if [ -x /usr/local/sbin/runc ] && [ ! -e /usr/local/sbin/runc.real ]; then
    mv /usr/local/sbin/runc /usr/local/sbin/runc.real
fi
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
"""
"""Makes room for the shim, and has containerd ask for no OOM score below its own, which needs the
missing capability."""
