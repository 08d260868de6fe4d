"""What each kind of step does. One function a kind; the order is the plan's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from lab import observe
from lab.catalog.place import Placed
from lab.clients import docker
from lab.clients.helm import Helm
from lab.clients.wait import wait_until
from lab.engine.run import Action, Context
from lab.errors import CheckFailed, InputError, ProvisionError
from lab.host import sandbox
from lab.images.carry import carry
from lab.images.packed import packed
from lab.installed import Installed
from lab.mesh import check, cilium, dns, joined
from lab.mesh.redial import redial
from lab.plan.step import Step
from lab.platform.check import Runner
from lab.platform.install import Installer, hopeless, missing
from lab.platform.record import records
from lab.providers.base import Provider
from lab.result import CheckResult
from lab.supply import Supply
from lab.topology.model import Cluster
from lab.workspace import Workspace, states

_CHECKS_AT_ONCE = 8
"""Most of a check's time is waiting."""


@dataclass(frozen=True)
class Maker:
    """Does the steps of one ``up``. Every method can be done again, and continues where it was."""

    workspace: Workspace
    supply: Supply
    placed: tuple[Placed, ...] = ()
    recreate: bool = False
    prove: tuple[str, ...] | None = None
    """The addons to prove in the end; None: everything."""

    def actions(self) -> Mapping[str, Action]:
        """Every kind of step, and what does it."""
        return {
            "isolation": self.isolate,
            "node-network": self.make_network,
            "image-part": self.bring,
            "tool": self.bring,
            "node-image": self.make_node_image,
            "create": self.create,
            "dns": self.configure_dns,
            "cilium": self.install_cilium,
            "network": self.wait_for_network,
            "mesh": self.wait_for_mesh,
            "carry": self.carry_images,
            "addon": self.install_addon,
            "addon-ready": self.wait_for_addon,
            "addon-remove": self.remove_addon,
            "verify": self.verify,
        }

    def isolate(self, step: Step, context: Context) -> None:
        """Keep the lab's packets on this machine."""
        for provider, _ in self.workspace.shared_out:
            sandbox.isolate(provider.bridge, lab=self.workspace.lab)

    def make_network(self, step: Step, context: Context) -> None:
        """Make what clusters share: the lab's own container network, or addresses for their nodes."""
        for provider, topology in self.workspace.shared_out:
            provider.prepare(topology)

    def bring(self, step: Step, context: Context) -> None:
        """Bring a program, an image or a tool here."""
        kind, _, name = step.id.partition("/")
        self.supply.bring(
            step.id if kind == "tools" else f"images/{name}", say=context.say, cancelled=context.cancelled
        )

    def make_node_image(self, step: Step, context: Context) -> None:
        """Make the node image, with everything in it."""
        self.supply.make_node_image(step.id, say=context.say, cancelled=context.cancelled)

    def create(self, step: Step, context: Context) -> None:
        """Make or start a cluster's nodes, and wait for its API server."""
        cluster = self._cluster(step)
        workspace = self.workspace
        kubeconfig = workspace.folder.kubeconfig(cluster.name)
        state = states(workspace).get(cluster.name)
        if state is not None and kubeconfig.exists():
            self._require_same(cluster)
            if state.is_complete(cluster) and not observe.made_otherwise(workspace, cluster):
                workspace.provider(cluster.name).start(cluster)
                self._wait_for_api(cluster, context)
                return
        self.supply.load_beside(cluster, say=context.say, cancelled=context.cancelled)
        context.say(f"{cluster.provider}: {step.summary}")
        provider = self._provider(cluster, context)
        provider.create(cluster, kubeconfig=kubeconfig, cancelled=context.cancelled)
        workspace.folder.write(f"made-{cluster.name}", observe.specification(cluster))
        self._wait_for_api(cluster, context)

    def configure_dns(self, step: Step, context: Context) -> None:
        """Have the cluster's DNS ask nobody outside, or again ask somebody."""
        manifest = dns.manifest(self.workspace.topology)
        self.workspace.kubes[self._cluster(step).name].apply([manifest])

    def install_cilium(self, step: Step, context: Context) -> None:
        """Install or change Cilium, every peer's address in its values."""
        workspace, cluster = self.workspace, self._cluster(step)
        folder = workspace.folder
        values, fingerprint = observe.release(workspace, cluster, states(workspace))
        theirs = observe.there_before(workspace, cluster)
        if not cluster.traits.makes and not folder.read(joined.before(cluster.name)):
            folder.write(joined.before(cluster.name), joined.remember(workspace.kubes[cluster.name]))
        helm = Helm(self.supply.tool("helm"), folder.kubeconfig(cluster.name), folder.path / "helm")
        context.say("helm upgrade --install")
        with TemporaryDirectory() as made:
            helm.upgrade(
                cilium.RELEASE,
                joined.write_chart(theirs, Path(made)) if theirs else self.supply.source.chart("cilium"),
                namespace=cilium.NAMESPACE,
                values=values,
                labels={cilium.CONFIG_LABEL: fingerprint},
                timeout=workspace.settings.timeouts.helm,
                cancelled=context.cancelled,
                reuse=theirs is not None,
            )

    def wait_for_network(self, step: Step, context: Context) -> None:
        """Wait until pods get addresses and names."""
        self._wait(step, context, "a working network", partial(observe.missing_network, self.workspace))

    def wait_for_mesh(self, step: Step, context: Context) -> None:
        """Set up the probe, and wait until it and the mesh API server serve."""
        name = self._cluster(step).name
        # Its policy's kind is known once Cilium's operator has registered it, so this waits, too.
        self._wait(step, context, "the probe's manifests", lambda _: self._prepare_probe(name))
        self._wait(step, context, "the mesh API server", partial(observe.missing_mesh, self.workspace))
        if self.workspace.topology.mesh.kind == "cilium":
            self._wait(step, context, "the agents", lambda _: redial(self.workspace.kubes[name]))

    def carry_images(self, step: Step, context: Context) -> None:
        """Bring the images of addons into the nodes of a cluster that was made without them."""
        cluster, timeout = self._cluster(step).name, self.workspace.settings.timeouts.image_transfer
        provider = self.workspace.provider(cluster)
        lacking = observe.missing_images(self._installed(), cluster)
        for node, images in lacking.items():
            for image in images:
                context.say(f"{image} into {node}")
                carry(provider.run_on, node, self.supply.archive(image), timeout=timeout)

    def install_addon(self, step: Step, context: Context) -> None:
        """Apply an addon's objects, and remove what it has no more."""
        addons = self._installed()
        self._installer(step, context).install(addons.wanted(addons.find(*_place(step))))

    def wait_for_addon(self, step: Step, context: Context) -> None:
        """Wait until an addon's workloads are ready."""
        cluster, name = _place(step)
        ready, kube = self._installed().find(cluster, name).addon.ready, self.workspace.kubes[cluster]

        def look(_: str) -> str | None:
            if why := hopeless(kube, name, ready):
                raise ProvisionError(f"{name} does not become ready: {why}")
            return missing(kube, ready)

        self._wait(step, context, name, look)

    def remove_addon(self, step: Step, context: Context) -> None:
        """Remove what is left of an addon that the topology has no more."""
        cluster, name = _place(step)
        if record := records(self.workspace.kubes[cluster]).get(name):
            self._installer(step, context).remove(record)

    def verify(self, step: Step, context: Context) -> None:
        """Prove the data path and every addon, or what is to be; remember for which nodes that was."""
        held = 0

        def count(result: CheckResult) -> None:
            nonlocal held
            held += result.ok
            context.say(f"{held} checks hold; {result.id} {'holds' if result.ok else 'FAILED'}")

        prove(self.workspace, self.placed, only=self.prove, on_result=count, cancelled=context.cancelled)

    def _installed(self) -> Installed:
        # Made anew for each step: nodes get their addresses meanwhile.
        return Installed(self.workspace, self.placed, states(self.workspace))

    def _installer(self, step: Step, context: Context) -> Installer:
        return Installer(
            self.workspace.kubes[self._cluster(step).name],
            self.workspace.lab,
            timeout=self.workspace.settings.timeouts.addon_ready,
            cancelled=context.cancelled,
            say=context.say,
            shared=not self._cluster(step).traits.makes,
        )

    def _prepare_probe(self, cluster: str) -> None:
        check.prepare(self.workspace.topology, cluster, self.workspace.kubes[cluster])

    def _wait(self, step: Step, context: Context, what: str, look: Callable[[str], str | None]) -> None:
        cluster = self._cluster(step).name
        wait_until(
            f"{what} in {cluster}",
            lambda: look(cluster),
            timeout=self.workspace.settings.timeouts.mesh_ready,
            cancelled=context.cancelled,
            on_look=context.say,
        )

    def _wait_for_api(self, cluster: Cluster, context: Context) -> None:
        kube = self.workspace.kubes[cluster.name]
        wait_until(
            f"the API server of {cluster.name}",
            lambda: None if kube.is_ready() else "it does not say that it is ready",
            timeout=self.workspace.settings.timeouts.api_ready,
            cancelled=context.cancelled,
            on_look=context.say,
            remedy=f"If it never comes back, make the lab anew: ./invoke down{self.workspace.arguments}",
        )

    def require_same(self) -> None:
        """Refuse, before anything is brought or made, what would replace a cluster unasked.

        Raises :class:`InputError` when a cluster was made as the topology does not describe it any more.
        """
        nodes = states(self.workspace)
        for cluster in self.workspace.topology.clusters:
            if cluster.name in nodes:
                self._require_same(cluster)

    def _require_same(self, cluster: Cluster) -> None:
        """A cluster is never replaced because a file changed: that must be asked for."""
        made = observe.made_otherwise(self.workspace, cluster)
        if made and not self.recreate:
            raise InputError(
                f"{cluster.name} was made as {made}, "
                f"and the topology now asks for {observe.specification(cluster)}",
                remedy="Nothing was changed. Put the topology back, or give up the cluster: "
                f"./invoke up{self.workspace.arguments} --recreate",
            )

    def _provider(self, cluster: Cluster, context: Context) -> Provider:
        """The provider of ``cluster``, with what it makes clusters of."""
        traits, image = cluster.traits, self.supply.node_image
        materials: dict[str, Any] = {}
        if traits.tool:
            materials["binary"] = self.supply.tool(traits.tool)
        if traits.preloaded and image is not None:
            if traits.containers:
                materials["image"] = image.tag
                materials["cgroup_v1"] = docker.engine().cgroup_version == "1"
            else:
                materials["archive"] = packed(
                    image.tag, self.workspace.settings, say=context.say, cancelled=context.cancelled
                )
        return self.workspace.provider(cluster.name, **materials)

    def _cluster(self, step: Step) -> Cluster:
        return self.workspace.topology.cluster(step.cluster or "")


def _place(step: Step) -> tuple[str, str]:
    """The cluster and the addon that a step is about: CLUSTER/ADDON, perhaps with a part more."""
    cluster, addon, *_ = step.id.split("/")
    return cluster, addon


def prove(
    workspace: Workspace,
    placed: tuple[Placed, ...],
    *,
    only: Collection[str] | None = None,
    on_result: Callable[[CheckResult], None],
    cancelled: Event | None = None,
) -> list[CheckResult]:
    """Make every check of the mesh and of addons, or those of the addons ``only``, as :func:`examine` does.

    Raises :class:`CheckFailed` with each check that did not hold and what was seen.
    """
    nodes = states(workspace)
    addons = Installed(workspace, placed, nodes)
    results = examine(addons, only=only, on_result=on_result, cancelled=cancelled or Event())
    failed = [result for result in results if not result.ok]
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(results)} checks did not hold",
            details="\n".join(f"{result.id}: {result.evidence}" for result in failed),
            remedy=f"See what the clusters say: ./invoke gather{workspace.arguments}",
        )
    return results


def examine(
    addons: Installed,
    *,
    only: Collection[str] | None = None,
    on_result: Callable[[CheckResult], None],
    cancelled: Event,
) -> list[CheckResult]:
    """The result of every check of the mesh, then of every addon's; or of the addons ``only``.

    Whether all hold is remembered, for the nodes as they run.
    """
    workspace, nodes = addons.workspace, addons.nodes
    results: list[CheckResult] = []
    if only is None:
        results += check.run(
            workspace.topology,
            workspace.kubes,
            providers={
                each.name: workspace.provider(each.name)
                for each in workspace.topology.clusters
                if each.traits.shells
            },
            states=nodes,
            timeout=workspace.settings.timeouts.data_path,
            on_result=on_result,
            cancelled=cancelled,
        )
    results += addon_checks(addons, only=only, on_result=on_result, cancelled=cancelled)
    proved = all(result.ok for result in results)
    if only is None or not proved:
        workspace.folder.write("verified", observe.generation(nodes) if proved else "")
    owed = [] if only is None else workspace.folder.read("to-prove").split()
    workspace.folder.write("to-prove", " ".join(each for each in owed if each not in (only or ())))
    return results


def addon_checks(
    addons: Installed,
    *,
    only: Collection[str] | None = None,
    on_result: Callable[[CheckResult], None],
    cancelled: Event,
) -> list[CheckResult]:
    """The result of addons' own checks, in the order of addons and clusters, several at once."""
    subjects = [each for each in addons.subjects() if only is None or each.placed.addon.name in only]
    if not subjects:
        return []
    runner = Runner(addons.view, addons.workspace.kubes, cancelled)
    results = []
    with ThreadPoolExecutor(max_workers=_CHECKS_AT_ONCE) as pool:
        for result in pool.map(runner.run, subjects):
            results.append(result)
            on_result(result)
    return results
