"""Makes one image of the catalog from built programs and Debian packages."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from lab.clients import process
from lab.errors import ProvisionError
from lab.images.catalog import CatalogImage, Recipe
from lab.images.source import debian, system
from lab.images.source.archive import Config, Layer, write_archive
from lab.images.source.program import Built


def archive_path(image: CatalogImage, cache: Path, *, architecture: str) -> Path:
    """Where the archive of ``image`` lies in the cache once it is made."""
    return cache / "images" / f"{image.key(architecture)}.tar"


def make(
    image: CatalogImage,
    cache: Path,
    *,
    built: Mapping[str, Built],
    architecture: str,
    timeout: float,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """The archive of ``image``, from the cache or made of ``built`` programs (by name).

    ``timeout`` is in seconds, for the download of packages. Raises
    :class:`lab.errors.ProvisionError` when there is no recipe or a part of it is missing.
    """
    target = archive_path(image, cache, architecture=architecture)
    if target.exists():
        return target
    # The first thing that is ever made here may need no program, and so no folder yet.
    cache.mkdir(parents=True, exist_ok=True)
    recipe = image.source
    if recipe is None:
        raise ProvisionError(f"{image.reference} cannot be made from package registries")
    layer = Layer()
    layers: list[Layer | Path] = [layer]
    for path, mode in recipe.folders.items():
        layer.folder(path, mode=int(mode, 8))
    if recipe.system:
        say("installing a system")
        layers.insert(
            0, system.root_file_system(recipe.system, cache, architecture=architecture, timeout=timeout)
        )
    if recipe.debian:
        say("unpacking Debian packages")
        _add_packages(layer, recipe, cache, timeout=timeout)
    for path, source in recipe.files.items():
        layer.copy(located(source, built), path)
    for path, text in recipe.texts.items():
        layer.file(path, text.encode())
    for path, source in recipe.compile.items():
        _compile(layer, path, located(source, built))
    for path, to in recipe.links.items():
        layer.link(path, to)
    if (containerd := built.get("containerd")) is not None:
        layer.file("/etc/containerd/cri-base.json", node_runtime_spec(containerd.binary("ctr")))
    say("writing the archive")
    config = Config(
        entrypoint=recipe.entrypoint,
        command=recipe.command,
        env=recipe.env,
        user=recipe.user,
        workdir=recipe.workdir,
        stop_signal=recipe.stop_signal,
    )
    write_archive(layers, target, reference=image.reference, config=config, architecture=architecture)
    return target


def node_runtime_spec(ctr: Path) -> bytes:
    """The OCI spec that a node's containers start from, as kind's nodes expect it.

    containerd's default, with kind's hook that hides the host's product files, and without
    resource limits (kind's images/base/Dockerfile does the same when it makes a node image).
    """
    spec = json.loads(process.run([ctr, "oci", "spec"]).stdout)
    hooks = spec.setdefault("hooks", {}).setdefault("createContainer", [])
    hooks.append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    return json.dumps(spec).encode()


def located(source: str, built: Mapping[str, Built]) -> Path:
    """The file that ``PROGRAM/bin/NAME`` or ``PROGRAM/files/NAME`` means."""
    program, _, rest = source.partition("/")
    kind, _, name = rest.partition("/")
    return built[program].binary(name) if kind == "bin" else built[program].kept(name)


def _add_packages(layer: Layer, recipe: Recipe, cache: Path, *, timeout: float) -> None:
    packages = [glob for glob in recipe.leave_out if not glob.startswith(("/", "*."))]
    paths = [glob for glob in recipe.leave_out if glob not in packages]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        for name, target in debian.MERGED.items():
            layer.link(f"/{name}", target)
        layer.folder("tmp", mode=0o1777)
        for package in debian.download(recipe.debian, Path(folder), timeout=timeout):
            name = package.name.partition("_")[0]
            if any(fnmatch(name, glob) for glob in packages):
                continue
            for info, content in debian.entries(package, leave_out=paths):
                layer.add(info, content)


def _compile(layer: Layer, path: str, source: Path) -> None:
    """A static program of one C file, with the host's compiler."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program"
        process.run(
            ["cc", "-Os", "-Wall", "-static", "-s", "-o", program, source],
            remedy="Install a C compiler: apt-get install gcc libc6-dev",
        )
        layer.file(path, program.read_bytes(), mode=0o755)
