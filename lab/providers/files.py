"""Files that providers keep in a lab's folder, kubeconfigs before all: 0600, whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.settings import Settings


def kubeconfig(settings: Settings, lab: str, cluster: str) -> Path:
    """Where the kubeconfig of a cluster lies, as :mod:`lab.state` has it."""
    return settings.lab(lab) / "kubeconfig" / f"{cluster}.yaml"


def renamed(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A kubeconfig with its one cluster, user and context called ``name``."""
    [cluster], [user], [context] = config["clusters"], config["users"], config["contexts"]
    return {
        **config,
        "clusters": [{**cluster, "name": name}],
        "users": [{**user, "name": name}],
        "contexts": [{"name": name, "context": {**context["context"], "cluster": name, "user": name}}],
        "current-context": name,
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as YAML. Whoever reads the file meanwhile gets what was there before."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yaml.safe_dump(content, file)
    partial.rename(path)
