"""A context of the user's own kubeconfigs, with all that it refers to: copied, and nothing changed there."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.document.position import did_you_mean, listed
from lab.errors import HostError, InputError


def taken(wanted: str, kubeconfig: str, *, name: str) -> dict[str, Any]:
    """A kubeconfig called ``name`` with the one context ``wanted``, and all that it refers to.

    It is looked for in the file ``kubeconfig``; empty, where kubectl would. Raises :class:`InputError` where
    there is no such context, or it refers to what is not there; :class:`HostError` for a file that it names
    and that cannot be read.
    """
    files = _files(kubeconfig)
    contexts = {key: entry for path in files for key, entry in _section(path, "contexts").items()}
    if wanted not in contexts:
        raise InputError(
            f'there is no context "{wanted}" in {listed(files, joint="or")}',
            remedy=did_you_mean(wanted, contexts) + f"There is {listed(sorted(contexts)) or 'none at all'}.",
        )
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": name}
    for section, inner in (("clusters", "cluster"), ("users", "user")):
        refers_to = contexts[wanted][0]["context"].get(inner)
        entries = [
            (_section(path, section)[refers_to]) for path in files if refers_to in _section(path, section)
        ]
        if not entries:
            raise InputError(
                f'context "{wanted}" names the {inner} "{refers_to}", and there is none of that name',
                remedy=f"Put it right in {listed(files, joint='or')}, or name another context.",
            )
        entry, folder = entries[0]
        config[section] = [{"name": name, inner: _embedded(entry[inner], folder)}]
    return {**config, "contexts": [{"name": name, "context": {"cluster": name, "user": name}}]}


def _files(named: str) -> list[Path]:
    """The kubeconfigs to look in: the one that is ``named``, or as kubectl does."""
    names = [named] if named else os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return [Path(name).expanduser().absolute() for name in names if name] or [
        Path("~/.kube/config").expanduser()
    ]


def _section(path: Path, section: str) -> dict[str, tuple[dict[str, Any], Path]]:
    """The entries of a section by name, each with the folder that its file names are relative to."""
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {entry["name"]: (entry, path.parent) for entry in read.get(section) or ()}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as a kubeconfig",
            details=type(error).__name__,
            remedy="Put it right, or name another: existing: {kubeconfig: PATH}.",
        ) from error


def _embedded(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A cluster or user with the files that it names inside it: ours lies elsewhere."""
    made = dict(entry)
    for key in ("certificate-authority", "client-certificate", "client-key"):
        if key in made:
            path = folder / made.pop(key)
            try:
                made[f"{key}-data"] = base64.b64encode(path.read_bytes()).decode()
            except OSError as error:
                raise HostError(f"{path} cannot be read: {error.strerror}") from error
    if "tokenFile" in made:
        made["tokenFile"] = str(folder / made["tokenFile"])
    return made
