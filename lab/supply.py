"""What a lab is made of: where its images, charts and tools come from on this run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Event

from lab.catalog.place import Placed
from lab.clients import docker_images
from lab.errors import InputError
from lab.host import container_engine, tools
from lab.images.base import ImageSource
from lab.images.catalog import CatalogImage, catalog, needed_for
from lab.images.files import ModuleFiles
from lab.images.node import NodeImage
from lab.images.recipe import programs
from lab.images.registry import RegistrySource
from lab.images.source.source import LANES, SourceImages
from lab.images.source.tool import build_tool
from lab.images.times import Times
from lab.plan.step import Step
from lab.settings import Settings
from lab.topology.model import Cluster, Topology
from lab.topology.versions import minor_of

SOURCES = ("auto", "registry", "source")

_HELM = "helm"
"""The program of this machine that every lab calls; providers may want others."""

_DOWNLOAD_S = 20.0
"""Seconds to download one of them, at a few megabytes a second."""


@dataclass(frozen=True)
class Supply:
    """Images, charts and tools for one topology, from one source."""

    settings: Settings
    source: ImageSource
    topology: Topology
    wanted: tuple[Placed, ...] = ()
    """The addons that were asked for, each after all that it needs."""

    @cached_property
    def left_out(self) -> Mapping[str, str]:
        """Addons that were asked for and that this source cannot bring, by name, and why."""
        found: dict[str, str] = {}
        for each in self.wanted:
            addon = each.addon
            unhad = [name for name in addon.images if not self.source.has(catalog()[name])]
            lacking = [name for name in addon.needs if name in found]
            if unhad:
                found[addon.name] = only_pulled(unhad[0])
            elif lacking:
                found[addon.name] = f"it needs {lacking[0]}"
        return found

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """The addons that were asked for and can be had."""
        return tuple(each for each in self.wanted if each.addon.name not in self.left_out)

    @cached_property
    def base(self) -> CatalogImage:
        """The base node image. Raises :class:`InputError` when the catalog has none of the version."""
        images = needed_for(["base"])
        wanted = {cluster.kubernetes for cluster in self._preloaded}
        for image in images:
            version = image.reference.rpartition(":v")[2]
            if wanted <= {version, minor_of(version)}:
                return image
        known = ", ".join(image.reference.rpartition(":v")[2] for image in images)
        raise InputError(
            f"there is no node image for Kubernetes {', '.join(sorted(wanted))} in one lab",
            remedy=f"This version has {known}; use it for every cluster.",
        )

    @cached_property
    def images(self) -> tuple[CatalogImage, ...]:
        """Everything that this lab needs, the base node image first."""
        of_addons = (catalog()[name] for each in self.placed for name in each.addon.images)
        of_nodes = (self.base, *needed_for(["node"])) if self._preloaded else ()
        images = (*of_nodes, *needed_for(["mesh"]), *of_addons, *self._beside)
        return tuple({image.reference: image for image in images}.values())

    @property
    def _beside(self) -> tuple[CatalogImage, ...]:
        """Images that run beside the nodes: the load balancer of several control-plane nodes."""
        several = any(map(_is_balanced, self.topology.clusters))
        return needed_for(["load-balancer"]) if several else ()

    @property
    def _preloaded(self) -> list[Cluster]:
        """The clusters that are made of the node image."""
        return [cluster for cluster in self.topology.clusters if cluster.traits.preloaded]

    def load_beside(self, cluster: Cluster, *, say: Callable[[str], None], cancelled: Event) -> None:
        """Have what runs beside the nodes of ``cluster`` in the engine's store, so that nothing is pulled.

        Loaded each time: kind asks for it by a name that an older recipe's image may have, too.
        """
        for image in self._beside if _is_balanced(cluster) else ():
            say(f"loading {image.reference}")
            docker_images.load(self.source.archive(image), cancelled=cancelled)

    @cached_property
    def node_image(self) -> NodeImage | None:
        """The node image with all of them preloaded; None where no cluster is made of it."""
        if not self._preloaded:
            return None
        preloaded = [image for image in self.images if image not in self._beside]
        archives = [self.source.archive(image) for image in preloaded if not self.source.carried(image)]
        return NodeImage(base=self.base.reference, archives=archives, shim=container_engine.shim_needed())

    @property
    def times(self) -> Times:
        """How long each of :meth:`steps` took here the last time, and making the node image."""
        return Times(self.settings.cache / "times")

    def steps(self) -> tuple[Step, ...]:
        """The steps that bring it all here."""
        brought = [
            Step(
                f"images/{part.name}",
                "image-part",
                summary=part.summary,
                needs=tuple(f"images/{need}" for need in part.needs),
                done=part.done,
                estimate_s=part.estimate_s,
            )
            for part in (*self.source.parts(self.images), *self._files.parts(self._programs))
        ]
        made_by = (cluster.traits.tool for cluster in self.topology.clusters)
        tools = dict.fromkeys((*filter(None, made_by), _HELM))
        steps = (*brought, *(self._tool_step(name, brought) for name in tools))
        return tuple(map(self._timed, steps))

    def bring(self, step: str, *, say: Callable[[str], None], cancelled: Event) -> None:
        """Do one of :meth:`steps`."""
        with self.times.taken(step):
            match step.split("/", 2):
                case ["tools", name]:
                    self.tool(name, say=say, cancelled=cancelled)
                case ["images", "files", name]:
                    self._files.bring(name, say=say, cancelled=cancelled)
                case _:
                    self.source.bring(step.removeprefix("images/"), say=say, cancelled=cancelled)

    def archive(self, reference: str) -> Path:
        """The archive of the image that is called ``reference`` in manifests."""
        return self.source.archive(catalog()[reference])

    def make_node_image(self, step: str, *, say: Callable[[str], None], cancelled: Event) -> None:
        """Make the node image, with everything in it."""
        if self.node_image is None:
            return
        with self.times.taken(step):
            self.node_image.make(timeout=self.settings.timeouts.image_transfer, say=say, cancelled=cancelled)

    def tool(
        self, name: str, *, say: Callable[[str], None] = lambda _: None, cancelled: Event | None = None
    ) -> Path:
        """The pinned tool ``name``, from the cache or brought now."""
        return tools.tool(name, self.settings, build=build_tool, say=say, cancelled=cancelled)

    def takes_s(self, steps: Iterable[Step]) -> float:
        """Seconds that bringing what ``steps`` bring takes, side by side as they are."""
        return sum(step.estimate_s or 0.0 for step in steps) / LANES

    @property
    def _files(self) -> ModuleFiles:
        return module_files(self.settings)

    @property
    def _programs(self) -> tuple[str, ...]:
        """The programs whose files addons read."""
        wanted = (each.addon.definitions for each in self.placed if each.part == "home")
        return tuple(dict.fromkeys(files.program for all_of_one in wanted for files in all_of_one))

    def _timed(self, step: Step) -> Step:
        """``step``, expected to take what it took the last time."""
        took = self.times.last(step.id)
        return step if took is None else replace(step, estimate_s=took)

    @property
    def is_built(self) -> bool:
        """Whether this source builds what is missing, which takes long and should be agreed to."""
        return self.source.name == "source"

    def _tool_step(self, name: str, brought: list[Step]) -> Step:
        # Where the images' programs hold the tool, it is not built a second time beside them.
        same = f"images/program/{name}"
        return Step(
            f"tools/{name}",
            "tool",
            summary=f"have {name}",
            needs=(same,) if any(step.id == same for step in brought) else (),
            done=tools.tool_path(name, self.settings).exists(),
            estimate_s=programs()[name].seconds if self.is_built else _DOWNLOAD_S,
        )


def _is_balanced(cluster: Cluster) -> bool:
    return cluster.traits.balances and cluster.nodes.control_plane > 1


def only_pulled(reference: str) -> str:
    """Why an addon with the image ``reference`` cannot be had where images are made."""
    return f"{reference} can only be pulled, not made from source"


def module_files(settings: Settings) -> ModuleFiles:
    """Where upstream's own definitions are fetched to and read from."""
    return ModuleFiles(
        settings=settings,
        architecture=tools.this_machine().architecture,
        go=partial(tools.go, settings),
    )


def supply(settings: Settings, topology: Topology, *, images: str, wanted: tuple[Placed, ...] = ()) -> Supply:
    """The supply that ``--images`` asks for: ``registry``, ``source`` or ``auto``.

    ``auto`` is the registry if it answers one quick question (or has everything here already), else
    the source. Raises :class:`InputError` for any other word.
    """
    if images not in SOURCES:
        raise InputError(
            f"--images {images}: there is no such source", remedy=f"Use one of {', '.join(SOURCES)}."
        )
    architecture = tools.this_machine().architecture
    registry = RegistrySource(settings=settings, architecture=architecture)
    made_here = SourceImages(settings=settings, architecture=architecture, go=partial(tools.go, settings))
    if images == "registry":
        return Supply(settings, registry, topology, wanted)
    from_source = Supply(settings, made_here, topology, wanted)
    if images == "source" or all(step.done for step in from_source.steps()):
        return from_source
    from_registry = Supply(settings, registry, topology, wanted)
    pulled = [image for image in from_registry.images if not registry.carried(image)]
    if all(registry.at_hand(image) for image in pulled) or not registry.probe(pulled):
        return from_registry
    return from_source


def everything_cached(settings: Settings, topology: Topology, *, wanted: tuple[Placed, ...] = ()) -> bool:
    """Whether a lab of ``topology``, with the addons ``wanted``, could be made now of what is here."""
    return all(step.done for step in supply(settings, topology, images="source", wanted=wanted).steps())
