"""The user's own kubeconfig is worth more than the lab: nothing in it may be lost or switched."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import kubeconfig, state
from lab.errors import HostError, InputError
from lab.host import facts
from lab.settings import Settings
from lab.topology.snapshot import HostSnapshot

USERS = """\
# a comment goes, as with kubectl; all else stays
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: work
clusters:
- name: work
  cluster: {server: "https://work.example:6443", insecure-skip-tls-verify: true, unknown: &x [1, 02]}
contexts:
- name: work
  context: {cluster: work, user: work, namespace: team}
users:
- name: work
  user:
    auth-provider: {name: oidc, config: {expiry: 2026-01-01T00:00:00Z, at: 12:30:45, digits: "123"}}
    exec: {args: [login], env: null, alias: *x}
extensions: {theirs: yes}
"""


def entry(context: str, server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": "Y2E="}}],
        "users": [{"name": context, "user": {"client-key-data": "a2V5"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Settings:
    """The lab ``pair``, as far as it is files, on a host where nothing is in its way."""
    monkeypatch.setattr(facts, "snapshot", lambda settings: HostSnapshot())
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    made(settings, east=1001, west=1002)
    return settings


def made(settings: Settings, **ports: int) -> None:
    for cluster, port in ports.items():
        path = state.folder(settings, "pair").kubeconfig(cluster)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(entry(f"pair-{cluster}", f"https://127.0.0.1:{port}")))


@pytest.fixture
def users(tmp_path: Path, monkeypatch) -> Path:
    path = tmp_path / "home" / "config"
    path.parent.mkdir()
    path.write_text(USERS)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def merge(settings: Settings) -> tuple[Path, list[str]]:
    return kubeconfig.merge(settings, "pair", name=None)


def names(path: Path, section: str = "contexts") -> list[str]:
    return [each["name"] for each in yaml.safe_load(path.read_text())[section]]


def test_the_printed_one_has_a_context_for_each_cluster_and_none_is_current(lab):
    config = yaml.safe_load(kubeconfig.text(lab, "pair", name=None))

    assert [each["name"] for each in config["contexts"]] == ["pair-east", "pair-west"]
    assert [each["cluster"]["server"] for each in config["clusters"]] == [
        "https://127.0.0.1:1001",
        "https://127.0.0.1:1002",
    ]
    assert [each["user"] for each in config["users"]] == [{"client-key-data": "a2V5"}] * 2
    assert config["current-context"] == ""


def test_a_cluster_that_is_not_made_yet_is_left_out_and_told_of(lab, capsys):
    state.folder(lab, "pair").kubeconfig("west").unlink()

    config = yaml.safe_load(kubeconfig.text(lab, "pair", name=None))

    assert [each["name"] for each in config["contexts"]] == ["pair-east"]
    assert "not made yet: west" in capsys.readouterr().err


def test_a_lab_without_clusters_has_none(lab):
    state.folder(lab, "pair").remove()

    with pytest.raises(HostError, match="pair has no clusters yet") as refused:
        kubeconfig.text(lab, "pair", name=None)
    assert refused.value.remedy == "Make them: ./invoke up -t pair"


def test_merging_loses_nothing_and_switches_nothing(lab, users):
    assert merge(lab) == (users, ["pair-east", "pair-west"])

    merged, before = yaml.safe_load(users.read_text()), yaml.safe_load(USERS)
    assert {key: value for key, value in merged.items() if not isinstance(value, list)} == {
        key: value for key, value in before.items() if not isinstance(value, list)
    }
    for section in ("clusters", "contexts"):
        assert merged[section][0] == before[section][0]
        assert names(users, section) == ["work", "pair-east", "pair-west"]
    # What PyYAML takes for a date and a number is text to Go, and is written as such.
    config = merged["users"][0]["user"]["auth-provider"]["config"]
    assert config == {"expiry": "2026-01-01T00:00:00Z", "at": "12:30:45", "digits": "123"}
    assert "theirs: yes" in users.read_text()
    assert "02]" in users.read_text()
    assert "!!" not in users.read_text()


def test_merging_again_changes_nothing(lab, users):
    merge(lab)
    once = users.read_text()
    merge(lab)

    assert users.read_text() == once


def test_a_lab_made_anew_replaces_its_own_contexts(lab, users):
    merge(lab)
    made(lab, east=2001)
    merge(lab)

    servers = {
        each["name"]: each["cluster"]["server"] for each in yaml.safe_load(users.read_text())["clusters"]
    }
    assert servers == {
        "work": "https://work.example:6443",
        "pair-east": "https://127.0.0.1:2001",
        "pair-west": "https://127.0.0.1:1002",
    }


@pytest.mark.parametrize(
    "sections", [("clusters", "users", "contexts"), ("clusters",), ("users",), ("contexts",)]
)
def test_what_has_the_name_and_is_not_ours_is_left_alone(lab, users, sections):
    theirs = yaml.safe_load(USERS)
    for section in sections:
        theirs[section] += entry("pair-east", "https://elsewhere.example:6443")[section]
    users.write_text(yaml.safe_dump(theirs))
    before = users.read_text()

    with pytest.raises(InputError, match="pair-east that is not this lab's") as refused:
        merge(lab)

    assert "--name" in refused.value.remedy
    assert users.read_text() == before
    assert sorted(users.parent.iterdir()) == [users]


def test_a_context_of_our_name_that_leads_elsewhere_is_not_ours(lab, users):
    merge(lab)
    config = yaml.safe_load(users.read_text())
    config["contexts"][1]["context"]["cluster"] = "work"
    users.write_text(yaml.safe_dump(config))

    with pytest.raises(InputError, match="pair-east"):
        merge(lab)
    assert kubeconfig.forget(lab, "pair") == [f"context pair-west from {users}"]
    assert names(users) == ["work", "pair-east"]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("{", "line 1: "),
        ("users:\n- name: me\n  user: {token: s3cret\n", "line "),
        ("just words", "it is not a mapping"),
        ("kind: Pod\n", "its kind is Pod"),
        ("clusters: {a: b}\n", "clusters is not a list"),
        ("a: 1\n---\nb: 2\n", "line 2: "),
        ("a: \x00", "ReaderError"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_left_as_it_is(lab, users, written, why):
    users.write_text(written)

    with pytest.raises(InputError, match="cannot be read as a kubeconfig") as refused:
        merge(lab)

    assert why in refused.value.brief
    assert "s3cret" not in str(refused.value)
    assert users.read_text() == written
    assert sorted(users.parent.iterdir()) == [users]


def test_a_device_is_not_replaced(lab, monkeypatch, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("KUBECONFIG", str(pipe))

    with pytest.raises(InputError, match="no ordinary file"):
        merge(lab)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("written", [None, "", "clusters: null\n", "contexts: []\nusers: []\n"])
def test_a_new_or_empty_file_gets_no_current_context(lab, users, written):
    if written is None:
        users.unlink()
        users.parent.rmdir()
    else:
        users.write_text(written)

    merge(lab)

    config = yaml.safe_load(users.read_text())
    assert not config.get("current-context")
    assert names(users) == ["pair-east", "pair-west"]
    if written is None:
        assert config["kind"] == "Config"
        assert stat.S_IMODE(users.stat().st_mode) == 0o600
        assert stat.S_IMODE(users.parent.stat().st_mode) == 0o700


def test_json_stays_json(lab, users):
    users.write_text(
        '{"kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": "x"}'
    )

    merge(lab)

    assert names(users) == ["pair-east", "pair-west"]
    assert users.read_text().startswith("{")


def test_mode_and_link_stay(lab, users, tmp_path):
    real = tmp_path / "dotfiles"
    users.rename(real)
    users.symlink_to(real)
    real.chmod(0o640)

    merge(lab)

    assert users.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert names(real) == ["work", "pair-east", "pair-west"]


def test_the_file_is_the_first_that_is_named(lab, users, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", f"{os.pathsep}{users}{os.pathsep}{tmp_path / 'other'}")
    assert kubeconfig.users_kubeconfig() == users

    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kubeconfig.users_kubeconfig() == tmp_path / ".kube" / "config"


def test_a_lock_that_stays_is_told_of(lab, users, monkeypatch):
    monkeypatch.setattr(kubeconfig, "_LOCK_S", 0.2)
    lock = users.with_name("config.lock")
    lock.touch()

    with pytest.raises(HostError, match="locked by another program") as refused:
        merge(lab)

    assert refused.value.remedy.endswith(f"rm {lock}")
    assert users.read_text() == USERS
    assert lock.exists()


def test_what_was_merged_is_forgotten(lab, users):
    merge(lab)

    assert kubeconfig.forget(lab, "pair") == [f"context pair-east, pair-west from {users}"]

    left, before = yaml.safe_load(users.read_text()), yaml.safe_load(USERS)
    assert left["contexts"] == before["contexts"]
    assert left["clusters"] == before["clusters"]
    assert [each["name"] for each in left["users"]] == ["work"]
    assert kubeconfig.forget(lab, "pair") == []


def test_what_was_never_merged_is_not_forgotten(lab, users):
    users.write_text(yaml.safe_dump(entry("pair-east", "https://127.0.0.1:1001")))
    before = users.read_text()

    assert kubeconfig.forget(lab, "pair") == []
    assert users.read_text() == before


def test_forgetting_never_fails(lab, users, capsys):
    merge(lab)
    users.write_text("{")

    assert kubeconfig.forget(lab, "pair") == []
    assert f"{users} still has pair-east, pair-west: " in capsys.readouterr().err
    assert users.read_text() == "{"

    users.unlink()
    assert kubeconfig.forget(lab, "pair") == []
    assert kubeconfig.forget(lab, "never-there") == []
