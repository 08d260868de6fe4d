"""The runtime shim, run for real, with a runc that only says how it was called."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.clients import process
from lab.host import container_engine

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="the shim needs jq")

WITHOUT_SYS_RESOURCE = "000001fffeffffff"
WITH_ALL = "000001ffffffffff"

CONFIG = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["grep", "CAP_SYS_RESOURCE"],
        "env": ['NOTE={"a":12345678901234567890}', "PATH=/bin"],
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"],
            "effective": ["CAP_SYS_RESOURCE"],
            "permitted": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
            "inheritable": None,
        },
        "rlimits": [{"type": "RLIMIT_MEMLOCK", "hard": 18446744073709551615, "soft": 18446744073709551615}],
        "oomScoreAdj": -500,
    },
    "linux": {"resources": {"memory": {"limit": 9223372036854771712}}},
}


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    """The shim, installed beside nothing else."""
    script = tmp_path / "shim"
    script.write_text(container_engine.shim_script())
    script.chmod(0o755)
    return script


@pytest.fixture
def runc(tmp_path: Path) -> Path:
    """A runc that prints its arguments."""
    fake = tmp_path / "bin" / "runc"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "runc $*"\n')
    fake.chmod(0o755)
    return fake


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def call(shim: Path, runc: Path, *arguments: str | Path, cap_bnd: str = WITHOUT_SYS_RESOURCE) -> str:
    env = {"LAB_RUNC": str(runc), "LAB_CAP_BND": cap_bnd}
    return process.run([shim, *arguments], env=env, cwd=shim.parent).stdout


def config_of(bundle: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    return loaded


@pytest.mark.parametrize(
    "before",
    [
        ["--root", "/run/runc", "--log", "create", "--log-format", "json", "create", "--bundle", "{}"],
        ["--debug", "--root=/run/runc", "run", "-b", "{}"],
        ["--systemd-cgroup", "create", "--pid-file", "/tmp/pid", "--bundle={}"],
    ],
)
def test_drops_the_capability_and_lifts_the_oom_score(
    shim: Path, runc: Path, bundle: Path, before: list[str]
) -> None:
    arguments = [word.format(bundle) for word in before] + ["the-container"]
    assert call(shim, runc, *arguments) == f"runc {' '.join(arguments)}\n"
    changed = config_of(bundle)
    assert changed["process"]["capabilities"] == {
        "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"],
        "effective": [],
        "permitted": ["CAP_CHOWN"],
        "inheritable": None,
    }
    assert changed["process"]["oomScoreAdj"] == 0
    for key in ("args", "env", "rlimits"):
        assert changed["process"][key] == CONFIG["process"][key]  # type: ignore[index]
    # Python's integers have no end, so that this would see one that went through a double.
    assert changed["linux"] == CONFIG["linux"]
    assert list(bundle.iterdir()) == [bundle / "config.json"]


def test_finds_the_bundle_in_the_working_folder(shim: Path, runc: Path, bundle: Path) -> None:
    env = {"LAB_RUNC": str(runc), "LAB_CAP_BND": WITHOUT_SYS_RESOURCE}
    process.run([shim, "create", "the-container"], env=env, cwd=bundle)
    assert config_of(bundle)["process"]["oomScoreAdj"] == 0


def test_rewrites_the_process_file_of_exec(shim: Path, runc: Path, tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps(CONFIG["process"]))
    call(shim, runc, "--root", "/x", "exec", "--process", file, "--detach", "the-container")
    changed = json.loads(file.read_text())
    assert changed["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    assert changed["oomScoreAdj"] == 0


@pytest.mark.parametrize(
    "process_part",
    [{"args": ["sh"]}, {"capabilities": None, "oomScoreAdj": 300}, {"oomScoreAdj": 0, "capabilities": {}}],
)
def test_leaves_what_needs_no_change(
    shim: Path, runc: Path, bundle: Path, process_part: dict[str, Any]
) -> None:
    (bundle / "config.json").write_text(json.dumps({"process": process_part}))
    call(shim, runc, "create", "--bundle", bundle, "the-container")
    assert config_of(bundle)["process"] == process_part


def test_changes_nothing_where_the_capability_can_be_granted(shim: Path, runc: Path, bundle: Path) -> None:
    assert call(shim, runc, "create", "-b", bundle, "c", cap_bnd=WITH_ALL) == f"runc create -b {bundle} c\n"
    assert config_of(bundle) == CONFIG


@pytest.mark.parametrize("verb", ["state", "kill", "delete", "events"])
def test_other_verbs_are_passed_on(shim: Path, runc: Path, bundle: Path, verb: str) -> None:
    assert call(shim, runc, verb, "--bundle", bundle, "c") == f"runc {verb} --bundle {bundle} c\n"
    assert config_of(bundle) == CONFIG


def test_a_broken_config_is_left_for_runc_to_judge(shim: Path, runc: Path, bundle: Path) -> None:
    (bundle / "config.json").write_text("{ not json")
    assert call(shim, runc, "create", "-b", bundle, "c").startswith("runc create")
    assert (bundle / "config.json").read_text() == "{ not json"
    assert len(list(bundle.iterdir())) == 1


def test_finds_the_next_runc_on_path_that_is_not_itself(shim: Path, runc: Path, tmp_path: Path) -> None:
    if Path("/usr/local/sbin/runc.real").exists():
        pytest.skip("this machine has a runc.real, which goes before PATH")
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(shim, first / "runc")
    path = os.pathsep.join((str(first), str(tmp_path / "empty"), str(runc.parent), os.environ["PATH"]))
    env = {"PATH": path, "LAB_CAP_BND": WITHOUT_SYS_RESOURCE}
    assert process.run([first / "runc", "--version"], env=env).stdout == "runc --version\n"


def test_says_that_jq_is_missing(shim: Path, runc: Path, bundle: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {"LAB_RUNC": str(runc), "LAB_CAP_BND": WITHOUT_SYS_RESOURCE, "PATH": str(empty)}
    with pytest.raises(process.CommandError, match="exit code 127") as failed:
        process.run(["/bin/sh", shim, "create", "-b", bundle, "c"], env=env)
    assert "jq was not found" in failed.value.details
