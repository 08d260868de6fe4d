"""Runs expected.yaml against the Multipass on PATH, and says line by line where it answers otherwise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

EXPECTED = Path(__file__).parent / "expected.yaml"
MACHINES = ("lab-confirm", "lab-confirm2", "lab-confirm3")


def entries() -> list[dict[str, Any]]:
    """What is expected, in order."""
    found: list[dict[str, Any]] = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    return found


def differences(entry: dict[str, Any], code: int, out: str, err: str) -> Iterator[str]:
    """Where an answer is not what ``entry`` expects."""
    if code != entry.get("exit", 0):
        yield f"exit code {code}, expected {entry.get('exit', 0)}"
    for key, text in (("prints", out), ("complains", err)):
        pattern = entry.get(key)
        if pattern and not re.search(pattern, text.strip(), re.IGNORECASE | re.MULTILINE):
            yield f"nothing like {pattern!r} in what it {key}"
    if "json" in entry and code == 0:
        answer = json.loads(out)
        for path, kind in entry["json"].items():
            seen = {type(value).__name__ for value in _at(answer, path.split("."))}
            if seen != {kind}:
                yield f"{path} is {' and '.join(sorted(seen)) or 'not there'}, expected {kind}"


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif path[0] == "*":
        for each in value.values() if isinstance(value, dict) else value:
            yield from _at(each, path[1:])
    elif path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _addressed(word: str) -> str:
    """``word``, with the addresses of machines for their names in braces."""
    if not re.search(r"\{lab-confirm2?\}", word):
        return word
    listed = json.loads(_run(["list", "--format", "json"]).stdout)["list"]
    for each in listed:
        word = word.replace(f"{{{each['name']}}}", next(iter(each["ipv4"]), ""))
    return word


def _run(words: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["multipass", *words], input=stdin, capture_output=True, text=True, timeout=1200, check=False
    )


def main() -> int:
    """Run everything; 0 if all is as expected."""
    there = [each["name"] for each in json.loads(_run(["list", "--format", "json"]).stdout)["list"]]
    if taken := [name for name in MACHINES if name in there]:
        sys.stderr.write(f"There are machines {', '.join(taken)} already: remove them first.\n")
        return 2
    dialect = "1.16" if "--purge" in _run(["help", "delete"]).stdout else "next"
    zoned = "--zone" in _run(["help", "launch"]).stdout
    failed = 0
    for entry in entries():
        if entry.get("dialect", dialect) != dialect:
            continue
        words = [_addressed(word) for word in entry["words"]]
        if zoned and words[0] == "launch":
            words[words.index("--timeout") : words.index("--timeout")] = ["--zone", "zone1"]
        done = _run(words, entry.get("stdin", ""))
        wrong = list(differences(entry, done.returncode, done.stdout, done.stderr))
        failed += bool(wrong)
        sys.stdout.write(f"{'DIFFERS' if wrong else 'ok':8}multipass {' '.join(words)}\n")
        for line in (*wrong, *((done.stdout + done.stderr).splitlines() if wrong else ())):
            sys.stdout.write(f"        {line}\n")
    for name in MACHINES:
        # One by one: of several, none is removed if there is one that is not there.
        _run(["delete", "--purge" if dialect == "1.16" else "--force", name])
    sys.stdout.write(f"{failed} of the answers differ\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
