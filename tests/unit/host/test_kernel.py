"""What is concluded from a kernel's configuration, modules and file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.host import kernel
from lab.host.kernel import Need

CONFIG = """\
# Linux/x86 6.18.0 Kernel Configuration
CONFIG_VXLAN=m
CONFIG_BPF_SYSCALL=y
CONFIG_LOCALVERSION="-lab"
# CONFIG_GENEVE is not set
"""


def test_configuration_is_read() -> None:
    assert kernel.parse_configuration(CONFIG) == {
        "VXLAN": "m",
        "BPF_SYSCALL": "y",
        "LOCALVERSION": "-lab",
        "GENEVE": "n",
    }


def test_this_machines_configuration_can_be_absent() -> None:
    assert isinstance(kernel.configuration("0.0-none"), dict)


@pytest.mark.parametrize(
    ("config", "filesystems", "loadable", "present", "how"),
    [
        ({"X": "y"}, set(), False, True, "CONFIG_X=y"),
        ({"X": "n"}, set(), False, False, "CONFIG_X is not set"),
        ({"OTHER": "y"}, set(), False, False, "CONFIG_X is not set"),
        ({"X": "m"}, set(), True, True, "module no_such_module"),
        # Built as a module, and its file is elsewhere: a container's view of its host's kernel.
        ({"X": "m"}, set(), False, None, "no kernel configuration and no module to look at"),
        ({}, set(), True, True, "module no_such_module"),
        ({}, set(), False, None, "no kernel configuration and no module to look at"),
        ({"X": "n"}, {"xfs"}, False, True, "/proc/filesystems"),
    ],
)
def test_the_first_that_knows_decides(
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, str],
    filesystems: set[str],
    present: bool | None,
    how: str,
    *,
    loadable: bool,
) -> None:
    monkeypatch.setattr(kernel, "_loadable", lambda module: loadable)
    need = Need(name="x", option="X", what_for="testing", module="no_such_module", filesystem="xfs")
    feature = kernel._feature(need, config=config, filesystems=frozenset(filesystems))
    assert (feature.present, feature.how) == (present, how)


def test_a_path_tells(tmp_path: Path) -> None:
    need = Need(name="x", option="X", what_for="testing", path=str(tmp_path))
    assert kernel._feature(need, config={"X": "n"}, filesystems=frozenset()).present


@pytest.mark.parametrize("outcome", [True, False])
def test_trying_goes_before_reading(monkeypatch: pytest.MonkeyPatch, *, outcome: bool) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(kernel, "_try_vxlan", lambda: outcome)
    vxlan = next(need for need in kernel.NEEDS if need.name == "vxlan")
    assert kernel._feature(vxlan, config={}, filesystems=frozenset()).present is outcome


def test_needs_are_distinct() -> None:
    assert len({need.name for need in kernel.NEEDS}) == len(kernel.NEEDS)
