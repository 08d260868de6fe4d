"""Real processes, no mocks: what goes wrong with processes goes wrong between processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.clients import process
from lab.errors import HostError, Interrupted


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_alive(pid: int) -> bool:
    """Whether a process runs; the dead that nobody has collected do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pid: int, *, within: float) -> bool:
    end = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


def test_returns_both_streams():
    result = process.run(["sh", "-c", "echo out; echo err >&2"])

    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert 0 < result.seconds < 10


def test_large_output_on_both_streams_does_not_block():
    result = process.run(python("import sys; sys.stderr.write('e' * 3_000_000); print('o' * 3_000_000)"))

    assert len(result.stdout) == 3_000_001
    assert len(result.stderr) == 3_000_000


def test_input_larger_than_a_pipe():
    result = process.run(["cat"], input="x" * 1_000_000)

    assert len(result.stdout) == 1_000_000


def test_input_as_bytes_arrives_unchanged():
    assert process.run(["od", "-An", "-tx1"], input=b"\x00\xff").stdout.split() == ["00", "ff"]


def test_input_that_nobody_reads_is_no_error():
    assert process.run(["true"], input="x" * 1_000_000).stdout == ""


def test_without_input_stdin_is_empty():
    assert process.run(["cat"]).stdout == ""


def test_output_that_is_not_utf8_is_shown_as_well_as_can_be():
    assert process.run(["printf", r"a\377b"]).stdout == "a\ufffdb"


def test_env_is_added_to_ours(monkeypatch):
    monkeypatch.setenv("LAB_TEST_OURS", "1")

    result = process.run(["sh", "-c", "echo $LAB_TEST_OURS$LAB_TEST_MORE"], env={"LAB_TEST_MORE": "2"})

    assert result.stdout == "12\n"
    assert "LAB_TEST_MORE" not in os.environ


def test_cwd(tmp_path):
    assert process.run(["pwd"], cwd=tmp_path).stdout == f"{tmp_path.resolve()}\n"


def test_a_failure_holds_command_code_and_output():
    with pytest.raises(process.CommandError) as caught:
        process.run(["sh", "-c", "echo reason >&2; exit 7"], remedy="Try again.")

    error = caught.value
    assert str(error) == (
        "sh failed with exit code 7\ncommand: sh -c 'echo reason >&2; exit 7'\nreason\nTry again."
    )
    assert error.exit_code_of_command == 7
    assert error.exit_code == 4


def test_a_failure_shows_the_end_of_long_output():
    with pytest.raises(process.CommandError) as caught:
        process.run(["sh", "-c", "seq 1000; exit 1"])

    assert caught.value.details.splitlines()[-1] == "1000"
    assert len(caught.value.details.splitlines()) < 50
    assert "\n500\n" in caught.value.output


def test_a_missing_executable():
    with pytest.raises(HostError) as caught:
        process.run(["lab-no-such-tool", "--version"], remedy="Install it.")

    assert str(caught.value) == (
        "lab-no-such-tool was not found\ncommand: lab-no-such-tool --version\nInstall it."
    )


def test_a_missing_folder_is_named_instead_of_the_executable(tmp_path):
    with pytest.raises(HostError, match="nowhere was not found"):
        process.run(["true"], cwd=tmp_path / "nowhere")


def test_a_file_that_may_not_be_run(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")

    with pytest.raises(HostError, match="cannot be run: Permission denied"):
        process.run([tool])


def test_a_file_that_is_no_program(tmp_path):
    tool = tmp_path / "tool"
    tool.write_bytes(b"\x7fELFnot")
    tool.chmod(0o755)

    with pytest.raises(HostError, match="cannot be run: Exec format error"):
        process.run([tool])


def test_a_timeout_ends_the_whole_group():
    with pytest.raises(process.CommandError, match=r"sh did not end within 0\.5 s") as caught:
        process.run(["sh", "-c", "sleep 60 & echo $!; wait"], timeout=0.5)

    assert caught.value.exit_code_of_command is None
    child = int(caught.value.details.splitlines()[1])
    assert gone(child, within=5)


def test_a_timeout_ends_what_ignores_being_asked():
    program = "trap '' TERM; echo $$; while :; do sleep 0.1; done"

    with pytest.raises(process.CommandError) as caught:
        process.run(["sh", "-c", program], timeout=0.3, grace=0.3)

    assert gone(int(caught.value.details.splitlines()[1]), within=5)


def test_an_orphan_that_ignores_being_asked_is_ended_too():
    program = "(trap '' TERM; while :; do sleep 0.1; done) & echo $!; wait"

    with pytest.raises(process.CommandError) as caught:
        process.run(["sh", "-c", program], timeout=0.3, grace=1)

    assert gone(int(caught.value.details.splitlines()[1]), within=5)


def test_cancelled_ends_the_group_soon():
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    seen: list[str] = []
    started = time.monotonic()

    with pytest.raises(Interrupted):
        process.run(["sh", "-c", "echo $$; sleep 60"], cancelled=cancelled, on_line=seen.append)

    assert time.monotonic() - started < 5
    assert gone(int(seen[0]), within=5)


def test_a_process_may_clean_up_when_cancelled():
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    seen: list[str] = []
    program = "trap 'sleep 0.3; echo cleaned; exit' TERM; echo ready; sleep 60 & wait"

    with pytest.raises(Interrupted):
        process.run(["sh", "-c", program], cancelled=cancelled, on_line=seen.append, grace=5)

    assert seen == ["ready", "cleaned"]


def test_lines_come_as_they_are_printed():
    times: list[float] = []

    process.run(["sh", "-c", "echo a; sleep 0.4; echo b"], on_line=lambda _: times.append(time.monotonic()))

    assert times[1] - times[0] > 0.2


def test_a_listener_that_fails_does_not_stop_the_process(caplog):
    heard: list[str] = []

    def listen(line: str) -> None:
        heard.append(line)
        raise RuntimeError("deaf")

    result = process.run(["seq", "100000"], on_line=listen, timeout=20)

    assert heard == ["1"]
    assert result.stdout.endswith("100000\n")
    assert "not called again" in caplog.text


def test_the_command_is_logged_before_it_runs(caplog):
    with caplog.at_level("DEBUG"):
        process.run(["echo", "two words"])

    assert caplog.records[0].getMessage() == "run: echo 'two words'"


def test_ctrl_c_reaches_us_and_not_our_processes():
    assert process.run(["sh", "-c", "ps -o sid= -p $$"]).stdout.strip() != str(os.getsid(0))


def test_find():
    found = process.find("sh")

    assert found is not None
    assert found.name == "sh"
    assert process.find("lab-no-such-tool") is None
    assert process.find("sh", path="/nowhere") is None


def test_a_daemon_outlives_the_call(tmp_path):
    log_file = tmp_path / "logs" / "daemon.log"

    pid = process.start_daemon(["sh", "-c", "echo started; echo bad >&2; exec sleep 60"], log_file=log_file)

    try:
        end = time.monotonic() + 5
        while log_file.read_text() != "started\nbad\n" and time.monotonic() < end:
            time.sleep(0.02)
        assert log_file.read_text() == "started\nbad\n"
        assert is_alive(pid)
        assert os.getsid(pid) == pid
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_daemon_that_does_not_exist(tmp_path):
    with pytest.raises(HostError, match="lab-no-such-tool was not found"):
        process.start_daemon(["lab-no-such-tool"], log_file=tmp_path / "log")


def test_no_process_is_left_when_we_exit_without_waiting():
    program = (
        "import sys, threading; from lab.clients import process\n"
        "ready = threading.Event()\n"
        "def show(line): print(line, flush=True); ready.set()\n"
        "work = lambda: process.run(['sh', '-c', 'echo $$; sleep 60'], on_line=show)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "ready.wait(10)\n"
    )
    child = process.run(python(program), cwd=Path(__file__).resolve().parents[3]).stdout

    assert gone(int(child), within=5)


def test_a_file_can_be_what_a_command_reads(tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_bytes(b"a\nb\n")
    with path.open("rb") as file:
        assert process.run(["cat"], input=file).stdout == "a\nb\n"
