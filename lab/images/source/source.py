"""The image source ``source``: everything is made on this machine, from package registries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from lab.images.base import Part, Say
from lab.images.catalog import CatalogImage, catalog
from lab.images.recipe import Program, programs
from lab.images.source import image as images
from lab.images.source import program as builds
from lab.images.source.program import Built
from lab.settings import Settings

LANES = 2
"""Programs that are built side by side: while one downloads or links, the other compiles. With
more, their caches would together pass what the disk is promised (20 GB)."""

_IMAGE_S = 3.0
_SYSTEM_S = 70.0
"""Seconds seen to make an image of built programs; of a node's root file system with it."""


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Makes images of Go modules and Debian packages. ``go`` finds the Go toolchain when it is needed."""

    settings: Settings
    architecture: str
    go: Callable[[], Path]

    @property
    def name(self) -> str:
        """See :attr:`lab.images.base.ImageSource.name`."""
        return "source"

    def parts(self, images: Sequence[CatalogImage]) -> tuple[Part, ...]:
        """Programs first, the longest before the others, then the images made of them."""
        wanted = {
            program.name: program for image in images if image.source for program in image.source.programs()
        }
        ordered = sorted(wanted.values(), key=lambda program: -program.seconds)
        # Each goes where least is ahead of it, so that all lanes end at about the same time; in a lane one
        # waits for the one before it.
        ahead, before = [0.0] * LANES, [""] * LANES
        parts = []
        for program in ordered:
            name, needs, is_missing = f"program/{program.name}", "", not self._built(program)
            if is_missing:
                lane = ahead.index(min(ahead))
                needs, before[lane] = before[lane], name
                ahead[lane] += program.seconds
            parts.append(
                Part(
                    name=name,
                    summary=f"build {program.name} {program.version}",
                    done=not is_missing,
                    estimate_s=program.seconds,
                    disk_mib=program.disk_mib,
                    needs=(needs,) if needs else (),
                )
            )
        return (*parts, *(self._image_part(image) for image in images if image.source))

    def bring(self, part: str, *, say: Say, cancelled: Event | None = None) -> None:
        """See :meth:`lab.images.base.ImageSource.bring`."""
        kind, _, name = part.partition("/")
        if kind == "program":
            self.build(programs()[name], say=say, cancelled=cancelled)
            return
        image = catalog()[name]
        built = {
            program.name: self._require(program)
            for program in (image.source.programs() if image.source else ())
        }
        images.make(
            image,
            self.settings.cache,
            built=built,
            architecture=self.architecture,
            timeout=self.settings.timeouts.image_transfer,
            say=say,
        )

    def build(self, program: Program, *, say: Say, cancelled: Event | None = None) -> Built:
        """``program`` from the cache, or built now. Errors are those of :func:`builds.build`."""
        if built := self._built(program):
            return built
        return builds.build(
            program,
            self.settings.cache,
            go=self.go(),
            architecture=self.architecture,
            timeout=self.settings.timeouts.program_build,
            say=say,
            cancelled=cancelled,
        )

    def archive(self, image: CatalogImage) -> Path:
        """See :meth:`lab.images.base.ImageSource.archive`."""
        return images.archive_path(image, self.settings.cache, architecture=self.architecture)

    def has(self, image: CatalogImage) -> bool:
        """See :meth:`lab.images.base.ImageSource.has`."""
        return image.source is not None

    def carried(self, image: CatalogImage) -> bool:
        """Never: the node image made here holds no images until they are preloaded."""
        return False

    def chart(self, name: str) -> Path:
        """The chart that lies in the module of the program ``name``."""
        return self._require(programs()[name]).kept("chart")

    def _built(self, program: Program) -> Built | None:
        return builds.find(program, self.settings.cache, architecture=self.architecture)

    def _require(self, program: Program) -> Built:
        return self._built(program) or self.build(program, say=lambda _: None)

    def _image_part(self, image: CatalogImage) -> Part:
        recipe = image.source
        return Part(
            name=f"image/{image.reference}",
            summary=f"make {image.reference.rpartition('/')[2]}",
            done=self.archive(image).exists(),
            estimate_s=_SYSTEM_S if recipe and recipe.system else _IMAGE_S,
            disk_mib=1500 if recipe and (recipe.system or recipe.debian) else 400,
            needs=tuple(f"program/{program.name}" for program in (recipe.programs() if recipe else ())),
        )
