"""Real labs for whole sessions: a pair, for every test that needs no more, and the default topology."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from lab import ready
from lab.clients import docker
from lab.host import container_engine
from lab.settings import LABEL
from lab.workspace import Workspace
from tests.clusters.labs import (
    FIRST_UP_S,
    STRANGER,
    Ran,
    invoke,
    made_by_tests,
    settings,
    unique,
    workspace,
)
from tests.clusters.others import remove_leftovers
from tests.clusters.standin import remove_machines, with_stand_in


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what each module took, what it set up included: where a whole run's time goes."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("minutes by module")
    for module, took in sorted(seconds.items(), key=lambda each: -each[1]):
        terminalreporter.write_line(f"{took / 60:5.1f}  {module}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what breaks and mends whole platforms last: until then the pair stays, after that it is gone."""
    items.sort(key=lambda item: not _LARGE.isdisjoint(getattr(item, "fixturenames", ())))


_LARGE = frozenset({"hub_spoke", "small"})


@pytest.fixture(scope="session", autouse=True)
def engine() -> Iterator[None]:
    """A container engine that answers, started as ``up`` would start it; in CI it must be there.

    Labs that interrupted tests have left are removed: the engine starts them together with itself, and
    two cores have not enough for them and others. Not so while other tests run, whose they may be.
    """
    if container_engine.look().engine is None:
        if os.geteuid() != 0 and not os.environ.get("CI"):
            pytest.skip("no container engine answers, and only root can start one")
        ready.make_ready(workspace("pair", "pair"), assume_yes=True)
    here = FileLock(settings().state / "tests.lock")
    with suppress(Timeout):
        here.acquire(timeout=0)
        with with_stand_in():
            for name in made_by_tests():
                invoke("down", "--yes", name=name)
        remove_leftovers()
        remove_machines()
    yield
    here.release()


@pytest.fixture(scope="session")
def pair_name(engine: None) -> Iterator[str]:
    """The name of the pair, which is gone in the end whatever happens."""
    name = unique("t-pair")
    yield name
    invoke("down", "-t", "pair", "--yes", name=name)


@pytest.fixture(scope="session")
def users_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What KUBECONFIG names while the pair is made and used."""
    path = tmp_path_factory.mktemp("user") / "config"
    path.write_text(STRANGER)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def first_up(pair_name: str, users_kubeconfig: Path) -> Ran:
    """The ``up`` that made the pair out of nothing."""
    return invoke(
        "up", "-t", "pair", "--yes", name=pair_name, kubeconfig=users_kubeconfig, timeout=FIRST_UP_S
    )


@pytest.fixture(scope="session")
def hub_spoke(pair_name: str) -> Iterator[Workspace]:
    """The default topology with its whole platform, gone in the end whatever happens.

    The pair makes room: how fast a platform comes back is told of one that has the machine to itself.
    """
    invoke("down", "--yes", name=pair_name)
    name = unique("t-hub")
    try:
        ran = invoke("up", "--yes", name=name)
        assert ran.out.startswith(f"{name} is up: 3 clusters in one mesh")
        yield workspace("hub-spoke", name)
    finally:
        invoke("down", "--yes", name=name)
    assert docker.networks(f"{LABEL}={name}") == []


@pytest.fixture(scope="module")
def pair(pair_name: str, first_up: Ran) -> Workspace:
    """The pair, standing: an earlier module may have taken it apart, or needed its room."""
    invoke("up", "-t", "pair", "--yes", name=pair_name)
    return workspace("pair", pair_name)
