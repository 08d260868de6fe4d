"""Can images be made on this machine? Said before hours of compiling, not after."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host import builder, container_engine, prepare


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs that this machine has."""
    found = {"apt-get", *builder.PACKAGES}
    monkeypatch.setattr(
        "lab.clients.process.find", lambda tool, *, path=None: Path("/bin", tool) if tool in found else None
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return found


def test_a_machine_that_has_all_of_it(there: set[str]) -> None:
    checks = builder.examine()
    assert [each.id for each in checks] == ["root", "tool/debootstrap", "tool/xz", "tool/cc"]
    assert all(each.ok and not each.remedy for each in checks)


def test_what_is_missing_is_installed_in_one_go(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there -= {"debootstrap", "cc"}
    installed: list[list[str]] = []

    def install(wanted: list[str], *, on_line: object) -> None:
        installed.append(wanted)
        there.update(builder.PACKAGES)

    monkeypatch.setattr(container_engine, "install", install)
    checks = prepare.make_ready(builder.examine, root=True, assume_yes=True)
    assert installed == [["debootstrap", "gcc", "libc6-dev"]]
    assert all(each.ok for each in checks)


def test_unasked_nothing_is_installed(there: set[str]) -> None:
    there.remove("debootstrap")
    with pytest.raises(HostError) as refused:
        prepare.make_ready(builder.examine, root=True, assume_yes=False)
    assert (
        refused.value.details == "tool/debootstrap: found not installed; needed: to make images from source"
    )
    assert refused.value.remedy == (
        "tool/debootstrap: apt-get update && apt-get install --no-install-recommends debootstrap\n"
        "Or as root, with --yes, let this be done for you."
    )


def test_elsewhere_than_on_debian_images_must_be_pulled(there: set[str]) -> None:
    there -= {"debootstrap", "apt-get"}
    with pytest.raises(HostError) as refused:
        prepare.make_ready(builder.examine, root=True, assume_yes=True)
    assert refused.value.remedy.endswith("Where there is no apt-get, pull images: --images registry.")


def test_only_root_makes_images(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError) as refused:
        prepare.make_ready(builder.examine, root=False, assume_yes=True)
    assert refused.value.remedy == (
        "root: Make images as root, or pull them: --images registry (see LAB_MIRRORS)."
    )
