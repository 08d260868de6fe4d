"""The command line: Invoke, with our exit codes and our way of telling an error.

``./invoke`` runs this. A stock ``invoke`` in the checkout runs the same ``tasks.py`` without it, which is
why a task turns an error into Invoke's own ``Exit`` (:func:`task`): text and code survive, colour does not.

Nothing heavy is imported here: ``./invoke --list`` must feel immediate.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib.util
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar, overload

import invoke.tasks
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError, UnexpectedExit
from invoke.program import Program

from lab import __version__, console, logs
from lab.errors import InputError, Interrupted, LabError
from lab.settings import PROJECT

log = logging.getLogger(__name__)

Body = TypeVar("Body", bound=Callable[..., Any])
"""A function that is to be a command."""

EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE
"""The reader of our stdout went away (``./invoke --list | head``); the code that a shell gives to it."""

_HELP = """\
Usage: ./invoke COMMAND [--options]

Real Kubernetes clusters on one machine, joined in a mesh, and broken on purpose.
"""

_AFTER_HELP = """\
./invoke --help COMMAND    what a command does and takes
./invoke --list            the commands alone
./invoke --version         which version this is
"""


class Lab(Program):
    """Invoke's program over the checkout's ``tasks.py``, or over the ``namespace`` that is given."""

    def __init__(self, namespace: Collection | None = None) -> None:
        super().__init__(
            name="lab",
            binary="./invoke",
            binary_names=["./invoke", "invoke"],
            version=__version__,
            # Invoke asks early whether there is a namespace, long before it looks into it.
            namespace=namespace or Collection(),
        )
        self._given = namespace is not None

    def run(self, argv: Sequence[str] | None = None, exit: bool = True) -> None:  # noqa: FBT001, FBT002  # Invoke's
        """Run the command line ``argv`` (``sys.argv`` unless given) and end with its exit code.

        With ``exit`` false the code is not acted upon.
        """
        code = self.code_of(argv)
        if exit:
            sys.exit(code)

    def code_of(self, argv: Sequence[str] | None = None) -> int:
        """Run the command line ``argv`` and return its exit code. Every error ends here."""
        try:
            self._go(list(argv) if argv is not None else None)
            sys.stdout.flush()
        except Exit as end:
            # `task` below has wrapped it; the error itself can be told better than its text.
            if isinstance(end.__cause__, LabError):
                return _tell(end.__cause__)
            if end.message:
                console.note(end.message)
            return int(end.code)
        except UnexpectedExit as end:
            console.note(str(end))
            return int(end.result.exited)
        except LabError as error:
            return _tell(error)
        except KeyboardInterrupt:
            return _tell(Interrupted("interrupted"))
        except BrokenPipeError as error:
            return EXIT_BROKEN_PIPE if _stdout_is_broken() else _tell_unexpected(error)
        except Exception as error:  # noqa: BLE001  # a bug: the user gets a line, the log the rest
            return _tell_unexpected(error)
        return 0

    def _go(self, argv: list[str] | None) -> None:
        """What ``Program.run`` does, without its own ideas of what to print and how to exit."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, _like_ctrl_c)
        logs.to_file()
        dont_write_bytecode = sys.dont_write_bytecode
        try:
            self.create_config()
            self.parse_core(argv)
            # Invoke turns this on, for the sake of tasks files; ours are more, and compiled once.
            sys.dont_write_bytecode = dont_write_bytecode
            if not self._given:
                self.namespace = load_tasks()
            self.parse_collection()
            self.parse_tasks()
            self.parse_cleanup()
        except ParseError as error:
            raise self._explained(error) from error
        except ValueError as error:
            # The parser passes on what int() says of `--workers=many`.
            remedy = "./invoke --help COMMAND shows what a command takes."
            raise InputError(str(error), remedy=remedy) from error
        except Exit as end:
            if end.message:
                raise InputError(end.message) from end
            raise
        self.update_config()
        self.execute()

    def print_help(self) -> None:
        """Print usage and commands; of Invoke's core options only those that are of use here."""
        console.out(_HELP)
        self.list_tasks()
        console.out(_AFTER_HELP.rstrip())

    def task_list_opener(self, extra: str = "") -> str:
        """The word above the list of commands."""
        return "Commands"

    def _explained(self, error: ParseError) -> InputError:
        # Invoke shows its own object: "Flag <Argument: tier (t)> needed value".
        text = re.sub(r"Flag <Argument: (\S+?)( \(.*?\))?>", r"--\1", str(error))
        context = error.context
        command = context.name if context else None
        remedy = "./invoke --list shows all commands."
        if command:
            remedy = f"./invoke --help {command} shows what it takes."
        unknown = re.fullmatch("No idea what '(.*)' is!", text)
        if not unknown:
            return InputError(text, remedy=remedy)
        word = unknown[1]
        if word.startswith("-"):
            known = [*(context.flags if context else ()), *self.initial_context.flags]
            whose = f"{command} has no option {word}" if command else f"there is no option {word}"
        else:
            known = list(self.parser.contexts)
            whose = f"there is no command {word!r}"
        close = difflib.get_close_matches(word, known, n=1)
        return InputError(whose + (f", did you mean {close[0]}?" if close else ""), remedy=remedy)


@overload
def task(body: Body) -> Body: ...


@overload
def task(**options: Any) -> Callable[[Body], Body]: ...


def task(body: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Invoke's ``task``, bare or with its options, for bodies that raise :class:`lab.errors.LabError`."""

    def decorate(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def told(*args: Any, **kwargs: Any) -> Any:
            try:
                return body(*args, **kwargs)
            except LabError as error:
                raise Exit(console.error_text(error), code=error.exit_code) from error

        return invoke.tasks.task(told, **options)

    return decorate if body is None else decorate(body)


def load_tasks(path: Path = PROJECT / "tasks.py") -> Collection:
    """The commands that ``path`` defines.

    Raises :class:`lab.errors.InputError` when there is no such file, and whatever it raises itself.
    """
    spec = importlib.util.spec_from_file_location("tasks", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path} is missing", remedy="Restore the checkout: git checkout -- tasks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tasks"] = module
    spec.loader.exec_module(module)
    return Collection.from_module(module)


def main() -> NoReturn:
    """Run ``sys.argv`` and exit."""
    Lab().run()
    raise SystemExit


def _tell(error: LabError) -> int:
    console.error(error)
    if error.exit_code == LabError.exit_code and (path := logs.written()):
        console.note(f"Every command that was run is in {path}")
    return error.exit_code


def _tell_unexpected(error: Exception) -> int:
    log.critical("unexpected", exc_info=error)
    path = logs.written()
    told = LabError(
        f"unexpected {type(error).__name__}: {error}",
        details=f"traceback: {path}" if path else "",
        remedy="This is a bug in lab. Please report it with that file." if path else "",
    )
    console.error(told)
    if path is None:
        # Better ugly than lost.
        logging.getLogger("lab").addHandler(logging.StreamHandler())
        log.critical("no log file could be written", exc_info=error)
    return told.exit_code


def _like_ctrl_c(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that locks are released and faults rolled back."""
    raise KeyboardInterrupt


def _stdout_is_broken() -> bool:
    """Whether stdout has lost its reader; other pipes (of a client, say) can break too.

    If so stdout is replaced, or the interpreter would complain when it flushes at exit.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


if __name__ == "__main__":
    # As `lab.cli` and not as `__main__`: tasks.py imports it by that name, and there must be one of it.
    from lab.cli import main as run_as_module

    run_as_module()
