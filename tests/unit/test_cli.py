"""Exit codes and what is printed, through real processes: that is what scripts and people see."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lab import __version__

PROJECT = Path(__file__).resolve().parents[2]

TASKS = '''
import os, signal, sys, time
from invoke.collection import Collection
from lab import console, errors
from lab.cli import Lab, task

@task
def good(c):
    """Succeed."""
    console.out("the result")

@task(help={"kind": "the class of the error"})
def bad(c, kind="ProvisionError", workers=1):
    """Fail."""
    raise getattr(errors, kind)("it broke", details="line 1\\nline 2", remedy="Mend it.")

@task
def bug(c):
    """Divide."""
    1 / 0

@task
def hang(c):
    """Wait."""
    try:
        print("ready", flush=True)
        time.sleep(30)
    finally:
        print("cleaned", flush=True)

@task
def stop(c):
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)

@task
def pour(c):
    """Print much."""
    for number in range(100_000):
        console.out(str(number))

@task
def leak(c):
    """Break a pipe that is not stdout."""
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b"x")

@task
def snapshot(c, name):
    """Take a positional argument."""
    console.out(name)

if __name__ == "__main__":
    group = Collection("group")
    group.add_task(good, name="save")
    names = Collection(good, bad, bug, hang, stop, pour, leak, snapshot, group)
    Lab(names).run()
'''


@pytest.fixture
def command(tmp_path):
    """The words that start the tiny program, and its environment."""
    program = tmp_path / "tasks.py"
    program.write_text(TASKS)
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {
        **keep,
        "PYTHONPATH": str(PROJECT),
        "LAB_STATE": str(tmp_path / "state"),
        "PYTHONWARNINGS": "error",
    }
    return [sys.executable, str(program)], env


@pytest.fixture
def lab(command):
    """Runs the tiny program with arguments."""
    words, env = command

    def lab(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *arguments], env={**env, **more}, capture_output=True, text=True, timeout=30, check=False
        )

    return lab


def test_success_prints_the_result_alone(lab, tmp_path):
    done = lab("good")

    assert (done.returncode, done.stdout, done.stderr) == (0, "the result\n", "")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("CheckFailed", 1),
        ("InputError", 2),
        ("HostError", 3),
        ("ProvisionError", 4),
        ("TemporaryError", 4),
        ("Inconclusive", 5),
        ("Interrupted", 130),
    ],
)
def test_an_error_gives_its_code_and_three_paragraphs(lab, kind, code):
    done = lab("bad", "--kind", kind)

    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr == "error: it broke\n  line 1\n  line 2\nMend it.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["god"],
            "error: there is no command 'god', did you mean good?\n./invoke --list shows",
        ),
        (["group.sav"], "error: there is no command 'group.sav', did you mean group.save?\n"),
        (["zzz"], "error: there is no command 'zzz'\n"),
        (["good", "extra"], "error: there is no command 'extra'\n"),
        (["--help", "god"], "error: there is no command 'god', did you mean good?\n"),
        (
            ["bad", "--kid=x"],
            "error: bad has no option --kid, did you mean --kind?\n./invoke --help bad shows what it takes",
        ),
        (["--lst"], "error: there is no option --lst, did you mean --list?\n"),
        (["bad", "--kind"], "error: --kind needed value and was not given one!\n./invoke --help bad"),
        (["bad", "--workers=many"], "error: invalid literal for int() with base 10: 'many'\n./invoke --help"),
        (["snapshot"], "error: 'snapshot' did not receive required positional arguments: 'name'\n"),
        (["--list", "grp"], "error: Sub-collection 'grp' not found!\n"),
    ],
)
def test_bad_input_is_2_and_names_the_nearest(lab, arguments, message):
    done = lab(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)


def test_without_arguments_it_helps(lab):
    done = lab()

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ./invoke COMMAND")
    assert "group.save" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["--list"], ["--help", "bad"], ["bad", "--help"]])
def test_help_is_a_result(lab, arguments):
    done = lab(*arguments)

    assert done.returncode == 0
    assert "Fail." in done.stdout
    assert done.stderr == ""


def test_the_version(lab):
    assert lab("--version").stdout == f"lab {__version__}\n"


def test_list_as_json(lab):
    names = [each["name"] for each in json.loads(lab("--list", "--list-format=json").stdout)["tasks"]]

    assert "good" in names


def test_a_bug_is_one_line_and_a_file(lab, tmp_path):
    done = lab("bug")

    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "error: unexpected ZeroDivisionError: division by zero"
    path = Path(lines[1].removeprefix("  traceback: "))
    assert path.parent == tmp_path / "state" / "logs"
    assert "1 / 0" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_bug_that_cannot_be_written_down_is_shown(lab, tmp_path):
    (tmp_path / "state").write_text("not a folder")

    done = lab("bug")

    assert done.returncode == 4
    assert "error: unexpected ZeroDivisionError" in done.stderr
    assert "1 / 0" in done.stderr


def test_old_logs_are_removed(lab, tmp_path):
    logs = tmp_path / "state" / "logs"
    logs.mkdir(parents=True)
    for number in range(60):
        (logs / f"20200101T0000{number:02}Z-1.log").touch()

    lab("bug")

    kept = sorted(path.name for path in logs.iterdir())
    assert len(kept) == 50
    assert not kept[-1].startswith("2020")
    assert kept[0] == "20200101T000011Z-1.log"


def test_ctrl_c(lab):
    done = lab("stop")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_asked_to_end_unwinds_as_ctrl_c_does(command, number):
    words, env = command
    with subprocess.Popen([*words, "hang"], env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        assert running.stdout.read() == "cleaned\n"

    assert running.returncode == 130


def test_a_reader_that_leaves_is_no_error(command):
    words, env = command
    with subprocess.Popen(
        [*words, "pour"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "0\n"
        running.stdout.close()
        assert running.stderr.read() == ""

    assert running.returncode == 141


def test_another_pipe_that_breaks_is_an_error(lab):
    done = lab("leak")

    assert done.returncode == 4
    assert "unexpected BrokenPipeError" in done.stderr


def test_a_bad_environment_does_not_keep_help_away(lab):
    assert lab("--list", LAB_MIRRORS="nonsense").returncode == 0


def test_stock_invoke_tells_errors_too(lab, command, tmp_path):
    _, env = command
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "bad", "--kind", "HostError"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 3
    assert done.stderr == "error: it broke\n  line 1\n  line 2\nMend it.\n"


def test_the_real_commands_load_without_anything_heavy():
    program = textwrap.dedent("""
        import sys
        from lab.cli import Lab
        assert Lab().code_of(["./invoke", "--list"]) == 0
        heavy = {"pydantic", "kubernetes", "python_on_whales", "rich", "jinja2", "httpx", "cryptography"}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "test" in done.stdout


def test_tasks_that_are_missing(tmp_path):
    from lab.cli import load_tasks
    from lab.errors import InputError

    with pytest.raises(InputError, match=r"tasks\.py is missing"):
        load_tasks(tmp_path / "tasks.py")
