"""Holds the direction of imports, the one door to each outside world, and a few habits.

From top to bottom, each may import what is below it:

    tasks
    lab.cli
    the stories: up, down, status, verify, degrade, ... (whatever stands under lab/ and is not named here)
    lab.engine  lab.providers  lab.mesh  lab.images  lab.platform       (of one another only `base`)
    lab.host
    lab.plan
    lab.catalog
    lab.topology
    lab.document  lab.graph

Beside these, lab.clients knows nothing of them, and everybody but the pure ones may use it and console.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

PURE = ("lab.graph", "lab.document", "lab.topology", "lab.catalog", "lab.plan")
"""In their order: each may import those before it."""

PURE_STORIES = (
    "lab.degrade.expression",
    "lab.degrade.header",
    "lab.degrade.history",
    "lab.degrade.judge",
    "lab.degrade.observed",
    "lab.degrade.rules",
    "lab.degrade.verdict",
    "lab.degrade.watched",
)
"""What judges an experiment afterwards: the same history is judged the same, at any time."""

WORKING = ("lab.engine", "lab.providers", "lab.mesh", "lab.images", "lab.platform")

BASE = ("lab", "lab.errors", "lab.result", "lab.settings", "lab.console", "lab.redact")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "lab": (),
    "lab.errors": (),
    # Below everything that writes: whoever writes a log, a journal or a report passes it through.
    "lab.redact": (),
    "lab.result": (),
    "lab.settings": ("lab.errors",),
    "lab.console": ("lab.errors",),
    "lab.logs": ("lab.errors", "lab.settings", "lab.redact"),
    "lab.clients": ("lab.errors", "lab.settings"),
    "lab.graph": ("lab.errors",),
    "lab.document": ("lab.errors",),
    "lab.topology": ("lab.errors", "lab.graph", "lab.document"),
    "lab.catalog": ("lab.errors", "lab.graph", "lab.document", "lab.topology"),
    "lab.plan": ("lab.errors", "lab.graph", "lab.document", "lab.topology", "lab.catalog"),
    "lab.host": (*BASE, *PURE, "lab.clients"),
    **dict.fromkeys(WORKING, (*BASE, *PURE, "lab.clients", "lab.host")),
}
"""What each package may import of lab, besides itself. A package that is not here is a story."""

NOT_FOR_STORIES = ("lab.cli", "tasks")

DOORS = {
    "subprocess": "lab.clients.process",
    "python_on_whales": "lab.clients.docker",
    "kubernetes": "lab.clients.kube",
    "httpx": "lab.clients.http",
}

PURE_STDLIB = frozenset(
    "__future__ abc base64 binascii bisect collections copy dataclasses difflib enum fnmatch functools "
    "graphlib hashlib heapq hmac io ipaddress itertools json math numbers operator pathlib re string "
    "textwrap types typing".split()
)
"""What cannot look at the world. pathlib can, but reading the files it is given is what a loader is for."""

PURE_LIBRARIES = frozenset({"yaml", "jinja2", "jsonschema"})

PURE_ALL_THE_SAME = {"lab.catalog.certificate": frozenset({"cryptography", "datetime"})}
"""Modules whose own tests show that they look at no clock and draw no numbers: what they make is the same."""

MOST_LINES = 400


@dataclass(frozen=True)
class Module:
    """A module's dotted name and its source."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


@cache
def modules() -> list[Module]:
    found = [Module("tasks", (PROJECT / "tasks.py").read_text())]
    for path in sorted((PROJECT / "lab").rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(), is_package))
    return found


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Every module that ``module`` imports, anywhere in it, and the line.

    ``from lab import errors`` is an import of ``lab.errors``.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.name.split(".")
                kept = len(parts) - node.level + module.is_package
                base = ".".join(filter(None, [*parts[:kept], base]))
            if base in {"lab", *PACKAGES}:
                for alias in node.names:
                    yield f"{base}.{alias.name}", node.lineno
            else:
                yield base, node.lineno


PACKAGES = frozenset({"lab.clients", "lab.host", *PURE, *WORKING})


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def home(name: str) -> str:
    """The row of the table that ``name`` belongs to: its first two parts, ``lab.images`` or ``lab.up``."""
    return ".".join(name.split(".")[:2])


def layer_problems(module: Module) -> Iterator[str]:
    """Imports of lab that go up or sideways."""
    own = home(module.name)
    for name, line in imports(module):
        target = home(name)
        if target not in {"tasks"} and not within(target, "lab"):
            continue
        if target == own or own == "tasks" or (target == "lab" or name == "lab.__version__"):
            continue
        if own in MAY_IMPORT:
            # A package's `base` is the vocabulary that it shares, as what a node is.
            is_shared = own in WORKING and any(within(name, f"{package}.base") for package in WORKING)
            allowed = is_shared or target in MAY_IMPORT[own]
        elif own == "lab.cli":
            allowed = target != "tasks"
        else:
            allowed = target not in NOT_FOR_STORIES
        if not allowed:
            yield f"{module.name}:{line} imports {name}, which is not below {own}"


def door_problems(module: Module) -> Iterator[str]:
    """Imports of the outside world through anything but its door."""
    for name, line in imports(module):
        door = DOORS.get(name.split(".")[0])
        # A door may be of several parts: lab.clients.kube and lab.clients.kube_streams.
        if door is not None and module.name != door and not module.name.startswith(f"{door}_"):
            yield f"{module.name}:{line} imports {name}; only {door} may"


def purity_problems(module: Module) -> Iterator[str]:
    """Imports, in pure packages, of anything that can look at the world."""
    if not any(within(module.name, package) for package in (*PURE, *PURE_STORIES)):
        return
    for name, line in imports(module):
        top = name.split(".")[0]
        if top in PURE_ALL_THE_SAME.get(module.name, ()):
            continue
        if top != "lab" and top not in PURE_STDLIB | PURE_LIBRARIES:
            yield f"{module.name}:{line} imports {name}, and {home(module.name)} is pure"


def habit_problems(module: Module) -> Iterator[str]:
    """Prints, missing docstrings, and modules that have grown too long."""
    if module.name != "lab.console":
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"{module.name}:{node.lineno} prints; that is lab.console's"
    if not ast.get_docstring(module.tree):
        yield f"{module.name} has no docstring"
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_overload = any(
                isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list
            )
            if not node.name.startswith("_") and not is_overload and not ast.get_docstring(node):
                yield f"{module.name}:{node.lineno} {node.name} has no docstring"
    lines = module.source.count("\n")
    if lines > MOST_LINES:
        yield f"{module.name} has {lines} lines: it is asking to be two"


CHECKS = (layer_problems, door_problems, purity_problems, habit_problems)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_project_keeps_its_rules(check):
    problems = [problem for module in modules() for problem in check(module)]

    assert not problems, "\n".join(problems)


def test_all_modules_are_looked_at():
    names = {module.name for module in modules()}

    assert {"tasks", "lab", "lab.errors", "lab.clients.process", "lab.graph"} <= names


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("lab.plan.step", "from lab.engine import run", "lab.plan.step:1 imports lab.engine.run"),
        ("lab.plan.step", "import lab.settings", "imports lab.settings, which is not below lab.plan"),
        ("lab.document.load", "from lab.plan.step import Step", "imports lab.plan.step"),
        ("lab.topology.read", "from lab.catalog import addon", "imports lab.catalog.addon"),
        ("lab.document.load", "from lab.topology.model import Topology", "imports lab.topology.model"),
        (
            "lab.catalog.load",
            "def f():\n    from lab import console",
            "lab.catalog.load:2 imports lab.console",
        ),
        ("lab.clients.kube", "from lab.topology.model import Topology", "not below lab.clients"),
        ("lab.clients.kube", "from lab import console", "not below lab.clients"),
        ("lab.clients.kube", "from ..topology import model", "imports lab.topology.model"),
        ("lab.providers.kind", "from lab.images import node", "imports lab.images.node"),
        ("lab.host.doctor", "from lab.providers.kind import Kind", "imports lab.providers.kind"),
        ("lab.engine.run", "from lab import up", "imports lab.up"),
        ("lab.mesh.ca", "import tasks", "imports tasks"),
        ("lab.up", "from lab.cli import task", "imports lab.cli"),
        ("lab.cli", "import tasks", "imports tasks"),
        ("lab.errors", "from lab import settings", "imports lab.settings"),
    ],
)
def test_imports_that_go_up_are_found(name, source, problem):
    assert problem in "\n".join(layer_problems(Module(name, source)))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("tasks", "from lab.cli import task\nfrom lab import up"),
        ("lab.cli", "from lab import console, logs, __version__"),
        (
            "lab.up",
            "from lab import status, console\nfrom lab.engine.run import run\nfrom lab.clients import kube",
        ),
        ("lab.degrade.judge", "from lab.plan.step import Step\nfrom lab.degrade import history"),
        ("lab.mesh.tunnel", "from lab.providers.base import Node\nfrom lab.providers import base"),
        ("lab.images.source.image", "from lab.images import catalog\nfrom lab.clients import process"),
        ("lab.plan.resolve", "from lab import graph\nfrom lab.topology.model import Topology"),
        (
            "lab.clients.kube",
            "from .wait import wait_until\nfrom . import process\nfrom lab.errors import LabError",
        ),
    ],
)
def test_imports_that_go_down_are_allowed(name, source):
    assert not list(layer_problems(Module(name, source)))


def test_a_package_is_relative_to_itself():
    package = Module("lab.providers", "from .base import Provider", is_package=True)

    assert [name for name, _ in imports(package)] == ["lab.providers.base"]


@pytest.mark.parametrize("world", DOORS)
def test_a_second_door_is_found(world):
    second = Module("lab.host.doctor", f"def f():\n    from {world}.inner import thing")
    door = Module(DOORS[world], f"import {world}")

    assert list(door_problems(second)) == [
        f"lab.host.doctor:2 imports {world}.inner; only {DOORS[world]} may"
    ]
    assert not list(door_problems(door))


@pytest.mark.parametrize("world", ["os", "time", "socket", "random", "threading", "datetime", "rich.table"])
def test_what_is_not_pure_is_found(world):
    assert list(purity_problems(Module("lab.document.load", f"import {world}")))
    assert not list(purity_problems(Module("lab.engine.run", f"import {world}")))


def test_what_is_pure_exists():
    assert not PURE_STDLIB - sys.stdlib_module_names
    assert not {*PURE, *PURE_STORIES} - {module.name for module in modules()}


def test_habits_are_checked():
    source = '"""Doc."""\n\ndef shout():\n    print("x")\n\nclass Thing:\n    pass\n\ndef _own(): ...\n'

    assert list(habit_problems(Module("lab.up", source + "\n" * MOST_LINES))) == [
        "lab.up:4 prints; that is lab.console's",
        "lab.up:3 shout has no docstring",
        "lab.up:6 Thing has no docstring",
        "lab.up has 409 lines: it is asking to be two",
    ]
    assert list(habit_problems(Module("lab.up", "x = 1\n"))) == ["lab.up has no docstring"]
