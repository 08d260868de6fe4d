"""Addons made for one test, in a folder of the test's: nothing in lab/ has to know them."""

from __future__ import annotations

from pathlib import Path

from lab.catalog.addon import Catalog
from lab.catalog.load import load_catalog
from lab.catalog.place import Placed, place
from lab.catalog.words import LabView, look
from lab.topology.model import Topology
from lab.topology.read import read_topology

IMAGES = ("lab.local/python:3", "docker.io/hashicorp/vault:1.21.0", "docker.io/hashicorp/vault:1.20.0")

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

HUB = "hub: {role: mgmt}, a: {role: app}, b: {role: app}"


def write(folder: Path, name: str = "x", *, more: str = "", on: str = "app", **files: str) -> Path:
    """Write the addon ``name``; ``more`` are further lines of its addon.yaml, ``files`` its other files.

    A file's name is written with two underscores for each dot. There is a ConfigMap if there is nothing else.
    """
    home = folder / "addons" / name
    home.mkdir(parents=True)
    (home / "addon.yaml").write_text(
        "version: lab.addon/v1\n"
        "summary: For a test.\n"
        'upstream: {name: x, version: "1.2", from: "https://example.org/", licence: Apache-2.0}\n'
        f"on: {on}\n"
        "memory: 16Mi\n"
        f"templates: [main.yaml.j2]\n{more}"
    )
    for file, text in ({"main__yaml__j2": CONFIG} | files).items():
        (home / file.replace("__", ".")).write_text(text)
    return home


def catalog(folder: Path) -> Catalog:
    """The addons that a test has written."""
    return load_catalog(folder / "addons", images=IMAGES)


def topology(folder: Path, uses: str, *, clusters: str = HUB) -> Topology:
    """A topology with the addons ``uses``, a list in YAML."""
    path = folder / "t.yaml"
    path.write_text(f"version: lab/v1\nname: t\nclusters: {{{clusters}}}\naddons: {uses}\n")
    return read_topology(str(path), folder=folder)


def placed(folder: Path, uses: str, *, clusters: str = HUB) -> tuple[Placed, ...]:
    """Where the written addons go."""
    return place(topology(folder, uses, clusters=clusters), catalog(folder))


def view(folder: Path, uses: str) -> tuple[tuple[Placed, ...], LabView]:
    """Where they go, and what their templates know."""
    there = placed(folder, uses)
    return there, look(topology(folder, uses), there, seed=b"seed")
