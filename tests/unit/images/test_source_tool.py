"""Tools built from modules: where they are kept, and what of a program is built."""

from __future__ import annotations

from pathlib import Path

from lab.images.recipe import programs
from lab.images.source import program as builds
from lab.images.source.tool import build_tool, recipe_for
from lab.settings import Settings


def put(cache: Path, name: str) -> Path:
    """A built program's folder, whole."""
    folder = cache / "programs" / name
    folder.mkdir(parents=True)
    (folder / "build.json").write_text("{}")
    return folder


def test_linux_keeps_its_keys_and_others_are_kept_apart(tmp_path: Path) -> None:
    kind = programs()["kind"]
    linux = put(tmp_path, kind.key("arm64"))
    assert builds.find(kind, tmp_path, architecture="arm64") == builds.Built(linux)
    assert builds.find(kind, tmp_path, architecture="arm64", operating_system="darwin") is None

    darwin = put(tmp_path, f"{kind.key('arm64')}-darwin")
    found = builds.find(kind, tmp_path, architecture="arm64", operating_system="darwin")
    assert found == builds.Built(darwin)


def test_what_is_built_already_needs_no_go(tmp_path: Path) -> None:
    folder = put(tmp_path, programs()["kubernetes"].key("amd64"))

    def go() -> Path:
        raise AssertionError("Go is not needed")

    found = build_tool(
        "kubernetes",
        "kubectl",
        Settings(cache=tmp_path, state=tmp_path),
        go=go,
        operating_system="linux",
        architecture="amd64",
        say=lambda _: None,
    )

    assert found == folder / "bin" / "kubectl"


def test_a_mac_builds_only_the_tool() -> None:
    kubernetes = programs()["kubernetes"]
    assert recipe_for(kubernetes, "kubectl", operating_system="linux") is kubernetes
    narrow = recipe_for(kubernetes, "kubectl", operating_system="darwin")
    assert dict(narrow.packages) == {"kubectl": "cmd/kubectl"}
    assert not narrow.keep
    assert narrow.key("arm64") != kubernetes.key("arm64")
