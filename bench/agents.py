"""What light agents save: prometheus-agent and promtail beside a whole Prometheus and a whole Loki.

All of them on one application cluster at the same time, looking at the same targets and reading the same
lines: the agents send what they have to the hub, the others keep it here. The second side is made of the
same addons' templates, changed by this script: Prometheus as a server, and Loki, fed by a promtail of its own
that is shown and not counted. Memory is each container's working set, as kubelet tells it, every ten seconds;
medians. Run it from the checkout: .venv/bin/python bench/agents.py [--minutes 10]
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.common import heading, invoke, main, median, own_lab, require_absent, row, table, working_sets
from lab import console
from lab.settings import PROJECT, from_environment
from lab.workspace import Workspace, open_workspace

EVERY_S = 10.0

TOPOLOGY = """\
version: lab/v1
name: {name}
clusters:
  mgmt: {{role: mgmt}}
  app1: {{role: app}}
addons:
  - {{use: thanos}}
  - {{use: loki}}
  - {{use: prometheus-agent}}
  - {{use: promtail}}
  - {{use: local-prometheus}}
  - {{use: local-loki}}
  - {{use: local-promtail}}
  - {{use: demo, with: {{rate: {rate}}}}}
"""

SIDES = {
    "agents": (("prometheus-agent", "prometheus"), ("promtail", "promtail")),
    "whole": (("local-prometheus", "prometheus"), ("local-loki", "local-loki")),
}
"""Namespace and container of what counts on each side."""

BESIDE = ("local-promtail", "local-promtail")


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--name", type=own_lab, default="bench-agents", help="name of the lab (bench-agents)")
    parser.add_argument("--minutes", type=float, default=10, help="how long to look (10)")
    parser.add_argument("--settle", type=float, default=5, help="minutes before that (5)")
    parser.add_argument("--rate", type=int, default=50, help="the shop's orders, and lines, a second (50)")
    options = parser.parse_args()
    settings = from_environment()
    with TemporaryDirectory() as folder:
        os.environ["LAB_ADDONS"] = str(both_sides(Path(folder)))
        topology = Path(folder) / f"{options.name}.yaml"
        topology.write_text(TOPOLOGY.format(name=options.name, rate=options.rate))
        workspace = open_workspace(from_environment(), str(topology), name=None)
        require_absent(settings, workspace)
        heading("agents: prometheus-agent and promtail, beside Prometheus and Loki")
        console.out()
        console.out(
            f"MiB of each, medians over {options.minutes:g} minutes, {options.settle:g} minutes after `up`; "
            f"{options.rate} orders a second."
        )
        try:
            invoke("up", "-t", str(topology), "--yes")
            time.sleep(options.settle * 60)
            used = _watch(workspace, seconds=options.minutes * 60)
        finally:
            invoke("down", "-t", str(topology), "--yes")
    table(("what", "MiB"))
    sums = {}
    for side, parts in SIDES.items():
        for part in parts:
            row(" ".join(part), used[part])
        sums[side] = sum(used[part] for part in parts)
    row(" ".join(BESIDE), used[BESIDE])
    row("agents, together", sums["agents"])
    row("whole, together", sums["whole"])
    console.out()
    console.out(f"The agents take {sums['agents'] / sums['whole']:.2f} of what the others do.")


def _watch(workspace: Workspace, *, seconds: float) -> dict[tuple[str, str], float]:
    """MiB of each container, by namespace and name: medians."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    ending = time.monotonic() + seconds
    while time.monotonic() < ending:
        for namespace, name, used in working_sets(workspace.kubes["app1"]):
            seen[namespace, name].append(used)
        time.sleep(EVERY_S)
    return {key: median(values) or 0.0 for key, values in seen.items()}


def both_sides(folder: Path) -> Path:
    """Make ``folder``/addons of every addon, and of the three that stand for the other side; return it."""
    addons = folder / "addons"
    shutil.copytree(PROJECT / "addons", addons)
    server = _copy(addons, "prometheus-agent", "local-prometheus")
    _change(server / "agent.yaml.j2", "            - --agent\n", "")
    _change(server / "agent.yaml.j2", "--storage.agent.path=", "--storage.tsdb.path=")
    _drop(
        server / "agent.yaml.j2",
        "--storage.agent.",
        "--storage.remote.",
        "# Hidden",
        "# time a seg",
        "# What can",
    )
    # No limit of memory that would flatter it.
    limits = 'limits: {memory: {{ "96Mi" if small else "128Mi" }}}'
    _change(server / "agent.yaml.j2", limits, "limits: {memory: 1Gi}")
    _change(server / "agent.yaml.j2", '{{ "64MiB" if small else "96MiB" }}', "900MiB")
    text = (server / "prometheus.j2").read_text()
    start, end = text.index("remote_write:"), text.index("scrape_configs:")
    (server / "prometheus.j2").write_text(text[:start] + text[end:])
    loki = _copy(addons, "loki", "local-loki")
    _change(loki / "addon.yaml", "on: mgmt\nsingle: true\n", "on: app\n")
    _change(loki / "service.yaml.j2", 'annotations: {service.cilium.io/global: "true"}', "annotations: {}")
    _change(loki / "server.yaml.j2", "limits: {memory: 256Mi}", "limits: {memory: 1Gi}")
    _change(loki / "server.yaml.j2", "value: 215MiB", "value: 900MiB")
    promtail = _copy(addons, "promtail", "local-promtail")
    _change(promtail / "agent.yaml.j2", "http://loki.loki.svc", "http://local-loki.local-loki.svc")
    for each in (server, loki, promtail):
        text = (each / "addon.yaml").read_text()
        text = text[: text.index("checks:")]
        (each / "addon.yaml").write_text(text.replace("elsewhere: [service.yaml.j2]\n", ""))
    return addons


def _copy(addons: Path, name: str, as_name: str) -> Path:
    """Copy an addon, with its name wherever it is written."""
    made = addons / as_name
    shutil.copytree(addons / name, made)
    for path in made.iterdir():
        text = path.read_text()
        kept = {"docker.io/grafana/": "\0", "quay.io/prometheus/": "\1", "http://loki.loki.svc": "\2"}
        for words, mark in kept.items():
            for tail in (name, ""):
                text = text.replace(words + tail, mark + ("\3" if tail else ""))
        text = text.replace(f"needs: [{name}]", f"needs: [{as_name}]").replace(name, as_name)
        for words, mark in kept.items():
            text = text.replace(f"{mark}\3", words + name).replace(mark, words)
        path.write_text(text)
    return made


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has no {old}"
    path.write_text(text.replace(old, new))


def _drop(path: Path, *beginnings: str) -> None:
    """Leave out the lines that begin so, after a dash and spaces."""
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().removeprefix("- ").startswith(beginnings)]
    path.write_text("".join(kept))


if __name__ == "__main__":
    main(measure)
