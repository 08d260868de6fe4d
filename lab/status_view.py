"""How ``status`` looks to a person: once, or over and over in the same place."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys

from lab import console
from lab.status import ABSENT, Status


def show(status: Status, *, clear: bool) -> None:
    """Print ``status`` for a person, on stdout.

    With ``clear`` it replaces what was shown before; where the terminal cannot, it follows with the time.
    """
    if not clear:
        _print(status)
    elif console.is_rich(sys.stdout):
        with contextlib.redirect_stdout(_Frame()) as frame:
            _print(status)
            console.out(f"{status.at.astimezone():%H:%M:%S}; Ctrl-C ends.")
        sys.stdout.write(_over(frame.getvalue(), height=shutil.get_terminal_size().lines))
        sys.stdout.flush()
    else:
        console.out(f"-- {status.at:%Y-%m-%dT%H:%M:%SZ}")
        _print(status)


class _Frame(io.StringIO):
    """What is drawn as on a terminal, and then put there in one piece: nothing flickers."""

    def isatty(self) -> bool:
        return True


def _over(text: str, *, height: int) -> str:
    """``text`` over what stands on a screen of ``height`` lines, from its first line on."""
    lines = text.splitlines()[: height - 1]
    # Home; every line with its rest erased; then all below.
    return "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"


def _print(status: Status) -> None:
    if all(cluster.state == ABSENT for cluster in status.clusters):
        console.out(f"There is no lab {status.lab}. Make it: ./invoke up{status.arguments}")
        return
    console.table(
        ("cluster", "role", "API server", "nodes ready", "memory", "mesh peers"),
        [
            (
                cluster.name,
                cluster.role,
                cluster.state,
                f"{cluster.nodes_ready} of {cluster.nodes}",
                f"{cluster.memory_mib / 1024:.1f} GiB" if cluster.memory_mib else None,
                _peers(status, cluster.name),
            )
            for cluster in status.clusters
        ],
    )
    if status.addons:
        console.table(
            ("cluster", "addon", "version", ""),
            [(each.cluster, each.name, each.version, each.detail or "ready") for each in status.addons],
        )
    # Of a cluster that does not answer, its row has said it all.
    answering = {cluster.name for cluster in status.clusters if cluster.reachable}
    for link in status.mesh:
        if not link.ok and link.source in answering:
            console.out(f"{link.source} -> {link.target}: {link.missing}")
    if status.proved is not None:
        ago = console.duration((status.at - status.proved).total_seconds())
        console.out(f"The data path was proved {ago} ago, and all nodes have run on since.")
    else:
        console.out(
            "Whether traffic really passes was not proved since these nodes were started: "
            f"./invoke verify{status.arguments}"
        )


def _peers(status: Status, cluster: str) -> str | None:
    links = [link for link in status.mesh if link.source == cluster]
    return f"{sum(link.ok for link in links)} of {len(links)} connected" if links else None
