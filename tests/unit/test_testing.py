from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import testing
from lab.errors import CheckFailed, HostError, InputError
from lab.host import container_engine


@pytest.mark.parametrize(
    ("tier", "long", "cached", "marks", "why"),
    [
        ("unit", False, True, None, "no clusters, because the tier is unit"),
        (
            "cold",
            False,
            True,
            "cluster and pair and not long",
            "one pair of clusters (cold), because the tier is cold",
        ),
        (
            "warm",
            False,
            False,
            "cluster and not long",
            "all but the long ones (warm), because the tier is warm",
        ),
        (
            "auto",
            False,
            True,
            "cluster and not long",
            "all but the long ones (warm), because all images are cached",
        ),
        (
            "auto",
            False,
            False,
            "cluster and pair and not long",
            "one pair of clusters (cold), because images must be made first",
        ),
        ("auto", True, False, "cluster", "everything, because of --long"),
        ("cold", True, False, "cluster", "everything, because of --long"),
    ],
)
def test_a_tier_says_what_runs_and_why(tier, long, cached, marks, why):
    assert testing.choose(tier, long=long, cached=lambda: cached) == testing.Choice(marks=marks, why=why)


def test_only_auto_looks_at_what_is_cached():
    def looked() -> bool:
        raise AssertionError

    for tier in ("unit", "cold", "warm"):
        testing.choose(tier, long=False, cached=looked)


@pytest.mark.parametrize(
    ("tier", "long", "message"), [("hot", False, "no tier 'hot'"), ("unit", True, "contradict")]
)
def test_what_cannot_be_chosen(tier, long, message):
    with pytest.raises(InputError, match=message):
        testing.choose(tier, long=long, cached=lambda: True)


def test_the_fast_stages_leave_out_folders_that_are_not_there(tmp_path):
    (tmp_path / "tests" / "unit").mkdir(parents=True)

    names = [stage.name for stage in testing.fast_stages(tmp_path)]
    last = testing.fast_stages(tmp_path)[-1]

    assert names == ["ruff check", "ruff format", "mypy", "unit tests"]
    assert last.command[-1] == "tests/unit"


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """Puts small commands in the place of the stages."""

    def put(*programs: str) -> None:
        made = [
            testing.Stage(name=f"stage {number}", command=(sys.executable, "-c", program), timeout_s=20)
            for number, program in enumerate(programs)
        ]
        monkeypatch.setattr(testing, "fast_stages", lambda project: made)

    monkeypatch.setattr("lab.host.browser.find", lambda: Path("/usr/bin/chromium"))
    return put


def test_stages_run_in_order_and_are_heard(stages, tmp_path, capsys):
    stages("print('one')", "print('== 3 passed ==')")

    testing.run_tests(tier="unit", project=tmp_path)

    out, err = capsys.readouterr()
    assert out == "one\n== 3 passed ==\n"
    assert err.splitlines()[:3] == [
        "tests: no clusters, because the tier is unit",
        "== stage 0",
        "== stage 1",
    ]
    assert err.splitlines()[-1].startswith("all 2 stages passed in ")


@pytest.mark.parametrize("installs", [True, False])
def test_the_browser_is_installed_only_with_yes_and_else_missed_aloud(
    stages, tmp_path, monkeypatch, capsys, installs
):
    stages("print('one')")
    here: list[str] = []

    def install(packages, *, on_line=None):
        if not installs:
            raise HostError("no package archive answers")
        here.extend(packages)

    monkeypatch.setattr("lab.host.browser.find", lambda: Path(here[0]) if here else None)
    monkeypatch.setattr(container_engine, "install", install)
    monkeypatch.setattr("lab.clients.process.find", lambda tool, path=None: Path("/usr/bin") / tool)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    testing.run_tests(tier="unit", project=tmp_path)
    assert here == []
    told = "tests: nobody looks at the report's pages, for there is no Chromium: "
    assert told + "with --yes, root has it installed" in capsys.readouterr().err

    testing.run_tests(tier="unit", project=tmp_path, assume_yes=True)
    assert here == (["chromium-headless-shell"] if installs else [])
    assert (told in capsys.readouterr().err) is not installs


def test_the_first_failure_ends_it_with_1(stages, tmp_path, capsys):
    stages("print('one')", "print('bad'); raise SystemExit(5)", "print('never')")

    with pytest.raises(CheckFailed, match="stage 1: failed") as caught:
        testing.run_tests(tier="unit", project=tmp_path)

    assert caught.value.exit_code == 1
    assert capsys.readouterr().out == "one\nbad\n"


def test_clusters_come_last_and_nothing_is_asked_without_a_terminal(stages, tmp_path, monkeypatch, capsys):
    stages("print('fast')")
    (tmp_path / "tests" / "clusters").mkdir(parents=True)
    asked: list[str] = []

    def clusters(marks: str) -> testing.Stage:
        asked.append(marks)
        return testing.Stage(name="clusters", command=(sys.executable, "-c", "print('clusters')"))

    monkeypatch.setattr(testing, "clusters_stage", clusters)

    testing.run_tests(tier="auto", cached=lambda: True, project=tmp_path)

    assert asked == ["cluster and not long"]
    assert capsys.readouterr().out == "fast\nclusters\n"
