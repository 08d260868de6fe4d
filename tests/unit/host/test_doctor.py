"""Judgements over hosts that are made up: every sickness, its words, and no other complaint beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.host import doctor
from lab.host.container_engine import Condition
from lab.host.doctor import Check, Fix, ToolState
from lab.host.facts import Disk, Facts
from lab.host.kernel import Feature
from lab.plan.step import Budget
from tests.unit.host.hosts import GIB, SOUND, with_engine, without_engine

BUDGET = Budget(memory_mib=8000, disk_mib=20000, cpus=4)


def examine(facts: Facts) -> dict[str, Check]:
    return {check.id: check for check in doctor.examine(facts, budget=BUDGET)}


def failed(facts: Facts) -> list[Check]:
    return [check for check in examine(facts).values() if not check.ok]


def only(facts: Facts) -> Check:
    """The one check that fails on ``facts``."""
    (check,) = failed(facts)
    return check


def feature(name: str, *, present: bool | None) -> Facts:
    return replace(
        SOUND,
        kernel_features=tuple(
            Feature(need=each.need, present=present, how="CONFIG") if each.need.name == name else each
            for each in SOUND.kernel_features
        ),
    )


def test_a_sound_host_needs_nothing() -> None:
    checks = doctor.examine(SOUND, budget=BUDGET)
    assert all(check.ok and not check.remedy for check in checks)
    assert len({check.id for check in checks}) == len(checks)


def test_json_has_just_these_keys() -> None:
    (first, *_) = doctor.examine(SOUND, budget=BUDGET)
    assert first.as_json() == {
        "id": "engine",
        "ok": True,
        "found": "28.0.1 on Debian GNU/Linux 12",
        "needed": "Docker Engine 20.10 or later, running",
        "remedy": "",
    }


@pytest.mark.parametrize(
    ("condition", "found", "remedy"),
    [
        (Condition.ABSENT, "not installed", "apt-get install docker.io"),
        (Condition.STOPPED, "installed, not running", "systemctl enable --now docker"),
        (Condition.FORBIDDEN, "running, but not for this user", "usermod -aG docker"),
    ],
)
def test_an_engine_that_does_not_answer(condition: Condition, found: str, remedy: str) -> None:
    facts = without_engine(condition)
    check = only(facts)
    assert (check.id, check.found) == ("engine", found)
    assert remedy in check.remedy
    # What the engine would have told is not judged without it.
    assert not {"memory", "disk", "cgroups", "engine-mode"} & set(examine(facts))


@pytest.mark.parametrize(
    ("version", "ok"),
    [("20.10.24+dfsg1", True), ("20.10.0", True), ("19.03.15", False), ("28.0.0-rc.1", True), ("dev", False)],
)
def test_engine_versions(version: str, *, ok: bool) -> None:
    assert examine(with_engine(version=version))["engine"].ok is ok


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("20.10.24+dfsg1", (20, 10, 24)), ("v1", ()), ("1.2-rc.3", (1, 2)), ("27.x", (27,)), ("", ())],
)
def test_version_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert doctor.version_of(text) == numbers


@pytest.mark.parametrize(
    ("facts", "ok", "word"),
    [
        (with_engine(rootless=True), False, "rootless"),
        (replace(SOUND, daemon_config={"init": True}), False, '"init": true'),
        (replace(SOUND, daemon_config={"init": False}), True, "ordinary"),
        (with_engine(storage_driver="vfs"), True, "vfs"),
        (replace(SOUND, snap=True), True, "snap"),
    ],
)
def test_ways_of_running_the_engine(facts: Facts, word: str, *, ok: bool) -> None:
    check = examine(facts)["engine-mode"]
    assert check.ok is ok
    assert word in check.found
    assert bool(check.remedy) == (word != "ordinary")


@pytest.mark.parametrize(("cpus", "ok", "advice"), [(8, True, False), (2, True, True), (1, False, True)])
def test_few_cpus_are_slow_and_one_is_none(cpus: int, *, ok: bool, advice: bool) -> None:
    check = examine(replace(SOUND, cpus=cpus))["cpus"]
    assert (check.ok, bool(check.remedy)) == (ok, advice)


def test_memory_is_what_is_free() -> None:
    check = only(replace(SOUND, memory_available_bytes=4 * GIB))
    assert (check.id, check.found, check.needed) == (
        "memory",
        "4096 MiB free of 16384 MiB",
        "8000 MiB free",
    )
    assert "suspend" in check.remedy


def test_memory_of_a_vm_is_what_there_is() -> None:
    vm = replace(
        SOUND,
        engine_is_here=False,
        memory_bytes=6 * GIB,
        memory_available_bytes=None,
        engine_disk=None,
        kernel_features=(),
    )
    check = only(vm)
    assert (check.id, check.found) == ("memory", "6144 MiB in all")
    assert "Docker Desktop" in check.remedy
    assert not {"inotify", "capabilities", "disk"} & set(examine(vm))


def test_disks() -> None:
    small = Disk(path=Path("/small"), free_bytes=GIB, total_bytes=2 * GIB, device=2)
    assert only(replace(SOUND, engine_disk=small)).found == "1024 MiB free at /small"
    assert only(replace(SOUND, cache_disk=small)).id == "disk-cache"
    assert "disk-cache" not in examine(SOUND)


@pytest.mark.parametrize(
    ("instances", "watches", "ok"),
    [(128, 524288, False), (512, 8192, False), (8192, 1048576, True), (None, None, True)],
)
def test_inotify(instances: int | None, watches: int | None, *, ok: bool) -> None:
    facts = replace(SOUND, inotify_instances=instances, inotify_watches=watches)
    assert examine(facts)["inotify"].ok is ok


def test_cgroup_v1_is_advice() -> None:
    check = examine(replace(SOUND, cgroup_version="1"))["cgroups"]
    assert check.ok
    assert "failCgroupV1=false" in check.remedy


@pytest.mark.parametrize(
    ("configured", "runtime", "ok"),
    [(True, "lab-runc", True), (True, "runc", False), (False, "runc", False)],
)
def test_a_host_that_cannot_grant_sys_resource(runtime: str, *, configured: bool, ok: bool) -> None:
    facts = with_engine(default_runtime=runtime)
    facts = replace(facts, bounding_set=0x1FFFEFFFFFF, shim_configured=configured)
    check = examine(facts)["capabilities"]
    assert check.ok is ok
    assert check.found.startswith("CAP_SYS_RESOURCE missing")
    assert bool(check.remedy) is not ok


def test_an_unprivileged_container_is_no_host() -> None:
    check = only(replace(SOUND, bounding_set=0x00000000A80425FB))
    assert check.found == "CAP_NET_ADMIN, CAP_SYS_ADMIN missing from the bounding set"
    assert "--privileged" in check.remedy


def test_kernel_features() -> None:
    check = only(feature("vxlan", present=False))
    assert (check.id, check.found) == ("kernel/vxlan", "missing (CONFIG)")
    assert "modprobe vxlan" in check.remedy
    unknown = examine(feature("vxlan", present=None))["kernel/vxlan"]
    assert unknown.ok
    assert not unknown.remedy
    optional = examine(feature("btf", present=False))["kernel/btf"]
    assert optional.ok
    assert optional.remedy.startswith("Nothing to do, unless")


def test_clock() -> None:
    early = replace(SOUND.clock, now=datetime(2020, 1, 1, tzinfo=UTC))
    assert only(replace(SOUND, clock=early)).id == "clock"
    drifting = examine(replace(SOUND, clock=replace(SOUND.clock, synchronised=False)))["clock"]
    assert drifting.ok
    assert "set-ntp" in drifting.remedy


def test_what_the_caller_knows() -> None:
    checks = doctor.examine(
        SOUND,
        budget=BUDGET,
        tools=[
            ToolState(name="kind", version="0.33.0", needed="0.33.0", ok=True, remedy=""),
            ToolState(
                name="helm", version=None, needed="3.19.0", ok=False, remedy="It is built on first use."
            ),
        ],
        address_problems=["a.yaml:3:5 clusters.mgmt: meets the VPN"],
        ports={22: "the registry", 3000: "Grafana"},
    )
    by_id = {check.id: check for check in checks}
    assert [check.id for check in checks if not check.ok] == ["ports", "addresses", "tool/helm"]
    assert by_id["ports"].found == "taken: 22 (the registry)"
    assert by_id["addresses"].found == "a.yaml:3:5 clusters.mgmt: meets the VPN"
    assert by_id["tool/helm"].remedy == "It is built on first use."
    assert by_id["tool/kind"].found == "0.33.0"


def test_fixes_go_to_what_fails() -> None:
    fix = Fix(description="raise limits", command="sysctl", apply=lambda: None)
    fixes = {"inotify": fix, "engine": fix}
    facts = replace(SOUND, inotify_instances=1)
    checks = doctor.examine(facts, budget=BUDGET, fixes=fixes)
    assert {check.id: check.fix for check in checks if check.fix} == {"inotify": fix}
