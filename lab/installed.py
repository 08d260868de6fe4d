"""Addons between the topology and the clusters: which ones, rendered for the lab as it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import yaml

from lab.addons import catalog
from lab.catalog.addon import Check
from lab.catalog.objects import Object
from lab.catalog.place import Placed, place
from lab.catalog.render import finished, render
from lab.catalog.vocabulary import ANY
from lab.catalog.words import Api, LabView, look
from lab.platform.check import Subject
from lab.platform.install import Wanted
from lab.platform.record import records
from lab.providers.base import ClusterState
from lab.supply import module_files
from lab.workspace import Workspace


def placed(
    workspace: Workspace, *, only: Collection[str] = (), without: Collection[str] = ()
) -> tuple[Placed, ...]:
    """Return what goes where, in order. Raises :class:`lab.errors.InputError` as :func:`place` does."""
    return place(workspace.topology, catalog(workspace.settings), only=only, without=without)


def absent(workspace: Workspace, wanted: Iterable[Placed]) -> list[Placed]:
    """Return what of ``wanted`` is not on its cluster. Its clusters must answer."""
    there = workspace.on_each(lambda cluster: records(workspace.kubes[cluster]).keys())
    return [each for each in wanted if each.addon.name not in there[each.cluster]]


@dataclass(frozen=True)
class Installed:
    """The addons of a lab whose clusters are there."""

    workspace: Workspace
    placed: tuple[Placed, ...]
    nodes: Mapping[str, ClusterState]

    @cached_property
    def view(self) -> LabView:
        """What templates may know of the lab."""
        addresses: dict[str, str] = {}
        for name, state in self.nodes.items():
            for node in state.control_planes:
                if node.address:
                    addresses.setdefault(name, node.address)
        apis = {name: api for name, address in addresses.items() if (api := self._api(name, address))}
        return look(
            self.workspace.topology,
            self.placed,
            seed=self.workspace.folder.seed(),
            apis=apis,
            addresses=addresses,
        )

    def on(self, cluster: str) -> list[Placed]:
        """Return what goes to a cluster."""
        return [each for each in self.placed if each.cluster == cluster]

    def find(self, cluster: str, addon: str) -> Placed:
        """Return ``addon`` as it goes to ``cluster``; KeyError if it does not."""
        for each in self.placed:
            if each.place == (cluster, addon):
                return each
        raise KeyError(addon)

    def wanted(self, each: Placed) -> Wanted:
        """Return what an addon is to be on its cluster.

        Raises :class:`lab.errors.InputError` for what is wrong with its templates.
        """
        needs = tuple(sorted({name for cluster, name in each.needs if cluster == each.cluster}))
        definitions = each.addon.definitions if each.part == "home" else ()
        files = module_files(self.workspace.settings)

        def define() -> list[Object]:
            things = (thing for wanted in definitions for thing in files.objects(wanted))
            return [finished(each, self.view, thing) for thing in things]

        return Wanted(
            each.addon.name,
            each.addon.upstream.version,
            needs,
            render(each, self.view),
            tuple(files.key(wanted) for wanted in definitions),
            define,
        )

    def subjects(self) -> list[Subject]:
        """Return every check of every addon, on each cluster that it is for."""
        found: dict[str, Subject] = {}
        for each in self.placed:
            for check in each.addon.checks if each.part == "home" else ():
                for cluster in self._checked(check, each):
                    subject = Subject(each, check, cluster)
                    # Where a check is for a role, each of the addon's homes would make the same one.
                    found.setdefault(subject.id, subject)
        return list(found.values())

    def _checked(self, check: Check, each: Placed) -> list[str]:
        if not check.each:
            return [each.cluster]
        topology = self.workspace.topology
        clusters = topology.clusters if ANY in check.each else topology.of_roles(check.each)
        return [cluster.name for cluster in clusters]

    def _api(self, cluster: str, address: str) -> Api | None:
        path = self.workspace.folder.kubeconfig(cluster)
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
            user = config["users"][0]["user"]
            certificate, key = user["client-certificate-data"], user["client-key-data"]
        except (OSError, yaml.YAMLError, LookupError, TypeError):
            return None
        return Api(f"https://{address}:{self.nodes[cluster].api_port}", authority, certificate, key)
