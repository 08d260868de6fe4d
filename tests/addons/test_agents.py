"""The other side of bench/agents.py is made of shipped templates: it must follow what becomes of these."""

from __future__ import annotations

from pathlib import Path

from bench.agents import SIDES, TOPOLOGY, both_sides
from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.catalog.render import render
from lab.catalog.words import look
from lab.images.catalog import catalog as images
from lab.images.files import kept
from lab.mesh.claims import mesh
from lab.topology.read import read_topology


def test_both_sides_can_be_made_and_the_whole_one_is_not_held_down(tmp_path: Path) -> None:
    of_mesh = [each.id for each in mesh().contracts]
    catalog = load_catalog(both_sides(tmp_path), images=images(), kept=kept(), contracts=of_mesh)
    path = tmp_path / "bench-agents.yaml"
    path.write_text(TOPOLOGY.format(name="bench-agents", rate=50))
    topology = read_topology(str(path), folder=tmp_path)
    placed = place(topology, catalog)
    lab = look(topology, placed, seed=b"seed")
    limits: dict[tuple[str, str], str] = {}
    for each in placed:
        for made in render(each, lab):
            pod = made.get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", ()):
                limits[each.addon.namespace, container["name"]] = container["resources"]["limits"]["memory"]
                if each.addon.name == "local-prometheus":
                    assert "--agent" not in container["args"]
    assert {part: limits[part] for side in SIDES.values() for part in side} == {
        ("prometheus-agent", "prometheus"): "128Mi",
        ("promtail", "promtail"): "64Mi",
        ("local-prometheus", "prometheus"): "1Gi",
        ("local-loki", "local-loki"): "1Gi",
    }
