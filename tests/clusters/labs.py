"""Real labs, made and changed by the real ``./invoke``, as a person or a script runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from lab import state
from lab.clients import docker
from lab.clients.docker_objects import Container
from lab.settings import LABEL, PROJECT, Settings, from_environment
from lab.workspace import Workspace, open_workspace

ISOLATED = sys.platform == "linux" and os.geteuid() == 0
"""Tests need nothing from outside, so where it can be seen to, nothing gets there."""

UP_S = 1500.0
"""For one ``up``, with every image there already."""

FIRST_UP_S = 4200.0
"""For the first ``up`` on a machine that has nothing: 26 minutes were seen where it had two cores to itself
(bench/cold.py), twice that where it had not."""

STRANGER = """\
apiVersion: v1
kind: Config
current-context: work
clusters: [{name: work, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: work, user: {token: none-of-ours}}]
contexts: [{name: work, context: {cluster: work, user: work}}]
"""
"""A person's own kubeconfig."""

_ENDING_S = 180.0
"""What an interrupted command has for ending."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.out}\n{self.err}"


def settings() -> Settings:
    """What the commands read from their environment."""
    found = from_environment()
    return replace(found, isolated=found.isolated or ISOLATED)


def unique(prefix: str) -> str:
    """A name that no other lab has; :func:`made_by_tests` knows it if it begins with ``t-``."""
    return f"{prefix}-{uuid4().hex[:4]}"


def made_by_tests() -> list[str]:
    """The names of the labs that tests have made and that are still there, whole or not."""
    names = {*state.labs(settings()), *(each.labels[LABEL] for each in docker.networks(LABEL))}
    return sorted(name for name in names if re.fullmatch("t-[a-z]+-[0-9a-f]{4}", name))


def workspace(topology: str, name: str) -> Workspace:
    """The lab as the code sees it."""
    return open_workspace(settings(), topology, name=name)


@contextmanager
def started(
    *words: str, kubeconfig: Path | None = None, isolated: bool = ISOLATED
) -> Iterator[subprocess.Popen[str]]:
    """``./invoke WORDS`` while it runs; it is interrupted if it still does at the end."""
    env = {**os.environ, "KUBECONFIG": str(kubeconfig or os.devnull), "LAB_ISOLATED": str(int(isolated))}
    process = subprocess.Popen(
        [PROJECT / "invoke", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        # Ctrl-C in a terminal is for the tests; they pass it on, once.
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=_ENDING_S)
                process.kill()


def invoke(
    *words: str,
    expect: int = 0,
    timeout: float = UP_S,
    kubeconfig: Path | None = None,
    name: str = "",
    isolated: bool = ISOLATED,
) -> Ran:
    """What ``./invoke WORDS`` printed; it must end with the code ``expect``. ``name`` is the lab's."""
    if name:
        words = (*words, "--name", name)
    began = time.monotonic()
    with started(*words, kubeconfig=kubeconfig, isolated=isolated) as process:
        out, err = process.communicate(timeout=timeout)
    ran = Ran(process.returncode, out, err, time.monotonic() - began)
    assert ran.code == expect, f"./invoke {' '.join(words)}: {ran}"
    return ran


def nodes(lab: Workspace) -> dict[str, Container]:
    """The lab's node containers, running or not, by name."""
    contexts = {lab.topology.context(cluster.name) for cluster in lab.topology.clusters}
    return {
        each.name: each
        for each in docker.containers(labels={"io.x-k8s.kind.cluster": None})
        if each.labels["io.x-k8s.kind.cluster"] in contexts
    }


def pairs(lab: Workspace) -> list[tuple[str, str]]:
    """Every ordered pair of clusters."""
    names = [cluster.name for cluster in lab.topology.clusters]
    return [(one, other) for one in names for other in names if one != other]


def require_sound(checked: Mapping[str, Any], lab: Workspace) -> dict[str, str]:
    """Assert that ``verify --json`` proved every pair, and with what; return the evidence by id."""
    evidence = {check["id"]: check["evidence"] for check in checked["checks"]}
    kinds = ("pod", "service", "policy", "tunnel")
    wanted = {f"mesh/{kind}/{one}/{other}" for kind in kinds for one, other in pairs(lab)}
    assert wanted <= evidence.keys()
    assert [check for check in checked["checks"] if not check["ok"]] == []
    assert all(check["seconds"] >= 0 for check in checked["checks"])
    return evidence
