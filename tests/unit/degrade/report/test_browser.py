"""The page in a browser, where there is one: what only a layout can show."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from lab.degrade.report.html import html
from lab.host import browser
from tests.unit.degrade.report import judged, made
from tests.unit.degrade.report.test_html import hostile_run

BROWSER = browser.find()

pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no Chromium")

WIDTHS = (320, 390, 768, 1280)

MEASURE = """<!DOCTYPE html><body><script>
const page = %s;
for (const width of %s) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => {
    const inner = frame.contentDocument, root = inner.documentElement, found = document.createElement("pre");
    const lanes = [...inner.querySelectorAll(".lanes .lane > svg")].map(each => each.getBoundingClientRect());
    const again = [...inner.querySelectorAll("details[open] use[href^='#lane']")];
    const least = side => Math.round(Math.min(...lanes.map(each => each[side])));
    const empty = again.filter(each => each.getBBox().width < 700).length;
    const sideways = root.scrollWidth - root.clientWidth;
    found.textContent = [width, sideways, least("width"), least("height"), empty].join(" ");
    document.body.append(found);
  };
  frame.srcdoc = page;
  document.body.append(frame);
}
</script>"""


def measured(page, tmp_path):
    """For each width: how far the page scrolls sideways, the least lane's width and height, empty lanes."""
    text = json.dumps(page).replace("<", "\\u003c")
    (tmp_path / "measure.html").write_text(MEASURE % (text, list(WIDTHS)), encoding="utf-8")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    options = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=30000"]
    command = [str(BROWSER), *options, *root, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    place = (tmp_path / "measure.html").as_uri()
    done = subprocess.run([*command, place], capture_output=True, text=True, timeout=120)
    found = re.findall(r"<pre>([\d -]+)</pre>", done.stdout)
    assert found, f"Chromium shows nothing: {done.stderr[-300:]}"
    return {values[0]: values[1:] for values in (list(map(int, each.split())) for each in found)}


@pytest.mark.parametrize("what", ["made", "hostile"])
def test_the_page_fits_every_screen(what, tmp_path):
    history, verdicts = hostile_run() if what == "hostile" else (made.history(), judged.verdicts())

    found = measured(html(history, verdicts), tmp_path)

    assert set(found) == set(WIDTHS)
    for width, (sideways, lane, height, empty) in found.items():
        assert sideways == 0, width
        assert lane >= min(width * 0.5, 500), width
        assert height >= 16, width
        assert empty == 0, width
