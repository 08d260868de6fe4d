from __future__ import annotations

import io
import re
import threading
import time

import pytest

from lab.engine import progress
from lab.engine.progress import LiveProgress, PlainProgress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A terminal that somebody has closed."""

    def write(self, text: str) -> int:
        raise OSError("gone")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def able_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_plain_lines(plan, step):
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress(stream, clock=clock)
    create, cilium = step("app1/create", estimate_s=40), step("app1/cilium", "app1/create")
    images, mesh = step("images", done=True), step("mesh", "app1/cilium")

    shown.begin(plan(create, cilium, images, mesh))
    shown.ended(images, "skipped", 0)
    shown.started(create)
    shown.ended(create, "done", 12.34)
    shown.started(cilium)
    shown.ended(cilium, "failed", 125)
    shown.ended(mesh, "not started", 0)
    shown.note("interrupted")

    assert stream.getvalue().splitlines() == [
        "1 of 4 steps are done already",
        "app1  do app1/create ... (about 40.0 s)",
        "app1  do app1/create ... done in 12.3 s",
        "app1  do app1/cilium ...",
        "app1  do app1/cilium ... failed after 2 min 05 s",
        "interrupted",
    ]


def test_what_runs_long_says_so_now_and_then(plan, step):
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress(stream, clock=clock)
    slow = step("app1/create")
    shown.begin(plan(slow))
    shown.started(slow)
    shown.said(slow, "1 of 2 nodes ready")

    for _ in range(65):
        clock.now += 1
        shown.tick()

    assert stream.getvalue().splitlines()[1:] == [
        "app1  do app1/create ... 30.0 s: 1 of 2 nodes ready",
        "app1  do app1/create ... 1 min 00 s: 1 of 2 nodes ready",
    ]


def test_the_summary_tells_time_and_result_of_each_step(plan, step):
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress(stream, clock=clock)
    a, b, c = step("app1/create"), step("mesh"), step("images", done=True)
    shown.begin(plan(a, b, c))
    shown.ended(c, "skipped", 0)
    shown.ended(a, "done", 61)
    shown.ended(b, "failed", 2)
    clock.now += 63
    stream.truncate(0)
    stream.seek(0)

    shown.end()

    assert stream.getvalue() == (
        "2 steps in 1 min 03 s, 1 already done\n"
        "cluster  step            result  time\n"
        "app1     do app1/create  done    1 min 01 s\n"
        "lab      do mesh         failed  2.0 s\n"
    )


def test_the_summary_of_many_steps_shows_the_slowest(plan, step):
    stream = io.StringIO()
    shown = PlainProgress(stream)
    steps = [step(f"edge-{number:03}/create") for number in range(255)]
    shown.begin(plan(*steps))
    for number, each in enumerate(steps):
        shown.ended(each, "done", number)
    stream.truncate(0)

    shown.end()

    assert "the slowest 40" in stream.getvalue()
    assert "edge-254" in stream.getvalue()
    assert "edge-000" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 42


def test_nothing_to_do(plan):
    stream = io.StringIO()
    shown = PlainProgress(stream)
    shown.begin(plan())
    shown.end()

    assert stream.getvalue() == "0 steps in 0.0 s\n"


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
def test_a_closed_terminal_does_no_harm(kind, plan, step):
    shown = kind(Broken())
    one = step("a")

    shown.begin(plan(one))
    shown.started(one)
    shown.said(one, "text")
    shown.note("text")
    shown.tick()
    shown.ended(one, "done", 1)
    shown.end()


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
def test_threads_may_talk_at_once(kind, plan, step):
    steps = [step(f"c{number}/create") for number in range(8)]
    shown = kind(Terminal())
    shown.begin(plan(*steps))

    def talk(one):
        shown.started(one)
        for number in range(100):
            shown.said(one, str(number))
        shown.ended(one, "done", 1)

    threads = [threading.Thread(target=talk, args=(one,)) for one in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown.end()


def drawn(shown: LiveProgress) -> list[str]:
    with shown._console.capture() as capture:
        shown._console.print(shown._table())
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in capture.get().splitlines()]


def test_one_live_line_a_cluster(step):
    shown = LiveProgress(Terminal())
    a, b, c = step("app1/create", estimate_s=40), step("app1/cilium"), step("app2/create")
    images = step("images")
    for one in (a, b, c, images):
        shown._row(one).steps = 2 if one.cluster == "app1" else 1
    shown.started(a)
    shown.started(b)
    shown.said(a, "1 of [2] nodes")
    shown.ended(c, "failed", 1)
    shown.ended(images, "done", 1)

    lines = [" ".join(line.split()) for line in drawn(shown)]

    assert lines == [
        "> app1 0/2 do app1/create (+1) 1 of [2] nodes 0 s of about 40 s",
        "x app2 0/1",
        "+ lab 1/1",
    ]


def test_more_clusters_than_lines_show_what_is_going_on(step):
    steps = [step(f"edge-{number:03}/create") for number in range(255)]
    shown = LiveProgress(Terminal())
    for one in steps:
        shown._row(one)
    shown.started(steps[200])
    shown.ended(steps[100], "failed", 1)

    lines = drawn(shown)

    assert len(lines) <= 20
    assert any("edge-200" in line for line in lines)
    assert any("edge-100" in line for line in lines)


def test_live_leaves_only_the_summary(plan, step):
    stream = Terminal()
    shown = LiveProgress(stream)
    one = step("app1/create")
    shown.begin(plan(one))
    shown.started(one)
    shown.note("a note")
    time.sleep(0.3)
    shown.ended(one, "done", 0.3)
    shown.end()

    text = stream.getvalue()
    assert "a note" in text
    assert "\x1b[2K" in text
    assert "1 step in" in text
    assert "0.3 s" in text


def test_which_one_is_shown(monkeypatch):
    assert isinstance(progress.for_stream(Terminal()), LiveProgress)
    assert isinstance(progress.for_stream(io.StringIO()), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress.for_stream(Terminal()), PlainProgress)
