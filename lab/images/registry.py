"""The image source ``registry``: pulled by digest, once, on this machine, and kept as archives.

The engine's store is a place that images pass through: what was brought only for its archive is
taken out again, and names that the user had there are put back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Any, Final

import yaml

from lab.clients import docker, http, process
from lab.clients.lock import one_at_a_time
from lab.errors import HostError, ProvisionError
from lab.images.base import Part, Say
from lab.images.catalog import CatalogImage, catalog
from lab.images.location import Location, locate
from lab.images.pull import pull
from lab.images.squash import squash
from lab.images.trouble import failure
from lab.settings import Settings

log = logging.getLogger(__name__)

_ANSWERS: Final = frozenset({200, 401})
"""A registry says 200, or 401 before a login (distribution spec, "Determining Support")."""

_DISK_MIB: Final = 1500
_NODE_DISK_MIB: Final = 2500
"""An image unpacked in the engine and once more in its archive: the agent's, the largest of the mesh;
and a node's."""

_CHART_S: Final = 5.0

_PLATFORM_FROM: Final = 28
"""The engine's major version from which on ``docker save`` takes a platform (Engine API 1.48)."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart that is downloaded as its project publishes it. Fields are explained in charts.yaml."""

    name: str
    needed_by: tuple[str, ...]
    version: str
    licence: str
    url: str
    sha256: str


@cache
def charts() -> Mapping[str, Chart]:
    """Every chart by its name."""
    text = resources.files("lab.images").joinpath("charts.yaml").read_text(encoding="utf-8")
    return {
        name: Chart(name=name, needed_by=tuple(entry.pop("needed_by")), **entry)
        for name, entry in yaml.safe_load(text).items()
    }


@dataclass(frozen=True, kw_only=True)
class RegistrySource:
    """Pulls images through the container engine, from their registries or the mirrors in ``settings``."""

    settings: Settings
    architecture: str
    """Go's name of the engine's architecture: ``amd64``, ``arm64``."""

    @property
    def name(self) -> str:
        """See :attr:`lab.images.base.ImageSource.name`."""
        return "registry"

    def parts(self, images: Sequence[CatalogImage]) -> tuple[Part, ...]:
        """Every image that nothing carries, and the charts that these are installed with."""
        pulled = [image for image in images if not self.carried(image)]
        return (*map(self._image_part, pulled), *map(self._chart_part, self._charts(images)))

    def bring(self, part: str, *, say: Say, cancelled: Event | None = None) -> None:
        """See :meth:`lab.images.base.ImageSource.bring`."""
        kind, _, name = part.partition("/")
        if kind == "chart":
            self._fetch_chart(charts()[name], say=say, cancelled=cancelled)
        else:
            self.fetch(catalog()[name], say=say, cancelled=cancelled)

    def archive(self, image: CatalogImage) -> Path:
        """See :meth:`lab.images.base.ImageSource.archive`."""
        short = image.reference.rpartition("/")[2].replace(":", "-")
        digest = image.digest.removeprefix("sha256:")[:12]
        return self.settings.cache / "images" / "registry" / f"{short}-{digest}.tar"

    def at_hand(self, image: CatalogImage) -> bool:
        """Whether the archive of ``image`` is here, whole and made of the catalog's digest."""
        return self.record(image) is not None

    def record(self, image: CatalogImage) -> dict[str, Any] | None:
        """What was noted when ``image`` was fetched; None unless its archive is the one that is noted.

        Holds reference, digest, architecture, image_id, pulled_from, pulled_at (UTC), and the
        archive's bytes.
        """
        archive = self.archive(image)
        try:
            record: dict[str, Any] = json.loads(archive.with_suffix(".json").read_text(encoding="utf-8"))
            size = archive.stat().st_size
        except (OSError, ValueError):
            return None
        noted = tuple(record.get(key) for key in ("reference", "digest", "architecture", "bytes"))
        return record if noted == (image.reference, image.digest, self.architecture, size) else None

    def has(self, image: CatalogImage) -> bool:
        """See :meth:`lab.images.base.ImageSource.has`."""
        return bool(image.digest) or self.carried(image)

    def carried(self, image: CatalogImage) -> bool:
        """Whether the registry's node image holds ``image`` already."""
        return bool(image.carried_by)

    def chart(self, name: str) -> Path:
        """See :meth:`lab.images.base.ImageSource.chart`."""
        chart = charts()[name]
        return self.settings.cache / "charts" / f"{chart.name}-{chart.version}.tgz"

    def probe(self, images: Iterable[CatalogImage], *, timeout: float = 3.0) -> dict[str, str]:
        """What of that which ``images`` still need cannot be reached: host, and why not; empty: nothing.

        One question to each host, all at once; ``timeout`` is in seconds. It is asked from here: an
        engine in a VM, or with a proxy of its own, may see it otherwise.
        """
        wanted = list(images)
        missing = [image for image in wanted if not (self.carried(image) or self.at_hand(image))]
        hosts = {location.host: location for location in map(self._location, missing)}
        questions = {
            host: lambda location=location: _registry_obstacle(location, timeout)
            for host, location in hosts.items()
        }
        for chart in self._charts(wanted):
            if not self.chart(chart.name).exists():
                host = chart.url.split("/")[2]
                questions[host] = lambda url=chart.url: http.obstacle(url, timeout=timeout)
        if not questions:
            return {}
        with ThreadPoolExecutor(len(questions)) as pool:
            answers = dict(zip(questions, pool.map(lambda ask: ask(), questions.values()), strict=True))
        return {host: why for host, why in answers.items() if why is not None}

    def fetch(self, image: CatalogImage, *, say: Say, cancelled: Event | None = None) -> Path:
        """The archive of ``image``, pulled if it is not at hand.

        Raises :class:`lab.images.trouble.PullFailed` when it cannot be had, :class:`docker.EngineUnreachable`
        without an engine, and leaves nothing half-written behind.
        """
        if not image.digest:
            raise ProvisionError(
                f"{image.reference} is not pulled by itself",
                details=f"carried by {image.carried_by}"
                if image.carried_by
                else "the catalog has no digest for it",
            )
        target = self.archive(image)
        lock = self.settings.cache / "locks" / f"{target.stem}.lock"
        with one_at_a_time(lock, what=f"the other pull of {image.reference}", cancelled=cancelled):
            if not self.at_hand(image):
                self._fetch(image, target, say=say, cancelled=cancelled)
        return target

    def _fetch(self, image: CatalogImage, target: Path, *, say: Say, cancelled: Event | None) -> None:
        location, limit = self._location(image), self.settings.timeouts.image_transfer
        target.parent.mkdir(parents=True, exist_ok=True)
        record = target.with_suffix(".json")
        record.unlink(missing_ok=True)
        with _passing_through(image, f"{location.name}@{image.digest}"):
            say(f"pulling from {location.shown}")
            pulled = pull(
                location,
                image.digest,
                architecture=self.architecture,
                timeout=limit,
                say=say,
                cancelled=cancelled,
            )
            docker.tag(pulled.id, image.reference)
            say("writing the archive")
            try:
                docker.save(
                    [image.reference], target, platform=self._platform(), timeout=limit, cancelled=cancelled
                )
            except process.CommandError as error:
                raise failure(location, error, reference=image.reference) from error
            if "base" not in image.roles:
                say("making one layer of it")
                squash(target)
        # Last, and at once: an archive without its record is none, and is brought again.
        partial = record.with_suffix(".partial")
        noted = {
            "reference": image.reference,
            "digest": image.digest,
            "architecture": self.architecture,
            "image_id": pulled.id,
            "pulled_from": location.name,
            "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "bytes": target.stat().st_size,
        }
        partial.write_text(json.dumps(noted, indent=1), encoding="utf-8")
        partial.replace(record)

    def _fetch_chart(self, chart: Chart, *, say: Say, cancelled: Event | None) -> None:
        target = self.chart(chart.name)
        lock = self.settings.cache / "locks" / f"{target.stem}.lock"
        with one_at_a_time(lock, what=f"the other download of {target.name}", cancelled=cancelled):
            if target.exists():
                return
            say(f"downloading {target.name}")
            try:
                http.download(chart.url, target, sha256=chart.sha256, cancelled=cancelled)
            except (http.Unavailable, http.Refused) as error:
                by_hand = f"Or put {chart.url} (sha256 {chart.sha256}) at {target} by hand."
                raise error.retold(
                    error.brief, details=error.details, remedy=f"{error.remedy}\n{by_hand}"
                ) from error

    def _platform(self) -> str | None:
        """What ``docker save`` must be told so that the archive is whole.

        With containerd's image store (the default from 29 on) it else writes an index that names
        platforms which were never pulled, and nodes refuse it (kind#3795).
        """
        major = docker.engine().version.partition(".")[0]
        return f"linux/{self.architecture}" if major.isdigit() and int(major) >= _PLATFORM_FROM else None

    def _location(self, image: CatalogImage) -> Location:
        return locate(image.pull or image.reference, self.settings.mirrors)

    def _image_part(self, image: CatalogImage) -> Part:
        return Part(
            name=f"image/{image.reference}",
            summary=f"pull {image.reference.rpartition('/')[2]}",
            done=self.at_hand(image),
            estimate_s=None,
            disk_mib=_NODE_DISK_MIB if "base" in image.roles else _DISK_MIB,
        )

    def _chart_part(self, chart: Chart) -> Part:
        return Part(
            name=f"chart/{chart.name}",
            summary=f"download the chart {chart.name} {chart.version}",
            done=self.chart(chart.name).exists(),
            estimate_s=_CHART_S,
            disk_mib=1,
        )

    def _charts(self, images: Iterable[CatalogImage]) -> list[Chart]:
        roles = {role for image in images for role in image.roles}
        return [chart for chart in charts().values() if roles.intersection(chart.needed_by)]


def _registry_obstacle(location: Location, timeout: float) -> str | None:
    """What keeps the registry from answering; a mirror may do so without TLS."""
    schemes = ("https", "http") if location.mirror else ("https",)
    why = None
    for scheme in schemes:
        why = http.obstacle(f"{scheme}://{location.host}/v2/", timeout=timeout, accept=_ANSWERS)
        if why is None:
            break
    return why


@contextmanager
def _passing_through(image: CatalogImage, pinned: str) -> Iterator[None]:
    """Leave the engine's store as it was found, once the archive is written or could not be."""
    named = docker.image(image.reference)
    was_there = docker.image(pinned) is not None
    try:
        yield
    finally:
        try:
            if named is not None:
                docker.tag(named.id, image.reference)
            # Removing a repository's last tag takes its digests along: not what was there before.
            if not was_there:
                if named is None:
                    docker.remove_image(image.reference)
                docker.remove_image(pinned)
        except (ProvisionError, HostError) as error:
            # What a container uses, the engine does not let go: then it stays, and nothing is lost.
            log.info("%s stays in the engine's store: %s", image.reference, error)
