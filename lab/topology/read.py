"""From a name on the command line to a topology that can be built, or to all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from lab.document.load import load
from lab.document.position import Problem, in_order, listed, nearest
from lab.errors import InputError
from lab.topology.addressing import allocate
from lab.topology.check import check
from lab.topology.declare import Declaration, declare
from lab.topology.model import Cluster, Kept, Network, Provider, Topology
from lab.topology.snapshot import FREE_HOST, HostSnapshot
from lab.topology.vocabulary import FORMAT, NAME_LONGEST, NAME_PATTERN

SUFFIXES = (".yaml", ".yml")
_MODELINE = "# yaml-language-server:"


def read_topology(
    name_or_path: str,
    *,
    folder: Path,
    snapshot: HostSnapshot = FREE_HOST,
    kept: Kept | None = None,
    lab_name: str | None = None,
) -> Topology:
    """Find, load, check and address a topology.

    ``name_or_path`` is a name in ``folder`` or the path of a file. ``snapshot`` is what the host uses;
    ``kept`` what an existing lab was given earlier; ``lab_name`` the lab's name if it is not the topology's.

    Raises InputError, with every problem on a line of its own in ``details``, sorted by place; also
    where there is no such topology or it cannot be read.
    """
    path, shown = _find(name_or_path, folder)
    if lab_name is not None and not (re.fullmatch(NAME_PATTERN, lab_name) and len(lab_name) <= NAME_LONGEST):
        raise InputError(
            f'"{lab_name}" cannot be the name of a lab',
            remedy=f"Use lower-case letters, digits and inner dashes, at most {NAME_LONGEST} characters.",
        )
    document, problems = load(_read(path, shown), file=shown, format=FORMAT)
    if document is None:
        raise _refusal(problems, shown)
    declaration, more = declare(document)
    lab = lab_name or declaration.name
    facts = snapshot.facts(lab=lab, node_cidr=kept.node_cidr if kept else None)
    problems += more
    problems += check(declaration, lab=lab, facts=facts, kept=kept)
    if problems:
        raise _refusal(problems, shown)
    allocated, problems = allocate(declaration, facts=facts, kept=kept)
    if allocated is None:
        raise _refusal(problems, shown)
    # Once more with everything filled in: the allocator is trusted no more than a person is.
    if problems := check(declaration, lab=lab, facts=facts, kept=kept, allocated=allocated):
        raise _refusal(problems, shown)
    return _assemble(declaration, allocated, lab=lab, path=path)


def known_topologies(folder: Path) -> list[tuple[str, str]]:
    """Return the name of every topology in ``folder``, sorted, with the comment that says what it is for."""
    files = [path for path in folder.iterdir() if path.suffix in SUFFIXES] if folder.is_dir() else []
    return sorted((path.stem, _summary(path.read_text(encoding="utf-8", errors="replace"))) for path in files)


def _summary(text: str) -> str:
    comments = (line for line in text.splitlines() if line.startswith("#") and not line.startswith(_MODELINE))
    return next(comments, "").lstrip("# ").strip()


def _find(name_or_path: str, folder: Path) -> tuple[Path, str]:
    """Return the file that is meant, and what messages call it."""
    if "/" in name_or_path or name_or_path.endswith(SUFFIXES):
        path = Path(name_or_path)
        if path.is_file():
            return path, name_or_path
        what = "is a folder, not a topology" if path.is_dir() else "does not exist"
        raise InputError(
            f"{name_or_path} {what}",
            remedy="Give the path of a topology file, or a name: " + _names(folder) + ".",
        )
    for suffix in SUFFIXES:
        path = folder / f"{name_or_path}{suffix}"
        if path.is_file():
            return path, f"{folder.name}/{path.name}"
    guess = nearest(name_or_path, [name for name, _ in known_topologies(folder)])
    raise InputError(
        f'there is no topology "{name_or_path}"' + (f'; did you mean "{guess}"?' if guess else ""),
        details="\n".join(f"{name}: {summary}" for name, summary in known_topologies(folder)),
        remedy="Give one of these names, or the path of a file of your own.",
    )


def _names(folder: Path) -> str:
    return listed((name for name, _ in known_topologies(folder)), joint="or") or "there is none yet"


def _read(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{shown} cannot be read", details=str(error.strerror), remedy="Check its permissions."
        ) from error


def _refusal(problems: Iterable[Problem], shown: str) -> InputError:
    lines = [str(problem) for problem in in_order(problems)]
    count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
    return InputError(f"{count} in {shown}", details="\n".join(lines), remedy="Nothing was started.")


def _assemble(declaration: Declaration, allocated: Kept, *, lab: str, path: Path) -> Topology:
    clusters = []
    for declared in declaration.clusters:
        addresses = allocated.clusters[declared.name]
        clusters.append(
            Cluster(
                name=declared.name,
                role=declared.role,
                provider=cast("Provider", declared.provider),
                kubernetes=declared.kubernetes,
                nodes=declared.nodes,
                id=addresses.id,
                pod_cidr=addresses.pod_cidr,
                service_cidr=addresses.service_cidr,
                mesh_port=addresses.mesh_port,
                provider_options=dict(declared.options),
                position=declaration.document.key_at(declared.path),
            )
        )
    return Topology(
        name=lab,
        declared_name=declaration.name,
        path=path,
        clusters=tuple(clusters),
        mesh=declaration.mesh,
        network=Network(declaration.egress, allocated.node_cidr),
        addons=declaration.addons,
    )
