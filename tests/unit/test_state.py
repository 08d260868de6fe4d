"""A lab's folder: what is kept comes back, nobody else reads it, and one command at a time changes a lab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab import state
from lab.errors import HostError
from lab.settings import Settings
from lab.topology.model import Addresses, Kept
from tests.unit.labs import settings, topology

HOLDER = """
import sys, time
from lab import state
from tests.unit.labs import settings
from pathlib import Path
with state.locked(settings(Path(sys.argv[1])), "hub"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return settings(tmp_path)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_addresses_come_back_as_they_were(own: Settings) -> None:
    folder = state.folder(own, "hub")
    assert folder.kept() is None
    kept = topology("hub-spoke-ha").kept
    folder.keep(kept)
    assert folder.kept() == kept
    assert isinstance(kept.clusters["app1"].pod_cidr, IPv4Network)
    moved = Kept(
        {"a": Addresses(7, IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/24"), 30000)},
        IPv4Network("10.3.0.0/24"),
    )
    folder.keep(moved)
    assert folder.kept() == moved


def test_only_the_user_may_look(own: Settings) -> None:
    folder = state.folder(own, "hub")
    folder.keep(topology().kept)
    folder.write("made-east", "1")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    # No partial file is left beside them.
    assert modes(folder.path) == {"addresses.json": 0o600, "made-east": 0o600}


def test_small_files(own: Settings) -> None:
    folder = state.folder(own, "hub")
    assert folder.read("verified") == ""
    folder.write("verified", "one, and longer")
    folder.write("verified", "two")
    assert folder.read("verified") == "two"


def test_labs_are_those_with_a_folder(own: Settings) -> None:
    assert state.labs(own) == []
    for name in ("west", "east"):
        state.folder(own, name).write("x", "")
    (own.state / "labs" / "stray-file").touch()
    assert state.labs(own) == ["east", "west"]
    state.folder(own, "west").remove()
    assert state.labs(own) == ["east"]
    state.folder(own, "never-was").remove()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``hub``."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_command_is_refused_at_once_and_the_third_not_after_a_kill(
    own: Settings, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(HostError) as refused, state.locked(own, "hub"):
        pass
    assert refused.value.brief == "another command is changing the lab hub"
    assert "./invoke status" in refused.value.remedy
    with state.locked(own, "another"):
        pass

    holder.kill()
    holder.wait(10)
    with state.locked(own, "hub"):
        pass


def test_an_error_inside_lets_go(own: Settings) -> None:
    with pytest.raises(ValueError, match="inside"), state.locked(own, "hub"):
        raise ValueError("inside")
    with state.locked(own, "hub"):
        assert (own.state / "locks").stat().st_mode & 0o777 == 0o700
        assert modes(own.state / "locks") == {"hub.lock": 0o600}


def test_the_last_command_leaves_no_lock_file(own: Settings) -> None:
    with state.locked(own, "hub", last=True):
        # Held until then.
        assert modes(own.state / "locks") == {"hub.lock": 0o600}
    assert modes(own.state / "locks") == {}
    with state.locked(own, "hub"):
        state.folder(own, "hub").write("made-east", "")
    assert modes(own.state / "locks") == {"hub.lock": 0o600}


def test_a_command_that_did_nothing_leaves_no_lock_file(own: Settings) -> None:
    with state.locked(own, "hub"):
        pass
    assert modes(own.state / "locks") == {}
