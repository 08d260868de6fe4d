from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.clients import process
from lab.engine import journal
from lab.engine.progress import PlainProgress
from lab.engine.run import Context, run
from lab.errors import CheckFailed, HostError, Interrupted, LabError, ProvisionError
from lab.plan.step import Step

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def go(plan, book):
    """Runs steps with one action for all; returns the outcome."""

    def go(*steps: Step, action=lambda step, context: None, workers=4, **options):
        return run(
            plan(*steps),
            {"work": action},
            progress=PlainProgress(io.StringIO()),
            journal=book,
            workers=workers,
            **options,
        )

    return go


def results(outcome):
    return {each.step.id: each.result for each in outcome.steps}


def test_each_step_runs_once_and_after_what_it_needs(go, step):
    ran: list[str] = []

    outcome = go(
        step("mesh", "a/cilium", "b/cilium"),
        step("a/cilium", "a/create"),
        step("b/cilium", "b/create"),
        step("a/create"),
        step("b/create"),
        action=lambda step, context: ran.append(step.id),
    )

    assert sorted(ran) == ["a/cilium", "a/create", "b/cilium", "b/create", "mesh"]
    assert ran[-1] == "mesh"
    assert ran.index("a/create") < ran.index("a/cilium")
    assert set(results(outcome).values()) == {"done"}
    assert [each.step.id for each in outcome.steps][-1] == "mesh"


def test_what_is_independent_runs_side_by_side(go, step):
    together = threading.Barrier(3, timeout=10)

    go(step("a"), step("b"), step("c"), action=lambda step, context: together.wait())


def test_no_more_run_at_once_than_there_are_workers(go, step):
    lock = threading.Lock()
    now = most = 0

    def work(step, context):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    go(*(step(f"s{number}") for number in range(8)), action=work, workers=2)

    assert most == 2


def test_what_is_done_is_skipped_and_counts_as_there(go, step):
    ran: list[str] = []

    outcome = go(step("a", done=True), step("b", "a"), action=lambda step, context: ran.append(step.id))

    assert ran == ["b"]
    assert results(outcome) == {"a": "skipped", "b": "done"}


def test_a_plan_with_nothing_to_do(go, step):
    assert go().steps == ()
    assert results(go(step("a", done=True))) == {"a": "skipped"}


def test_a_kind_without_action_is_told_before_anything_starts(go, step, book):
    with pytest.raises(KeyError, match="no action for steps of kind cook, dance"):
        go(step("a"), step("b", kind="dance"), step("c", kind="cook"), step("d", kind="done", done=True))

    assert journal.read(book.path) == []


def test_one_failure_keeps_its_class_and_tells_all(go, step):
    def work(step, context):
        context.say("2 of 3 \n agents ready")
        raise HostError("no space left", details="df: 0 MiB", remedy="Free some.")

    with pytest.raises(HostError) as caught:
        go(
            step("app1/cilium"),
            action=work,
            evidence=lambda step: f"pods of {step.cluster}\n",
            continue_with="up -t x",
        )

    assert str(caught.value) == (
        "step app1/cilium failed: no space left\n"
        "last seen: 2 of 3 agents ready\n"
        "df: 0 MiB\n"
        "evidence:\n"
        "  pods of app1\n"
        "Free some.\n"
        "What is done stays done. To continue: up -t x"
    )
    assert caught.value.exit_code == 3
    assert isinstance(caught.value.__cause__, HostError)


def test_one_failure_of_a_command_keeps_what_it_holds(go, step):
    with pytest.raises(process.CommandError) as caught:
        go(step("a"), action=lambda step, context: process.run(["sh", "-c", "echo why; exit 9"]))

    assert caught.value.exit_code_of_command == 9
    assert caught.value.brief == "step a failed: sh failed with exit code 9"
    assert "why" in caught.value.details


def test_after_a_failure_nothing_new_starts_and_what_runs_may_finish(go, step, book):
    failed = threading.Event()
    ran: list[str] = []

    def work(step, context):
        ran.append(step.id)
        if step.id == "bad":
            failed.set()
            raise CheckFailed("no")
        failed.wait(10)
        time.sleep(0.1)
        assert not context.cancelled.is_set()

    with pytest.raises(CheckFailed):
        go(step("bad"), step("slow"), step("next", "slow"), step("other"), action=work, workers=2)

    assert sorted(ran) == ["bad", "slow"]
    ends = {r.step: r.fields["outcome"] for r in journal.read(book.path) if r.event == "step-end"}
    assert ends == {"bad": "failed", "slow": "done"}


def test_several_failures_are_all_told(go, step):
    together = threading.Barrier(2, timeout=10)

    def work(step, context):
        together.wait()
        raise HostError(f"no {step.id}", details="because", remedy="Get some.")

    with pytest.raises(ProvisionError) as caught:
        go(step("x"), step("y"), action=work)

    assert str(caught.value) == (
        "2 steps failed: x, y\n"
        "x: no x\n  because\n"
        "y: no y\n  because\n"
        "Get some.\n"
        "What is done stays done. To continue: ./invoke up"
    )
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("bug", [ValueError("nope"), SystemExit(3), KeyboardInterrupt()])
def test_a_bug_in_an_action_is_that_steps_failure(go, step, bug, caplog):
    def work(step, context):
        raise bug

    with pytest.raises(ProvisionError, match=f"step a failed: unexpected {type(bug).__name__}") as caught:
        go(step("a"), action=work)

    assert caught.value.__cause__ is bug
    assert "Traceback" in caplog.text


def test_evidence_that_fails_does_not_hide_the_failure(go, step):
    def work(step, context):
        raise HostError("first")

    def evidence(step):
        raise OSError("second")

    with pytest.raises(HostError) as caught:
        go(step("a"), action=work, evidence=evidence)

    assert caught.value.brief == "step a failed: first"
    assert "(none could be gathered: second)" in caught.value.details


def test_the_journal_has_every_start_and_end(go, step, book):
    def work(step, context):
        time.sleep(0.05)
        context.say("almost")

    go(step("a"), step("b", "a", done=True), action=work)

    records = journal.read(book.path)
    assert [(record.event, record.step) for record in records] == [
        ("run-start", None),
        ("step-end", "b"),
        ("step-start", "a"),
        ("step-end", "a"),
        ("run-end", None),
    ]
    assert records[3].fields["outcome"] == "done"
    assert records[3].fields["said"] == "almost"
    assert 0.05 <= records[3].fields["seconds"] < 5
    assert records[-1].fields["outcome"] == "done"
    assert journal.last_durations(book.path.parent).keys() == {"a"}


def test_the_journal_has_the_error(go, step, book):
    def work(step, context):
        raise HostError("no space", details="df")

    with pytest.raises(HostError):
        go(step("a"), action=work)

    end, last = journal.read(book.path)[-2:]
    assert (end.fields["outcome"], end.fields["error"]) == ("failed", "no space\ndf")
    assert last.fields["outcome"] == "failed"


def interrupt_when(ready: threading.Event, number: int = signal.SIGINT) -> None:
    def press() -> None:
        ready.wait(10)
        os.kill(os.getpid(), number)

    threading.Thread(target=press, daemon=True).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_waits_for_what_runs_and_names_the_way_on(go, step, book, number):
    ready = threading.Event()
    before = signal.getsignal(number)
    interrupt_when(ready, number)

    def work(step, context):
        context.say("1 of 3")
        ready.set()
        assert context.cancelled.wait(10)
        raise Interrupted("asked to")

    with pytest.raises(Interrupted) as caught:
        go(
            step("done", done=True),
            step("a"),
            step("b", "a"),
            action=work,
            continue_with="./invoke up -t pair",
            undo_with="./invoke down -t pair",
        )

    assert str(caught.value) == (
        "interrupted with 1 of 3 steps done\n"
        "a was interrupted (last seen: 1 of 3)\n"
        "To continue: ./invoke up -t pair\n"
        "To remove what is there: ./invoke down -t pair"
    )
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) == before
    assert [r.fields["outcome"] for r in journal.read(book.path)[-2:]] == ["interrupted", "interrupted"]


def test_interrupted_just_as_the_last_step_ends_is_still_interrupted(go, step):
    with pytest.raises(Interrupted, match="1 of 1 steps done"):
        go(step("a"), action=lambda step, context: os.kill(os.getpid(), signal.SIGINT))


def test_what_failed_before_the_interrupt_is_told_too(go, step):
    failed = threading.Event()

    def work(step, context):
        if step.id == "bad":
            failed.set()
            raise HostError("no space")
        context.cancelled.wait(10)
        raise Interrupted("asked to")

    interrupt_when(failed)
    with pytest.raises(Interrupted) as caught:
        go(step("bad"), step("slow"), action=work)

    assert "bad: no space" in caught.value.details


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    """In a process of its own: it must also end, with a thread that never does."""
    program = f"""
import signal, sys, threading, time
from pathlib import Path
from lab.engine.journal import Journal
from lab.engine.progress import PlainProgress
from lab.engine.run import run
from lab.errors import Interrupted
from lab.plan.step import Budget, Plan, Step

def stubborn(step, context):
    print("ready", flush=True)
    context.cancelled.wait(20)
    print("cancelled", flush=True)
    time.sleep(60)

budget = Budget(memory_mib=0, disk_mib=0, cpus=0)
plan = Plan(lab="l", topology="t", steps=(Step("a", "k", summary="a"),), budget=budget)
try:
    with Journal(Path({str(tmp_path)!r}, "j.jsonl")) as book:
        run(plan, {{"k": stubborn}}, progress=PlainProgress(), journal=book, workers=1)
except Interrupted as error:
    print(error.details, flush=True)
    sys.exit(error.exit_code)
"""
    lines: list[str] = []
    pid_file = tmp_path / "pid"
    asked = threading.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        if line in {"ready", "cancelled"}:
            os.kill(int(pid_file.read_text()), signal.SIGINT)
        if "Ctrl-C again" in line:
            asked.set()

    started = time.monotonic()
    with pytest.raises(process.CommandError) as caught:
        process.run(
            ["sh", "-c", 'echo $$ >"$1"; exec "$0" -c "$2"', sys.executable, pid_file, program],
            cwd=PROJECT,
            on_line=on_line,
            timeout=30,
        )

    assert caught.value.exit_code_of_command == 130
    assert time.monotonic() - started < 20
    assert asked.is_set()
    assert "a was interrupted" in lines
    assert journal.read(tmp_path / "j.jsonl")[-1].fields["outcome"] == "interrupted"


def test_in_another_thread_it_runs_without_signals(go, step):
    errors: list[BaseException] = []

    def other() -> None:
        try:
            go(step("a"))
        except BaseException as error:  # noqa: BLE001  # of another thread, to be seen in this one
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(10)

    assert not errors


def test_an_ignored_signal_stays_ignored(go, step):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        go(step("a"), action=lambda step, context: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thousand_steps(go, step):
    steps = [
        step(f"c{n}/{part}", *([f"c{n}/create"] if part != "create" else []))
        for n in range(250)
        for part in ("create", "mesh", "addons", "check")
    ]
    started = time.monotonic()

    outcome = go(*steps, workers=8)

    assert set(results(outcome).values()) == {"done"}
    assert time.monotonic() - started < 10


def test_say_keeps_the_last_thing_on_one_line():
    said: list[str] = []
    context = Context(threading.Event(), said.append)

    context.say("two\n  lines")

    assert context.last_said == "two lines"
    assert said == ["two lines"]


def test_a_lab_error_told_again_is_another_object(go, step):
    original = HostError("no")

    def work(step, context):
        raise original

    with pytest.raises(LabError) as caught:
        go(step("a"), action=work)

    assert original.brief == "no"
    assert caught.value is not original
