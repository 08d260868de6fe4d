"""Programs from Go modules: what is read of a module, what a build leaves. A script stands in for go."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from filelock import FileLock

from lab.clients import process
from lab.clients.lock import held
from lab.errors import HostError, Interrupted, ProvisionError
from lab.images.recipe import Kept, Program
from lab.images.source import program as builds
from lab.images.source.program import build, find, go_constant, require_disk

STORAGE = """\
package nodeimage

/*
The default storage manifest.
*/

const defaultStorageClassAttributes = "reclaimPolicy: Delete"

// local-path-provisioner
const localPathVersion = `v0.0.30`
const defaultStorageImage = "docker.io/kindest/local-path-provisioner:" + localPathVersion
const defaultStorageManifest = `
# a "quoted" comment
apiVersion: v1
kind: Namespace
image: ` + defaultStorageImage + `
` + defaultStorageClassAttributes + "\\n" + `
end: true
`

func unrelated() string { return `const defaultStorageManifest = "no"` }
"""


def test_a_constant_is_put_together_of_its_parts() -> None:
    assert go_constant(STORAGE, "defaultStorageImage") == "docker.io/kindest/local-path-provisioner:v0.0.30"
    text = go_constant(STORAGE, "defaultStorageManifest")
    assert text.startswith('\n# a "quoted" comment\napiVersion: v1\n')
    assert "image: docker.io/kindest/local-path-provisioner:v0.0.30\nreclaimPolicy: Delete" in text
    assert text.endswith("\nend: true\n")


def test_a_constant_that_is_not_there_is_named() -> None:
    with pytest.raises(ProvisionError, match="no string constant newName in the Go source"):
        go_constant(STORAGE, "newName")


def test_a_disk_that_is_too_small_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=0, used=0, free=5000 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    require_disk(tmp_path, 3000, what="building x")
    with pytest.raises(HostError) as refused:
        require_disk(tmp_path, 3001, what="building x")
    assert refused.value.brief == f"building x needs 5001 MiB of free disk, and {tmp_path} has 5000 MiB"
    assert "LAB_CACHE" in refused.value.remedy


PROGRAM = Program(
    name="tool",
    module="example.org/tool",
    version="v1.2.3",
    licence="MIT",
    layout="wrapper",
    packages={"tool": "cmd/tool", "tool-agent": "cmd/agent"},
    tags=("netgo", "static"),
    ldflags="-X main.version={version}",
    keep={"chart": Kept(path="charts"), "text": Kept(path="const.go", go_constant="text")},
    seconds=1,
    disk_mib=1,
)

GO_MOD = {
    "Module": {"Path": "example.org/tool"},
    "Go": "1.25.0",
    "Godebug": [{"Key": "tlsmlkem", "Value": "0"}],
    "Replace": [
        {"Old": {"Path": "example.org/tool/api"}, "New": {"Path": "./api"}},
        {"Old": {"Path": "example.org/unpublished"}, "New": {"Path": "../unpublished"}},
        {
            "Old": {"Path": "github.com/x/y", "Version": "v1.0.0"},
            "New": {"Path": "github.com/z/y", "Version": "v1.0.1"},
        },
    ],
}

GO = """\
#!/bin/sh
echo "$*" >>"{log}"
case "$1 $2" in
    "env GOVERSION") echo go1.25.3 ;;
    "mod download")
        mkdir -p "$GOMODCACHE/m/charts" "$GOMODCACHE/m/cmd"
        cp "{folder}/go.mod.json" "$GOMODCACHE/m/go.mod"
        echo 'example.org/sum h1:x' >"$GOMODCACHE/m/go.sum"
        echo 'name: tool' >"$GOMODCACHE/m/charts/Chart.yaml"
        printf 'package x\\n\\nconst text = `kept`\\n' >"$GOMODCACHE/m/const.go"
        chmod -R a-w "$GOMODCACHE/m"
        echo "{{\\"Dir\\": \\"$GOMODCACHE/m\\"}}" ;;
    "list -m") echo '{{"Version": "v0.9.0"}}' ;;
    "mod edit")
        case "$3" in -json) cat "$4" ;; esac ;;
    "build std")
        mkdir -p "$GOCACHE/ab"
        echo 1 >"$GOCACHE/trim.txt"
        echo compiled >"$GOCACHE/ab/ab12-d" ;;
    "build "*)
        {build}
        while [ "$1" != -o ]; do shift; done
        target=$2; shift 2
        cp "$PWD/go.mod" "{folder}/built.mod"
        cat ../instead/0/const.go const.go >"{folder}/built.go" 2>/dev/null
        echo example.org/tool/cmd/tool >&2
        case "$target" in
            */) for package in "$@"; do echo "binary" >"$target$(basename "$package")"; done ;;
            *) echo binary >"$target" ;;
        esac ;;
esac
"""


class FakeGo:
    """A ``go`` that makes files of nothing; ``log`` has its calls, ``built`` the go.mod that it built in."""

    def __init__(self, folder: Path, *, build: str = ":") -> None:
        folder.mkdir(parents=True)
        (folder / "go.mod.json").write_text(json.dumps(GO_MOD))
        self.path, self.log, self.built = folder / "go", folder / "log", folder / "built.mod"
        self.log.touch()
        self.path.write_text(GO.format(log=self.log, folder=folder, build=build))
        self.path.chmod(0o755)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def go(tmp_path: Path) -> FakeGo:
    return FakeGo(tmp_path / "go")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(builds, "DISK_RESERVE_MIB", 0)
    return tmp_path / "cache"


def made(program: Program, cache: Path, go: FakeGo, **options: object) -> builds.Built:
    return build(program, cache, go=go.path, architecture="amd64", timeout=30, **options)  # type: ignore[arg-type]


def built_by(go: FakeGo) -> list[str]:
    """Calls that built a program: the standard library is none."""
    return [call for call in go.calls() if call.startswith("build ") and call != "build std"]


def left(cache: Path) -> list[str]:
    """What is in a cache, besides locks: these are taken again by their names."""
    return sorted(path.name for path in cache.iterdir() if path.name != "locks")


def test_a_wrapper_carries_the_programs_replacements_over(cache: Path, go: FakeGo) -> None:
    made(replace(PROGRAM, replace={"example.org/unpublished": "v0.4.0"}), cache, go)
    assert go.built.read_text().splitlines() == [
        "module lab.invalid/wrapper",
        "go 1.25.0",
        "godebug tlsmlkem=0",
        "require example.org/tool v1.2.3",
        "replace example.org/unpublished => example.org/unpublished v0.4.0",
        "replace github.com/x/y => github.com/z/y v1.0.1",
    ]


def test_staging_modules_all_get_one_version(cache: Path, go: FakeGo) -> None:
    made(replace(PROGRAM, staging="v0.35.8"), cache, go)
    assert [line for line in go.built.read_text().splitlines() if line.startswith("replace")] == [
        "replace example.org/tool/api => example.org/tool/api v0.35.8",
        "replace example.org/unpublished => example.org/unpublished v0.35.8",
        "replace github.com/x/y => github.com/z/y v1.0.1",
    ]


def test_what_a_build_leaves(cache: Path, go: FakeGo) -> None:
    said: list[str] = []
    built = made(PROGRAM, cache, go, say=said.append)

    assert built.folder == cache / "programs" / PROGRAM.key("amd64")
    assert {path.name for path in (built.folder / "bin").iterdir()} == {"tool", "tool-agent"}
    assert (built.kept("chart") / "Chart.yaml").read_text() == "name: tool\n"
    assert built.kept("text").read_text() == "kept"
    assert built.record().keys() == {"program", "version", "seconds", "disk_mib", "go", "finished"}
    assert built.record()["go"] == "go1.25.3"
    assert said[0] == "fetching example.org/tool v1.2.3"
    assert "compiling: 1 packages" in said
    # One call for both, so that they are linked side by side, with what the recipe asks for.
    [call] = built_by(go)
    assert "-ldflags -s -w -X main.version=v1.2.3 -tags netgo,static" in call
    assert call.endswith("example.org/tool/cmd/tool example.org/tool/cmd/agent")
    # Module and build caches are gone; the standard library is there for others.
    assert left(cache) == ["compiled", "programs"]


def test_what_is_built_is_not_built_again(cache: Path, go: FakeGo) -> None:
    built = made(PROGRAM, cache, go)
    before = go.calls()
    assert made(PROGRAM, cache, go) == built
    assert go.calls() == before
    assert find(PROGRAM, cache, architecture="amd64") == built
    assert find(PROGRAM, cache, architecture="arm64") is None


def test_the_standard_library_is_compiled_once(cache: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    go = FakeGo(
        tmp_path / "listing", build=f'ls "$GOCACHE" "$GOCACHE"/ab >>{seen}; echo more >"$GOCACHE/ab/new"'
    )
    made(PROGRAM, cache, go)
    made(replace(PROGRAM, version="v1.2.4"), cache, go)
    assert go.calls().count("build std") == 1
    # Both began with it, and the second with nothing of the first; Go's note of a clean-up is not shared.
    assert seen.read_text().split().count("ab12-d") == 2
    assert "new" not in seen.read_text().split()
    assert "trim.txt" not in seen.read_text().split()
    [kept] = (cache / "compiled").iterdir()
    assert kept.name == "go1.25.3-linux-amd64"

    # Another Go compiles its own, and the old one's goes.
    go.path.write_text(go.path.read_text().replace("go1.25.3", "go1.26.0"))
    made(replace(PROGRAM, version="v1.2.5"), cache, go)
    assert [kept.name for kept in (cache / "compiled").iterdir()] == ["go1.26.0-linux-amd64"]


def test_a_standard_library_that_was_interrupted_is_not_kept(cache: Path, tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "slow")
    go.path.write_text(go.path.read_text().replace("echo compiled >", "sleep 60; echo compiled >"))
    cancelled = Event()

    def cancel(text: str) -> None:
        if text == "compiling the standard library":
            cancelled.set()

    with pytest.raises(Interrupted):
        made(PROGRAM, cache, go, say=cancel, cancelled=cancelled)
    assert left(cache) == []


def test_a_folder_without_its_record_is_not_whole(cache: Path) -> None:
    (cache / "programs" / PROGRAM.key("amd64") / "bin").mkdir(parents=True)
    assert find(PROGRAM, cache, architecture="amd64") is None


def test_a_module_may_be_built_in_its_own_folder(cache: Path, go: FakeGo) -> None:
    folder = replace(
        PROGRAM,
        layout="folder",
        packages={"tool": "cmd/tool"},
        replace={"example.org/unpublished": "v0.4.0"},
    )
    built = made(folder, cache, go)
    edits = [call for call in go.calls() if call.startswith("mod edit -") and "-json" not in call]
    assert edits == [
        "mod edit -dropreplace=example.org/tool/api",
        "mod edit -replace=example.org/unpublished=example.org/unpublished@v0.4.0",
    ]
    assert built_by(go)[0].endswith("./cmd/tool")
    assert built.binary("tool").read_text() == "binary\n"


def test_a_program_may_be_put_together_of_modules(cache: Path, go: FakeGo) -> None:
    main = "package main\n\nfunc main() {}\n"
    go.path.write_text(go.path.read_text().replace("target=$2;", f'cp main.go "{go.built}.go"; target=$2;'))
    together = replace(
        PROGRAM, packages={"tool": "."}, main=main, requires={"example.org/more": "v0.2.0"}, keep={}
    )
    built = made(together, cache, go)
    lines = go.built.read_text().splitlines()
    assert lines[3:5] == ["require example.org/tool v1.2.3", "require example.org/more v0.2.0"]
    assert Path(f"{go.built}.go").read_text() == main
    assert built_by(go)[0].endswith("/tool .")
    assert built.binary("tool").read_text() == "binary\n"


@pytest.mark.parametrize("layout", ["wrapper", "folder"])
def test_files_of_modules_may_be_built_otherwise(cache: Path, go: FakeGo, layout: str) -> None:
    short = replace(PROGRAM, layout=layout, instead={"example.org/tool": {"const.go": "package x\n"}})
    made(short, cache, go)
    assert (go.path.parent / "built.go").read_text() == "package x\n"
    [edit] = [call for call in go.calls() if "example.org/tool=" in call] or [""]
    # A copy of the module is what is built; one that is built in its own folder is a copy anyway.
    assert edit.startswith("mod edit -replace=example.org/tool=/") is (layout == "wrapper")
    assert short.key("amd64") != replace(short, instead={}).key("amd64")


def test_files_of_other_modules_too_in_the_version_that_is_built(cache: Path, go: FakeGo) -> None:
    made(replace(PROGRAM, instead={"example.org/sdk": {"const.go": "package y\n"}}), cache, go)
    assert (go.path.parent / "built.go").read_text() == "package y\n"
    assert "list -m -json example.org/sdk" in go.calls()
    assert "mod download -json example.org/sdk@v0.9.0" in go.calls()


def test_a_file_to_be_built_otherwise_that_has_moved_is_named(cache: Path, go: FakeGo) -> None:
    with pytest.raises(ProvisionError) as refused:
        made(replace(PROGRAM, instead={"example.org/sdk": {"all.go": ""}}), cache, go)
    assert refused.value.brief == "all.go is not where the recipe expects it"
    assert refused.value.details == "example.org/sdk"
    assert built_by(go) == []


def test_of_some_modules_only_files_are_needed(cache: Path, go: FakeGo) -> None:
    built = made(replace(PROGRAM, layout="files", packages={}), cache, go)
    assert (built.kept("chart") / "Chart.yaml").read_text() == "name: tool\n"
    assert built_by(go) == []
    assert find(replace(PROGRAM, layout="files", packages={}), cache, architecture="amd64") == built


def test_a_failed_build_leaves_nothing_of_itself(cache: Path, tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "failing", build="echo 'cmd/tool/main.go:3: undefined: x' >&2; exit 1")
    with pytest.raises(process.CommandError) as failed:
        made(PROGRAM, cache, go)
    assert "undefined: x" in failed.value.details
    assert "GOPROXY" in failed.value.remedy
    assert left(cache) == ["compiled"]


def test_an_interrupted_build_leaves_nothing_of_itself(cache: Path, tmp_path: Path) -> None:
    go = FakeGo(tmp_path / "slow", build="sleep 60")
    cancelled = Event()

    def cancel(text: str) -> None:
        if text == "compiling":
            cancelled.set()

    with pytest.raises(Interrupted):
        made(PROGRAM, cache, go, say=cancel, cancelled=cancelled)
    assert left(cache) == ["compiled"]


def test_what_a_killed_build_has_left_is_swept_by_the_next(cache: Path, go: FakeGo) -> None:
    killed, under_way, begun = (cache / f"build-other-{name}" for name in ("killed", "running", "new"))
    for folder in (killed, under_way, begun):
        folder.mkdir(parents=True)
    (killed / "held").touch()
    with held(under_way / "held") as mine:
        assert mine
        made(PROGRAM, cache, go)
        assert left(cache) == ["build-other-new", "build-other-running", "compiled", "programs"]


def test_a_kept_file_that_has_moved_is_named(cache: Path, go: FakeGo) -> None:
    with pytest.raises(ProvisionError, match="gone is not where the recipe expects it"):
        made(replace(PROGRAM, keep={"gone": Kept(path="gone")}), cache, go)
    assert find(PROGRAM, cache, architecture="amd64") is None


def test_of_two_builds_at_once_the_second_waits_for_the_first(cache: Path, go: FakeGo) -> None:
    held = cache / "locks" / f"{PROGRAM.key('amd64')}.lock"
    held.parent.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        with FileLock(held):
            second = pool.submit(made, PROGRAM, cache, go)
            time.sleep(0.5)
            assert not second.done()
            # The first is done, before it lets go of the lock.
            first = cache / "programs" / PROGRAM.key("amd64")
            (first / "bin").mkdir(parents=True)
            (first / "build.json").write_text("{}")
            (first / "bin" / "tool").write_text("first")
        assert second.result().binary("tool").read_text() == "first"


def test_the_users_own_go_settings_do_not_count(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "env"
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOPRIVATE", "corp.example")
    made(PROGRAM, cache, FakeGo(tmp_path / "spy", build=f"env >{seen}"))
    found = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    assert found["GOFLAGS"] == "-modcacherw -mod=mod -trimpath -buildvcs=false"
    assert (found["GOOS"], found["GOARCH"], found["CGO_ENABLED"]) == ("linux", "amd64", "0")
    assert found["GOMODCACHE"].startswith(str(cache))
    # Where modules come from is the user's to say.
    assert found["GOPRIVATE"] == "corp.example"
