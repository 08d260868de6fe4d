"""Fixes: never unasked, never half of them, and what was fixed is examined again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lab.errors import HostError, ProvisionError
from lab.host import container_engine, prepare
from lab.host.container_engine import Condition
from lab.host.doctor import Check, Fix
from lab.settings import Settings
from tests.unit.host.hosts import SOUND, without_engine

SETTINGS = Settings(cache=Path("/nowhere/cache"), state=Path("/nowhere/state"))


@dataclass
class Host:
    """A host with sicknesses; curable ones end when they are treated."""

    curable: list[str] = field(default_factory=list)
    incurable: list[str] = field(default_factory=list)
    treated: list[str] = field(default_factory=list)
    stubborn: bool = False

    def examine(self) -> list[Check]:
        def fix(name: str) -> Fix:
            def apply() -> None:
                self.treated.append(name)
                if not self.stubborn:
                    self.curable.remove(name)

            return Fix(description=f"cure {name}", command=f"sudo cure {name}", apply=apply)

        checks = [Check(id="pulse", ok=True, found="72", needed="some")]
        checks += [
            Check(id=name, ok=False, found="ill", needed="well", remedy=f"See to {name}.", fix=fix(name))
            for name in self.curable
        ]
        checks += [
            Check(id=name, ok=False, found="ill", needed="well", remedy=f"See to {name}.")
            for name in self.incurable
        ]
        return checks


def ready(
    host: Host, *, root: bool = True, assume_yes: bool = False, ask: Callable[[str], bool] | None = None
) -> tuple[Check, ...]:
    return prepare.make_ready(host.examine, root=root, assume_yes=assume_yes, ask=ask)


def test_a_sound_host_is_ready() -> None:
    assert [check.id for check in ready(Host())] == ["pulse"]


def test_yes_fixes_everything() -> None:
    host = Host(curable=["cold", "flu"])
    assert [check.ok for check in ready(host, assume_yes=True)] == [True]
    assert host.treated == ["cold", "flu"]


def test_asks_once_and_says_what_for() -> None:
    questions: list[str] = []
    host = Host(curable=["cold", "flu"])

    def agree(question: str) -> bool:
        questions.append(question)
        return True

    ready(host, ask=agree)
    assert questions == ["This host needs some preparation: cure cold; cure flu. Do it now?"]
    assert host.treated == ["cold", "flu"]


@pytest.mark.parametrize("ask", [None, lambda _question: False])
def test_without_agreement_it_says_what_to_run(ask: Callable[[str], bool] | None) -> None:
    host = Host(curable=["cold", "flu"])
    with pytest.raises(HostError) as refused:
        ready(host, ask=ask)
    assert str(refused.value) == (
        "this host is not ready for the lab\n"
        "cold: found ill; needed: well\n"
        "flu: found ill; needed: well\n"
        "cold: sudo cure cold\n"
        "flu: sudo cure flu\n"
        "Or as root, with --yes, let this be done for you."
    )
    assert refused.value.exit_code == 3
    assert host.treated == []


def test_only_root_fixes() -> None:
    host = Host(curable=["cold"])
    with pytest.raises(HostError, match="not ready"):
        ready(host, root=False, assume_yes=True)
    assert host.treated == []


def test_nothing_is_changed_for_a_host_that_stays_ill() -> None:
    host = Host(curable=["cold"], incurable=["age"])
    with pytest.raises(HostError) as refused:
        ready(host, assume_yes=True)
    assert "age: See to age." in refused.value.remedy
    assert "--yes" not in refused.value.remedy
    assert host.treated == []


def test_a_cure_that_does_not_help_is_reported() -> None:
    host = Host(curable=["cold"], stubborn=True)
    with pytest.raises(HostError, match="not ready"):
        ready(host, assume_yes=True)
    assert host.treated == ["cold"]


def test_a_cure_that_fails_is_a_host_error() -> None:
    def fail() -> None:
        raise ProvisionError("sysctl failed with exit code 255", details="read-only file system")

    fix = Fix(description="raise limits", command="sysctl -w a=1", apply=fail)
    check = Check(id="limits", ok=False, found="1", needed="2", fix=fix)
    with pytest.raises(HostError, match="could not raise limits") as failed:
        prepare.make_ready(lambda: [check], root=True, assume_yes=True)
    assert failed.value.remedy == "By hand: sysctl -w a=1"
    assert "read-only file system" in failed.value.details


def test_one_deed_is_done_once() -> None:
    done: list[str] = []

    def deed() -> None:
        done.append("deed")

    def examine() -> list[Check]:
        fix = Fix(description="set up", command="x", apply=deed)
        return [Check(id=name, ok=bool(done), found="", needed="", fix=fix) for name in ("engine", "shim")]

    prepare.make_ready(examine, root=True, assume_yes=True)
    assert done == ["deed"]


@pytest.mark.parametrize(
    ("condition", "description"),
    [(Condition.ABSENT, "install Docker Engine and start it"), (Condition.STOPPED, "start Docker Engine")],
)
def test_the_engine_can_be_set_up(
    monkeypatch: pytest.MonkeyPatch, condition: Condition, description: str
) -> None:
    monkeypatch.setattr("lab.clients.process.find", lambda tool, *, path=None: Path("/bin", tool))
    fixes = prepare.fixes(SETTINGS, without_engine(condition))
    assert fixes["engine"].description == description
    assert fixes["engine"].apply is fixes["capabilities"].apply


def test_an_engine_elsewhere_is_not_touched() -> None:
    assert prepare.fixes(SETTINGS, replace(SOUND, engine_is_here=False)) == {}


def test_another_distribution_keeps_its_package_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.clients.process.find", lambda tool, *, path=None: None)
    assert set(prepare.fixes(SETTINGS, without_engine(Condition.ABSENT))) == {"inotify"}


@pytest.mark.parametrize("isolated", [True, False])
def test_an_isolated_machine_is_closed_before_the_engine_starts(
    monkeypatch: pytest.MonkeyPatch, *, isolated: bool
) -> None:
    blocked: list[str] = []

    def set_up(
        _settings: Settings, *, before_start: Callable[[], None] | None, on_line: Callable[[str], None] | None
    ) -> None:
        assert on_line is None
        if before_start is not None:
            before_start()

    monkeypatch.setattr(container_engine, "set_up", set_up)
    monkeypatch.setattr("lab.host.sandbox.block_forwarding", blocked.append)
    monkeypatch.setattr("lab.host.network.default_interfaces", lambda: ("eth0", "wlan0"))
    settings = replace(SETTINGS, isolated=isolated)
    prepare.fixes(settings, without_engine(Condition.STOPPED))["engine"].apply()
    assert blocked == (["eth0", "wlan0"] if isolated else [])
