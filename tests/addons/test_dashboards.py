"""The dashboards of the checkout: each asks data sources that are provisioned, and can be looked at."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.catalog.load import load_catalog
from lab.catalog.place import place
from lab.catalog.render import render
from lab.catalog.words import look
from lab.images.catalog import catalog as images
from lab.images.files import kept
from tests.addons.test_shipped import SHIPPED, hub_with

FOLDER = SHIPPED / "grafana" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))

CLASSIC = 42
"""The last version of the classic schema (Grafana's DashboardMigrator.ts): newer ones are of another kind."""

COLUMNS = 24


def read(path: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return board


def provisioned(folder: Path) -> dict[str, dict[str, str]]:
    """The data of the addon's ConfigMaps, by name, in a lab with all that it shows."""
    catalog = load_catalog(SHIPPED, images=images(), kept=kept())
    shown = ("thanos", "loki", "alerts", "grafana")
    used = list(dict.fromkeys(each for name in shown for each in (*catalog.addons[name].needs, name)))
    topology = hub_with(folder, used=used)
    placed = place(topology, catalog)
    lab = look(topology, placed, seed=b"seed")
    [home] = [each for each in placed if each.addon.name == "grafana"]
    maps = [made for made in render(home, lab) if made["kind"] == "ConfigMap"]
    return {made["metadata"]["name"]: made["data"] for made in maps}


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_every_file_is_provisioned_as_it_is(tmp_path: Path) -> None:
    assert provisioned(tmp_path)["dashboards"] == {
        path.name: path.read_text(encoding="utf-8") for path in FILES
    }


def test_every_question_goes_to_a_source_that_is_there(tmp_path: Path) -> None:
    sources = yaml.safe_load(provisioned(tmp_path)["sources"]["sources.yaml"])["datasources"]
    known = {(each["type"], each["uid"]) for each in sources}
    assert len(known) == len(sources) == 3
    for path in FILES:
        board = read(path)
        panels, variables = board["panels"], board["templating"]["list"]
        asked = [*panels, *(target for panel in panels for target in panel["targets"])]
        asked += [each for each in variables if each["type"] == "query"]
        for each in asked:
            assert (each["datasource"]["type"], each["datasource"]["uid"]) in known, (path.name, each)


def test_the_shop_counts_what_is_asked_of_it() -> None:
    counted = re.findall(r'"(demo_\w+)"', (SHIPPED / "demo" / "shop.py").read_text(encoding="utf-8"))
    for path in FILES:
        for asked in re.findall(r"demo_\w+", path.read_text(encoding="utf-8")):
            assert re.sub("_(sum|count|bucket)$", "", asked) in counted, (path.name, asked)


def test_no_two_are_the_same() -> None:
    boards = [read(path) for path in FILES]
    for key in ("uid", "title"):
        assert len({board[key] for board in boards}) == len(boards)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = read(path)
    assert board["uid"].startswith("lab-")
    assert board["title"]
    assert board["schemaVersion"] == CLASSIC
    assert "id" not in board, "an id is of one Grafana's database"
    assert "cluster" in [each["name"] for each in board["templating"]["list"]]
    assert board["panels"]
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert "$cluster" in target["expr"], panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_lie_beside_one_another(path: Path) -> None:
    panels = read(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        assert at["w"] > 0
        assert at["h"] > 0
        assert 0 <= at["x"] <= COLUMNS - at["w"]
    for one, other in combinations(panels, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
