"""The stand-in for Multipass, for tests and for removing what interrupted tests have left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from lab.clients import docker
from lab.settings import PROJECT
from tests.multipass import standin

FOLDER: Final = PROJECT / "tests" / "multipass"


@contextmanager
def with_stand_in() -> Iterator[None]:
    """Have it on PATH as ``multipass``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{FOLDER}{os.pathsep}{os.environ['PATH']}")
        yield


def remove_machines() -> None:
    """Remove what interrupted tests have left of its machines, and their network."""
    for machine in docker.containers(labels={standin.LABEL: None}):
        if re.match("t-vms-[0-9a-f]{4}-|lab-confirm", machine.labels[standin.LABEL]):
            docker.remove_container(machine.name)
    remove_network()


def remove_network() -> None:
    """Remove the network that machines are on, unless some still are."""
    if not docker.containers(labels={standin.LABEL: None}):
        docker.remove_network(standin.NETWORK)
