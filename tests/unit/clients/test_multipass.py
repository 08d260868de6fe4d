"""The door to Multipass: its command lines are those of tests/multipass/expected.yaml, and so the answers."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from lab.clients import multipass
from lab.clients.multipass import Machine
from lab.clients.process import CommandError
from lab.errors import DaemonUnreachable, LabError, ProvisionError
from tests.multipass.confirm import entries

PROGRAM = """\
#!{python}
import json, pathlib, sys
asked = pathlib.Path({asked!r})
known = json.loads(pathlib.Path({known!r}).read_text())
with asked.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
found = [each for each in known if each["words"] == sys.argv[1:]]
if not found:
    sys.exit("not in expected.yaml: " + json.dumps(sys.argv[1:]))
answer = found[0]
if "stdin" in answer and answer["words"][0] != "launch":
    assert sys.stdin.read() == answer["stdin"]
(sys.stderr if answer.get("exit") else sys.stdout).write(answer.get("reply", ""))
sys.exit(answer.get("exit", 0))
"""

RUNNING = json.dumps({"list": [{"name": "lab-confirm", "state": "Running", "ipv4": ["10.97.0.76"]}]})


class Standing:
    """A program called multipass on PATH; ``asked`` are the command lines that it was given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked, self._known = folder / "asked", folder / "known.json"
        program = folder / "multipass"
        program.write_text(
            PROGRAM.format(python=sys.executable, asked=str(self._asked), known=str(self._known))
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        self.answers()

    def answers(self, dialect: str = "1.16", *, skip: int = 0, **changed: object) -> None:
        """Answer as expected; of several answers to one command line, with the one after ``skip``."""
        known = [entry for entry in entries() if entry.get("dialect", dialect) == dialect]
        for _ in range(skip):
            first = next(entry for entry in known if entry["words"][0] == "launch")
            known.remove(first)
        self._known.write_text(json.dumps([{**entry, **changed} for entry in known]))

    def knows(self, entry: dict[str, object]) -> None:
        """Answer one command line as ``entry`` says, and no other way."""
        known = json.loads(self._known.read_text())
        self._known.write_text(json.dumps([entry, *known]))

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self._asked.read_text().splitlines()]


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    return Standing(tmp_path, monkeypatch)


def launch(*, image: str = "24.04", memory: str = "2G", name: str = "lab-confirm") -> None:
    multipass.launch(
        name, image=image, cpus=2, memory=memory, disk="6G", user_data="#cloud-config\n{}\n", timeout=600
    )


def test_what_there_is(standing: Standing) -> None:
    assert multipass.machines() == {
        "lab-confirm": Machine("lab-confirm", "Running", "10.97.0.76"),
        "lab-confirm2": Machine("lab-confirm2", "Stopped", ""),
    }
    standing.knows({"words": ["list", "--format", "json"], "reply": RUNNING.replace("10.97.0.76", "N/A")})
    assert multipass.machines()["lab-confirm"].address == ""
    assert multipass.memory(["lab-confirm"]) == {"lab-confirm": 178364416}
    assert multipass.memory([]) == {}
    assert multipass.version() == "1.16.1"
    assert multipass.driver() == "qemu"
    assert multipass.images("24.04") == ["24.04"]


def test_what_it_is_asked_to_do(standing: Standing, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("an archive\n")
    launch()
    multipass.transfer(tmp_path / "archive", "lab-confirm", "/home/ubuntu/machine.tar", timeout=60)
    multipass.stop("lab-confirm")
    multipass.start(["lab-confirm"], timeout=600)
    multipass.suspend("lab-confirm")
    multipass.stop("lab-confirm", force=True)
    multipass.delete(["lab-confirm", "lab-confirm2"])
    assert [words[0] for words in standing.asked] == shlex.split(
        "help launch transfer stop start suspend stop help delete"
    )


def test_a_later_version_is_asked_in_its_own_words(standing: Standing) -> None:
    standing.answers("next")
    multipass.delete(["lab-confirm", "lab-confirm2"])
    assert standing.asked[-1] == ["delete", "--force", "lab-confirm", "lab-confirm2"]


def test_zones_are_not_spread_over(standing: Standing) -> None:
    standing.answers("next", reply="  --zone <zone>\n")
    with pytest.raises(CommandError):
        launch()
    assert "--zone zone1" in " ".join(standing.asked[-1])


def test_a_command_runs_as_root_and_keeps_its_exit_code(standing: Standing) -> None:
    assert multipass.execute("lab-confirm", ("cat", "-"), input="as it was\n") == "as it was\n"
    with pytest.raises(CommandError) as failed:
        multipass.execute("lab-confirm", ("sh", "-c", "exit 7"), what="the seventh")
    assert failed.value.exit_code_of_command == 7
    assert failed.value.brief == "the seventh in lab-confirm: it failed with exit code 7"


@pytest.mark.parametrize("code", [3, 5])
def test_codes_and_words_of_what_runs_in_a_machine_are_its_own(standing: Standing, code: int) -> None:
    standing.answers()
    entry = next(each for each in entries() if each.get("exit") == 7)
    standing.knows({"words": ["list", "--format", "json"], "reply": RUNNING})
    standing.knows({**entry, "exit": code, "reply": "it already exists"})
    with pytest.raises(CommandError) as failed:
        multipass.execute("lab-confirm", ("sh", "-c", "exit 7"))
    assert failed.value.brief == f"sh in lab-confirm: it failed with exit code {code}"
    assert failed.value.remedy == ""


@pytest.mark.parametrize(("name", "state"), [("lab-confirm2", "Stopped"), ("lab-confirm3", "not there")])
def test_a_machine_that_does_not_run_is_left_so(standing: Standing, name: str, state: str) -> None:
    with pytest.raises(ProvisionError) as refused:
        multipass.execute(name, ("true",))
    assert str(refused.value) == f"{name} does not run: it is {state}"
    assert [words[0] for words in standing.asked] == ["list"]


@pytest.mark.parametrize(
    ("change", "skip", "told", "remedy"),
    [
        (
            {},
            1,
            'instance "lab-confirm" already exists',
            "Give the lab another name (--name NAME), or remove that machine: multipass delete.",
        ),
        (
            {"image": "no-such-image", "name": "lab-confirm3"},
            0,
            'Unable to find an image matching "no-such-image"',
            "multipass find lists them; without a network, those launched before.",
        ),
        (
            {"memory": "100000G", "name": "lab-confirm3"},
            0,
            "Cannot allocate memory",
            "Give the machines less memory (multipass: {memory: ...}), or stop something.",
        ),
    ],
)
def test_what_cannot_be_launched(
    standing: Standing, change: dict[str, str], skip: int, told: str, remedy: str
) -> None:
    standing.answers(skip=skip)
    with pytest.raises(ProvisionError) as failed:
        launch(**change)
    name = change.get("name", "lab-confirm")
    assert failed.value.brief == f"multipass launch {name}: it failed with exit code 2"
    assert told in failed.value.details
    assert failed.value.remedy == remedy


@pytest.mark.parametrize(
    ("code", "text", "kind", "brief"),
    [
        (3, "list failed: cannot connect to the multipass socket", DaemonUnreachable, "does not answer"),
        (5, "Timed out waiting for instance launch.", CommandError, "it did not end in time"),
    ],
)
def test_a_daemon_that_is_away_or_slow(
    standing: Standing, code: int, text: str, kind: type[LabError], brief: str
) -> None:
    standing.answers(exit=code, reply=text)
    with pytest.raises(kind) as failed:
        multipass.machines()
    assert brief in failed.value.brief
    assert text in failed.value.details
    assert failed.value.remedy


def test_a_daemon_that_version_does_not_hear_of(standing: Standing) -> None:
    standing.answers(reply='{"multipass": "1.16.1"}')
    with pytest.raises(DaemonUnreachable) as failed:
        multipass.version()
    assert str(failed.value) == f"Multipass' daemon does not answer\n{multipass.START_DAEMON}"


def test_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DaemonUnreachable) as failed:
        multipass.machines()
    assert str(failed.value) == (
        f"multipass was not found\ncommand: multipass list --format json\n{multipass.INSTALL}"
    )
