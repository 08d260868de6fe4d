"""``kubeconfig``: the lab's contexts, printed, or kept in the user's own kubeconfig.

The user's file is changed as a tree of YAML nodes and not as values, so that what we do not know stays
as it was written (a date, a quoted number, an anchor); comments go, as with ``kubectl config``. Its
current context is never touched. What we put there is recorded in the lab's folder, and only that is
ever replaced or taken away.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import console, state
from lab.clients.wait import TimedOut, wait_until
from lab.errors import HostError, InputError, LabError
from lab.settings import Settings
from lab.state import LabFolder
from lab.workspace import Workspace, open_workspace

_RECORD = "merged.json"
"""In the lab's folder: for each kubeconfig that we merged into, the API server of each context."""

_SECTIONS = ("clusters", "users", "contexts")

_LOCK_S = 5.0
"""kubectl holds its lock for milliseconds."""


def text(settings: Settings, topology: str, *, name: str | None) -> str:
    """One kubeconfig with a context LAB-CLUSTER for each cluster, as YAML.

    None of them is the current one: with several clusters, a command should say which it means.
    Raises :class:`HostError` when the lab has no clusters yet.
    """
    workspace = open_workspace(settings, topology, name=name)
    configs = _configs(workspace)
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": ""}
    for section in _SECTIONS:
        merged[section] = [entry for config in configs.values() for entry in config[section]]
    return yaml.safe_dump(merged, sort_keys=False).rstrip()


def merge(settings: Settings, topology: str, *, name: str | None) -> tuple[Path, list[str]]:
    """Put the lab's contexts into the user's kubeconfig; return its path and the contexts' names.

    It is the first file that KUBECONFIG names, or ~/.kube/config. Contexts that an earlier merge of
    this lab left there are replaced. Raises :class:`InputError` when the file cannot be read as a
    kubeconfig or has one of these names for something else; it is then as it was.
    """
    workspace = open_workspace(settings, topology, name=name)
    configs = _configs(workspace)
    path = users_kubeconfig()
    record = _record(workspace.folder)
    with _locked(path):
        document = _Document.read(path)
        for context, server in record.get(str(path), {}).items():
            if document.server(context) == server:
                document.remove(context)
        for context, config in configs.items():
            if document.knows(context):
                if document.server(context) != _server(config):
                    raise InputError(
                        f"{path} has a cluster, user or context {context} that is not this lab's",
                        remedy="Nothing was changed. Rename or remove it (kubectl config delete-context, "
                        "delete-cluster, delete-user), or give the lab another name (--name).",
                    )
                document.remove(context)
            document.add(config)
        # Recorded first: what is recorded and not there does no harm, the reverse would stay for ever.
        servers = {context: _server(config) for context, config in configs.items()}
        workspace.folder.write(_RECORD, json.dumps({**record, str(path): servers}, indent=1))
        document.write(path)
    return path, list(configs)


def forget(settings: Settings, lab: str) -> list[str]:
    """Take the lab's contexts out of every kubeconfig that they were merged into; return what went, in words.

    One that points elsewhere by now is the user's, and stays. A file that cannot be changed is left
    as it is and told of on stderr: that is no reason for not removing the lab.
    """
    folder = state.folder(settings, lab)
    removed = []
    for file, contexts in _record(folder).items():
        path = Path(file)
        if not path.exists():
            continue
        try:
            with _locked(path):
                document = _Document.read(path)
                ours = [context for context, server in contexts.items() if document.server(context) == server]
                for context in ours:
                    document.remove(context)
                if ours:
                    document.write(path)
                    removed.append(f"context {', '.join(ours)} from {path}")
        except LabError as error:
            console.note(f"{path} still has {', '.join(contexts)}: {error.brief}")
    return removed


def users_kubeconfig() -> Path:
    """The file that ``merge`` changes: the first that KUBECONFIG names, or ~/.kube/config."""
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return Path(named[0] if named else "~/.kube/config").expanduser().absolute()


def _configs(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """The kubeconfig of each cluster that has one, by context."""
    files = {
        cluster.name: workspace.folder.kubeconfig(cluster.name) for cluster in workspace.topology.clusters
    }
    missing = [name for name, file in files.items() if not file.exists()]
    if len(missing) == len(files):
        raise HostError(
            f"{workspace.lab} has no clusters yet",
            remedy=f"Make them: ./invoke up{workspace.arguments}",
        )
    if missing:
        console.note(f"left out, not made yet: {', '.join(missing)} (./invoke up{workspace.arguments})")
    return {
        workspace.topology.context(name): yaml.safe_load(file.read_text())
        for name, file in files.items()
        if name not in missing
    }


def _server(config: Mapping[str, Any]) -> str:
    return str(config["clusters"][0]["cluster"]["server"])


def _record(folder: LabFolder) -> dict[str, dict[str, str]]:
    with contextlib.suppress(ValueError):
        return dict(json.loads(folder.read(_RECORD) or "{}"))
    return {}


@dataclass(frozen=True)
class _Document:
    """A kubeconfig as YAML nodes."""

    root: yaml.MappingNode
    sections: Mapping[str, yaml.SequenceNode]

    @classmethod
    def read(cls, path: Path) -> _Document:
        """The file at ``path``; an empty kubeconfig where there is none."""
        if path.exists() and not path.is_file():
            raise _unreadable(path, "it is no ordinary file")
        try:
            written = path.read_text(encoding="utf-8") if path.exists() else ""
            root = yaml.compose(written, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            # Not error.problem_mark's excerpt: the line may hold a key.
            where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
            raise _unreadable(path, f"{where}{error.problem}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise _unreadable(path, type(error).__name__) from error
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        if root is None:
            root = yaml.compose('apiVersion: v1\nkind: Config\ncurrent-context: ""\n', Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise _unreadable(path, "it is not a mapping")
        kind = _get(root, "kind")
        if kind is not None and kind.value != "Config":
            raise _unreadable(path, f"its kind is {kind.value}, not Config")
        _as_go_reads(root)
        return cls(root, {section: _sequence(root, section, path=path) for section in _SECTIONS})

    def knows(self, context: str) -> bool:
        """Whether a cluster, a user or a context has that name."""
        return any(_name(entry) == context for each in self.sections.values() for entry in each.value)

    def server(self, context: str) -> str | None:
        """The API server of the context and cluster called ``context``; None unless they belong together."""
        points_at = self._inner("contexts", "context", context)
        cluster = self._inner("clusters", "cluster", context)
        if cluster is None or (points_at is not None and _text(points_at, "cluster") != context):
            return None
        return _text(cluster, "server")

    def remove(self, context: str) -> None:
        """Take out cluster, user and context of that name."""
        for section in self.sections.values():
            section.value[:] = [entry for entry in section.value if _name(entry) != context]

    def add(self, config: Mapping[str, Any]) -> None:
        """Append the clusters, users and contexts of ``config``."""
        for name, section in self.sections.items():
            for entry in config[name]:
                section.value.append(yaml.compose(yaml.safe_dump(entry, sort_keys=False)))
            # "[]" is written in brackets, and so would be all that follows.
            section.flow_style = self.root.flow_style

    def write(self, path: Path) -> None:
        """Replace the file as a whole or not at all; mode and owner stay, a new one is 0600."""
        # A link stays one: what it leads to is replaced.
        target = path.resolve()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = target.stat() if target.exists() else None
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(yaml.serialize(self.root, Dumper=yaml.SafeDumper, allow_unicode=True, width=2**31))
                file.flush()
                os.fsync(file.fileno())
                if before is not None:
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                    with contextlib.suppress(PermissionError):
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _inner(self, section: str, field: str, name: str) -> yaml.MappingNode | None:
        for entry in self.sections[section].value:
            if _name(entry) == name:
                inner = _get(entry, field)
                return inner if isinstance(inner, yaml.MappingNode) else None
        return None


def _as_go_reads(node: yaml.Node) -> None:
    """Have dates and times be text: PyYAML would otherwise tag them when it must quote them, as in braces."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:timestamp" or (
            ":" in node.value and node.tag.endswith((":int", ":float"))
        ):
            node.tag = "tag:yaml.org,2002:str"
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _as_go_reads(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            _as_go_reads(value)


def _get(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in mapping.value if name.value == key), None)


def _text(mapping: yaml.MappingNode, key: str) -> str | None:
    node = _get(mapping, key)
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _name(entry: yaml.Node) -> str | None:
    return _text(entry, "name") if isinstance(entry, yaml.MappingNode) else None


def _sequence(root: yaml.MappingNode, section: str, *, path: Path) -> yaml.SequenceNode:
    """The list called ``section``, put in where it is missing or null."""
    for index, (key, value) in enumerate(root.value):
        if key.value == section:
            if isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:null":
                value = yaml.SequenceNode("tag:yaml.org,2002:seq", [], flow_style=False)
                root.value[index] = (key, value)
            if not isinstance(value, yaml.SequenceNode):
                raise _unreadable(path, f"{section} is not a list")
            return value
    made = yaml.SequenceNode("tag:yaml.org,2002:seq", [], flow_style=False)
    root.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", section), made))
    return made


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be read as a kubeconfig: {why}",
        remedy="It was left as it is. Put it right, or name another file: KUBECONFIG=FILE.",
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold kubectl's own lock: a file beside it that must not exist (client-go, clientcmd/config.go)."""
    lock = path.with_name(f"{path.name}.lock")

    def take() -> str | None:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return f"{lock} is there"
        return None

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        wait_until(f"the lock of {path}", take, timeout=_LOCK_S, every=0.1)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    except TimedOut as error:
        raise HostError(
            f"{path} is locked by another program",
            details=f"{lock} has been there for {_LOCK_S:g} s",
            remedy=f"If no kubectl is running, it was left by one that was killed: rm {lock}",
        ) from error
    except OSError as error:
        raise HostError(f"{path} cannot be changed: {error.strerror}") from error
