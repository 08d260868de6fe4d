"""The only place that starts processes.

Every command has a time limit, runs in a process group of its own (so that Ctrl-C ends what it
started, in our order), is logged with its arguments before it starts, and fails as a
:class:`CommandError` that holds the command, its exit code and the end of its output. Arguments
are logged as given: secrets go through ``input`` or ``env``, never through an argument.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO

from lab.errors import HostError, Interrupted, ProvisionError

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 120.0
_GRACE_S = 10.0
"""How long a process has to end after SIGTERM before SIGKILL."""

_ORPHAN_GRACE_S = 1.0
"""The same for what it started, once it has ended itself. Short: where process 1 does not collect the
dead, as in many containers, a dead orphan cannot be told from a live one."""

_running: set[subprocess.Popen[bytes]] = set()
"""What :func:`run` has started and not seen the end of."""

_TAIL_LINES = 25
"""Lines of output kept in an error: enough for the cause, short enough to read."""


class CommandError(ProvisionError):
    """A command ended with a code other than 0, or ran out of time."""

    def __init__(
        self, brief: str, *, exit_code_of_command: int | None, output: str, remedy: str = ""
    ) -> None:
        tail = "\n".join(output.rstrip().splitlines()[-_TAIL_LINES:])
        super().__init__(brief, details=tail, remedy=remedy)
        self.exit_code_of_command = exit_code_of_command
        self.output = output


@dataclass(frozen=True)
class Result:
    """What a finished command printed, and how long it took in seconds."""

    stdout: str
    stderr: str
    seconds: float


def find(tool: str, *, path: str | None = None) -> Path | None:
    """The executable that ``tool`` names on PATH (or on ``path``), if any."""
    found = shutil.which(tool, path=path)
    return Path(found) if found else None


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    input: str | bytes | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: IO[bytes] | None = None,
    on_line: Callable[[str], None] | None = None,
    cancelled: Event | None = None,
    grace: float = _GRACE_S,
    remedy: str = "",
) -> Result:
    """Run ``command`` to its end and return what it printed.

    ``input`` is what it reads, or an open file that it reads from. ``env`` is added to our own environment.
    ``stdout`` is a file that takes the output instead
    (bytes, or more than fits into memory). ``on_line`` is called with every line of either
    stream as it comes. ``cancelled``, once set, ends the process and raises
    :class:`Interrupted`. ``timeout`` is in seconds, as is ``grace``, what the process has for
    ending when it is asked to. Raises :class:`CommandError` on a non-zero
    exit or a time-out, :class:`HostError` when there is no such executable.
    """
    words = [str(word) for word in command]
    shown = shlex.join(words)
    log.debug("run: %s", shown)
    started = time.monotonic()
    text, file = (input, None) if isinstance(input, str | bytes) else (None, input)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if text is not None else file or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        missing = cwd if cwd and not cwd.exists() else words[0]
        raise HostError(f"{missing} was not found", details=f"command: {shown}", remedy=remedy) from error
    except OSError as error:
        raise HostError(
            f"{words[0]} cannot be run: {error.strerror}", details=f"command: {shown}", remedy=remedy
        ) from error
    _running.add(process)

    texts: tuple[list[str], list[str]] = ([], [])
    readers = [
        Thread(target=_drain, args=(stream, lines, on_line), daemon=True)
        for stream, lines in zip((process.stdout, process.stderr), texts, strict=True)
        if stream is not None
    ]
    for reader in readers:
        reader.start()
    if text is not None:
        feeder = Thread(target=_feed, args=(process.stdin, text), daemon=True)
        feeder.start()
    try:
        code = _wait(process, deadline=started + timeout, grace=grace, cancelled=cancelled)
    except BaseException:
        _end(process, grace=grace)
        raise
    finally:
        for reader in readers:
            reader.join(timeout=_GRACE_S)
        _running.discard(process)
    seconds = time.monotonic() - started
    printed, complained = ("".join(lines) for lines in texts)
    log.debug("exit %s after %.2f s: %s", code, seconds, shown)
    if code is None:
        raise CommandError(
            f"{Path(words[0]).name} did not end within {timeout:g} s",
            exit_code_of_command=None,
            output=f"command: {shown}\n{printed}{complained}",
            remedy=remedy,
        )
    if code != 0:
        raise CommandError(
            f"{Path(words[0]).name} failed with exit code {code}",
            exit_code_of_command=code,
            output=f"command: {shown}\n{printed}{complained}",
            remedy=remedy,
        )
    return Result(printed, complained, seconds)


def start_daemon(command: Sequence[str | Path], *, log_file: Path) -> int:
    """Start ``command`` as a daemon that outlives us, its output appended to ``log_file``.

    Returns its process id. Raises :class:`HostError` when there is no such executable.
    """
    words = [str(word) for word in command]
    log.debug("start: %s > %s", shlex.join(words), log_file)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise HostError(f"{words[0]} was not found", details=shlex.join(words)) from error
        except OSError as error:
            brief = f"{words[0]} cannot be run: {error.strerror}"
            raise HostError(brief, details=shlex.join(words)) from error
    # It is meant to outlive us: without this, Python warns that it does.
    process.returncode = 0
    return process.pid


def _wait(
    process: subprocess.Popen[bytes], *, deadline: float, grace: float, cancelled: Event | None
) -> int | None:
    """The exit code, or None on a time-out (the process has then been ended)."""
    while True:
        try:
            return process.wait(timeout=0.1 if cancelled else max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            if cancelled is not None and cancelled.is_set():
                raise Interrupted("interrupted") from None
            if time.monotonic() >= deadline:
                _end(process, grace=grace)
                return None


def _end(process: subprocess.Popen[bytes], *, grace: float) -> None:
    """Ask the whole process group to end, then make it; also what has outlived its leader."""
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    deadline = time.monotonic() + _ORPHAN_GRACE_S
    while _signal_group(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_group(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE_S)


def _signal_group(group: int, sign: int) -> bool:
    """Send ``sign`` (0: none) to a process group; False when there is nobody left in it."""
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@atexit.register
def _end_all() -> None:
    """Leave no process behind when we exit without waiting, as after a second Ctrl-C."""
    for process in list(_running):
        _signal_group(process.pid, signal.SIGKILL)


def _drain(stream: IO[bytes], lines: list[str], on_line: Callable[[str], None] | None) -> None:
    with stream:
        for raw in stream:
            line = raw.decode("utf-8", errors="replace")
            lines.append(line)
            if on_line is None:
                continue
            try:
                on_line(line.rstrip("\r\n"))
            except Exception:
                # Reading must go on, or the process would stop at a full pipe until its time-out.
                log.exception("on_line failed and is not called again")
                on_line = None


def _feed(stream: IO[bytes] | None, text: str | bytes) -> None:
    if stream is None:
        return
    # A process that ends without reading its input is judged by its exit code.
    with contextlib.suppress(BrokenPipeError, OSError), stream:
        stream.write(text.encode() if isinstance(text, str) else text)
