"""What templates and checks know: the lab as far as they may see it, the addon's own, and secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from jinja2 import Undefined, UndefinedError

from lab.catalog.certificate import Certificate, certificate
from lab.catalog.place import Placed
from lab.catalog.templates import Folder, environment, find_image
from lab.document.position import listed, shorten
from lab.document.scalars import Unfit
from lab.topology.model import Topology

SECRET_LENGTH: Final = 32
"""Characters of a secret: 192 bits."""


@dataclass(frozen=True)
class Api:
    """How a cluster's API server is reached from inside the lab. All but ``server`` are in base64."""

    server: str
    ca: str
    cert: str
    key: str


@dataclass(frozen=True)
class ClusterView:
    """What templates may know of a cluster. ``addons`` are the names of those that have their home there.

    ``api`` and ``address`` (of its first node) are None until the cluster is there.
    """

    name: str
    id: int
    role: str
    pod_cidr: str
    service_cidr: str
    addons: tuple[str, ...] = ()
    api: Api | None = None
    address: str | None = None


@dataclass(frozen=True)
class LabView:
    """What templates may know of a lab. ``seed`` is what its secrets are derived from; nobody else has it.

    With ``near_first``, services of all clusters use their own cluster's backends as long as there are any.
    """

    name: str
    clusters: tuple[ClusterView, ...]
    seed: bytes
    near_first: bool = False

    def cluster(self, name: str) -> ClusterView:
        """Return the cluster called ``name``; KeyError if there is none."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)


def look(
    topology: Topology,
    placed: Iterable[Placed],
    *,
    seed: bytes,
    apis: Mapping[str, Api] | None = None,
    addresses: Mapping[str, str] | None = None,
) -> LabView:
    """Return what templates may know of a lab with ``placed`` on it.

    ``apis`` and ``addresses`` (of a node) are by cluster, as far as the clusters are there.
    """
    homes = [each.place for each in placed if each.part == "home"]
    clusters = tuple(
        ClusterView(
            name=cluster.name,
            id=cluster.id,
            role=cluster.role,
            pod_cidr=str(cluster.pod_cidr),
            service_cidr=str(cluster.service_cidr),
            addons=tuple(addon for where, addon in homes if where == cluster.name),
            api=(apis or {}).get(cluster.name),
            address=(addresses or {}).get(cluster.name),
        )
        for cluster in topology.clusters
    )
    return LabView(topology.name, clusters, seed, topology.mesh.stale_backends.near_first)


def secret(seed: bytes, addon: str, name: str, *, cluster: str = "") -> str:
    """Return a secret of a lab: HMAC-SHA256 of ADDON/NAME, or of ADDON/NAME/CLUSTER, as URL-safe text.

    Raises ValueError where a name holds a slash: two secrets could be one.
    """
    parts = (addon, name, cluster) if cluster else (addon, name)
    if any("/" in part for part in parts):
        raise ValueError(f"the name of a secret has no slash: {shorten('/'.join(parts))}")
    digest = hmac.new(seed, "/".join(parts).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()[:SECRET_LENGTH]


def expression_holds(expression: str, known: Mapping[str, Any]) -> bool:
    """Whether ``expression`` is true of what is ``known``; not if it asks for what is not there."""
    compiled = environment().compile_expression(expression, undefined_to_none=False)
    try:
        return bool(compiled(dict(known)))
    except (UndefinedError, TypeError, ValueError, LookupError):
        return False


def expression_number(expression: str, known: Mapping[str, Any]) -> float:
    """Return the number that ``expression`` is of what is ``known``. Raises Unfit where it is none."""
    compiled = environment().compile_expression(expression, undefined_to_none=False)
    try:
        found = compiled(dict(known))
    except (UndefinedError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise Unfit(f"{expression} cannot be made out: {error}", "Correct it.") from error
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unfit(f"{expression} is no number", "Correct it.")
    return float(found)


_NOT_THERE: Final = object()


def value_at(known: Mapping[str, Any], path: Sequence[str]) -> tuple[bool, Any]:
    """Whether there is something at ``path``, as an expression mentions it, and what."""
    value: Any = known
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key, _NOT_THERE)
        elif isinstance(value, list | tuple):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else _NOT_THERE
        else:
            value = _NOT_THERE if key.startswith("_") else getattr(value, key, _NOT_THERE)
        if value is _NOT_THERE:
            return False, None
    return True, value


class Words:
    """What an addon's files know on one cluster. ``secrets`` are those asked for so far: not to be shown.

    ``cluster`` names the cluster that is meant by ``cluster``; left out, the one where the addon is. ``more``
    is what else is known, by name.
    """

    def __init__(
        self, placed: Placed, lab: LabView, *, cluster: str = "", more: Mapping[str, Any] | None = None
    ) -> None:
        self.placed = placed
        self.lab = lab
        self.folder = Folder(placed.addon.folder, placed.addon.shown)
        self.secrets = {view.api.key for view in lab.clusters if view.api}
        self.variables = self._known(cluster or placed.cluster) | dict(more or {})

    def filled(self, value: Any) -> Any:
        """Return ``value`` with every text in it rendered that holds ``{{``.

        Raises Unfit, or jinja2's UndefinedError for what is not known.
        """
        if isinstance(value, str):
            return environment().from_string(value).render(self.variables) if "{{" in value else value
        if isinstance(value, Mapping):
            return {name: self.filled(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(each) for each in value]
        return value

    def holds(self, expression: str, more: Mapping[str, Any]) -> bool:
        """Whether ``expression`` is true, given ``more``; not if it asks for what is not there."""
        return expression_holds(expression, self.variables | dict(more))

    def value(self, expression: str, more: Mapping[str, Any]) -> Any:
        """Return what ``expression`` is, given ``more``; None if it asks for what is not there."""
        compiled = environment().compile_expression(expression, undefined_to_none=False)
        try:
            found = compiled(self.variables | dict(more))
        except (UndefinedError, TypeError, ValueError, LookupError):
            return None
        return None if isinstance(found, Undefined) else found

    def masked(self, text: str) -> str:
        """Return ``text`` with as many crosses in place of each secret as it has characters."""
        for hidden in self.secrets:
            text = text.replace(hidden, "x" * len(hidden))
        return text

    def _known(self, cluster: str) -> dict[str, Any]:
        addon = self.placed.addon
        return {
            "lab": self.lab.name,
            "cluster": self.lab.cluster(cluster),
            "clusters": self.lab.clusters,
            "addon": SimpleNamespace(
                name=addon.name, version=addon.upstream.version, namespace=addon.namespace
            ),
            "options": SimpleNamespace(**self.placed.options),
            "image": lambda repository: find_image(addon, repository),
            "file": self.folder.read,
            "secret": self._secret,
            "certificate": self._certificate,
            "home": self._home,
        }

    def _home(self, addon: str) -> str:
        for cluster in self.lab.clusters:
            if addon in cluster.addons:
                return cluster.name
        message = f'no cluster has the addon "{shorten(addon)}"'
        raise Unfit(message, f"State it under needs in {self.placed.addon.shown}/addon.yaml.")

    def _certificate(self, host: str) -> Certificate:
        made = certificate(self.lab.seed, self.placed.addon.name, host)
        self.secrets |= {made.key, base64.b64encode(made.key.encode()).decode()}
        return made

    def _secret(self, name: str, of: str = "", cluster: str = "") -> str:
        addon = self.placed.addon
        if of and of not in (addon.name, *addon.needs, *addon.after):
            message = f'{addon.name} asks for a secret of "{shorten(of)}", which it does not need'
            raise Unfit(message, f"State it under needs in {addon.shown}/addon.yaml.")
        names = [each.name for each in self.lab.clusters]
        if cluster and cluster not in names:
            message = f'there is no cluster "{shorten(cluster)}" to have a secret'
            raise Unfit(message, f"There are {listed(names, most=6)}.")
        made = secret(self.lab.seed, of or addon.name, name, cluster=cluster)
        self.secrets |= {made, base64.b64encode(made.encode()).decode()}
        return made
