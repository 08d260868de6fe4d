from __future__ import annotations

from dataclasses import fields

import pytest

from lab import settings
from lab.errors import InputError


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("LAB_CACHE", "LAB_STATE", "LAB_ISOLATED", "LAB_MIRRORS"):
        monkeypatch.delenv(name, raising=False)


def test_the_checkout_is_found():
    assert (settings.PROJECT / "lab" / "settings.py").is_file()


def test_folders_follow_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    found = settings.from_environment()

    assert tmp_path in found.cache.parents
    assert tmp_path in found.state.parents
    assert found.cache != found.state
    assert list(tmp_path.iterdir()) == []


def test_folders_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", "~/cache")
    monkeypatch.setenv("LAB_STATE", "state")

    found = settings.from_environment()

    assert found.cache == tmp_path / "cache"
    assert found.state == tmp_path / "state"
    assert found.lab("hub") == tmp_path / "state" / "labs" / "hub"


def test_an_empty_variable_is_none_at_all(monkeypatch):
    expected = settings.from_environment()
    for name in ("LAB_CACHE", "LAB_STATE", "LAB_ISOLATED", "LAB_MIRRORS"):
        monkeypatch.setenv(name, "")

    assert settings.from_environment() == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("Yes", True), (" true ", True), ("0", False), ("no", False)]
)
def test_a_flag(monkeypatch, value, expected):
    monkeypatch.setenv("LAB_ISOLATED", value)

    assert settings.from_environment().isolated is expected


def test_mirrors(monkeypatch):
    monkeypatch.setenv("LAB_MIRRORS", " docker.io=proxy.example:5000/hub, quay.io=proxy.example:5001,")

    assert settings.from_environment().mirrors == {
        "docker.io": "proxy.example:5000/hub",
        "quay.io": "proxy.example:5001",
    }


@pytest.mark.parametrize("text", ["docker.io", "=proxy", "docker.io=", "a=b,nothing"])
def test_mirrors_that_cannot_be_read(monkeypatch, text):
    monkeypatch.setenv("LAB_MIRRORS", text)

    with pytest.raises(InputError, match=r"LAB_MIRRORS: .* is not REGISTRY=MIRROR") as caught:
        settings.from_environment()

    assert "docker.io=proxy.example:5000" in caught.value.remedy


def test_every_wait_ends():
    timeouts = settings.Timeouts()

    assert all(0 < getattr(timeouts, each.name) < 24 * 3600 for each in fields(timeouts))
