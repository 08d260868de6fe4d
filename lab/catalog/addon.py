"""An addon as the rest of the program sees it: checked and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lab.catalog.contract import Contract
from lab.catalog.vocabulary import HIGHEST, LOWEST, SIZE, TEXT
from lab.document.load import read_value
from lab.document.scalars import Value
from lab.document.shapes import Boolean, Choice, Duration, Integer, Scalar
from lab.document.source import Node

OptionType = Literal["duration", "integer", "choice", "size", "text", "boolean"]
Verb = Literal["request", "apply", "get", "exec", "delete"]

# fmt: off
_BYTES: Final = {
    "": 1,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}
# fmt: on


OWN_VERSION: Final = "lab"
OWN_LICENCE: Final = "Apache-2.0"
"""Version and licence of addons that are part of the lab."""


@dataclass(frozen=True)
class Upstream:
    """The program that an addon installs. ``licence`` is an SPDX expression; ``sha256`` may be empty.

    ``source`` is empty where the program is part of the lab.
    """

    name: str
    version: str
    source: str
    licence: str
    sha256: str = ""


@dataclass(frozen=True)
class Option:
    """A setting that a topology may give in ``with``.

    ``default`` is a value of the type: seconds for a duration, text as written for a size.
    """

    name: str
    type: OptionType
    summary: str
    default: Value = ""
    values: tuple[str, ...] = ()
    lowest: int = LOWEST
    highest: int = HIGHEST

    @property
    def shape(self) -> Scalar:
        """What its values look like in a file."""
        match self.type:
            case "duration":
                return Duration()
            case "integer":
                return Integer(self.lowest, self.highest)
            case "choice":
                return Choice(self.values)
            case "size":
                return SIZE
            case "boolean":
                return Boolean()
            case "text":
                return TEXT

    def read(self, node: Node) -> Value:
        """Return the value that ``node`` has as this option. Raises :class:`lab.document.scalars.Unfit`."""
        return read_value(self.shape, node)


@dataclass(frozen=True)
class Definitions:
    """Objects that upstream publishes: what ``program`` keeps of its module under ``name``.

    ``only`` are files of that folder, without ``.yaml``; empty, it is all of them.
    """

    program: str
    name: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workload:
    """Something whose readiness an addon's depends on."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "Job"]
    name: str
    namespace: str


@dataclass(frozen=True)
class Step:
    """One step of a check or a contract: a verb, what it takes (defaults filled in), what must come of it.

    Strings in ``arguments`` that hold ``{{`` are Jinja2 templates. ``expect`` and ``until`` are Jinja2
    expressions, or empty.
    """

    verb: Verb
    arguments: Mapping[str, Any]
    expect: str = ""
    until: str = ""


@dataclass(frozen=True)
class Check:
    """What proves that an addon works for a user.

    ``each`` holds roles, or ``any``; empty, it is made where the addon is. ``timeout`` is in seconds.
    """

    id: str
    summary: str
    each: tuple[str, ...]
    timeout: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Url:
    """What ``open`` can open. ``secret`` names the secret that is the password of ``user``; may be empty."""

    name: str
    service: str
    namespace: str
    port: int
    path: str
    user: str = ""
    secret: str = ""


@dataclass(frozen=True, kw_only=True)
class Addon:
    """One addon. ``folder`` is where its files are, ``shown`` what messages call that folder."""

    name: str
    folder: Path
    shown: str
    summary: str
    upstream: Upstream
    on: tuple[str, ...]
    """Roles, or ``any``."""

    single: bool = False
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    namespace: str
    pod_security: Literal["privileged", "baseline", "restricted"] = "baseline"
    memory: str
    images: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    definitions: tuple[Definitions, ...] = ()
    templates: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    ready: tuple[Workload, ...] = ()
    checks: tuple[Check, ...] = ()
    contracts: tuple[Contract, ...] = ()
    urls: tuple[Url, ...] = ()

    @property
    def memory_mib(self) -> int:
        """What it requests on each cluster where it is, rounded up."""
        return -(-bytes_of(self.memory) // 2**20)

    def image(self, repository: str) -> str | None:
        """Return the addon's image of ``repository`` (or of that very reference); None if it is not one."""
        found = [each for each in self.images if repository in (each, repository_of(each))]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Catalog:
    """All addons by name, in the order of their names."""

    addons: Mapping[str, Addon]


def repository_of(reference: str) -> str:
    """Return an image reference without tag and digest."""
    name = reference.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return path + slash + last.partition(":")[0]


def bytes_of(size: str) -> int:
    """Return the bytes of a Kubernetes quantity such as ``128Mi``, rounded down."""
    number = size.rstrip("KMGTik")
    return int(float(number) * _BYTES[size[len(number) :]])
