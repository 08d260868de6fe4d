from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.catalog.contract import Phase
from lab.degrade.history import Note
from lab.degrade.report import html as module
from lab.degrade.report.html import command, html
from lab.degrade.verdict import Finding, together
from tests.unit.degrade.report import judged, made, pages

RETURNS = "samples are taken again"

HOSTILE = (
    "\"'><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
    "{{ 7 * 7 }}{% raw %}</style></title></svg>&lt;\x00\x1b[31m\u202e\ud800]]>-->"
)


def page(history=None, verdicts=None):
    text = html(history or made.history(), judged.verdicts() if verdicts is None else verdicts)
    root, problems = pages.parse(text)
    assert not problems
    return root


@pytest.fixture(scope="module")
def whole():
    return page()


def rows(table):
    return [[cell.text for cell in row.all("td")] for row in table.all("tr")][1:]


def test_it_says_what_was_done_and_what_came_of_it(whole):
    [title] = whole.all("h1")
    [outcome] = whole.all("p", class_="outcome")

    assert title.text == "The cluster mgmt was killed for 1 min 34 s"
    assert outcome.text == "2 of 5 claims did not hold: C1 and C3. Whether 1 more holds cannot be told: C4."
    facts = {each.text for each in next(whole.all("dl", class_="facts")).all("dd")}
    assert {"2026-01-01 10:00:00 UTC", "4 min 20 s", "quick", "app1 and app2", "hub-spoke"} <= facts


def test_scaled_time_constants_are_said_before_anything_else(whole):
    [notice] = next(whole.all("header")).all("div", class_="notice")

    assert notice.text.startswith("Shorter than in life (profile quick): Prometheus truncates its log")
    history = made.history()
    history.run["profile"]["scaled"] = ""
    assert not list(page(history).all("div", class_="notice"))


def test_what_makes_a_run_doubtful_is_said_there_too():
    history = made.history()
    history.notes.append(Note(5100.0, made.WALL, "interrupted by Ctrl-C", "interrupted"))

    assert "interrupted by Ctrl-C" in next(page(history).all("header")).text


def test_each_verdict_is_a_row_that_leads_to_its_evidence(whole):
    claims, controls = whole.all("table", class_="verdicts")

    assert [(row[0], row[1]) for row in rows(claims)] == [
        ("fail", "C1"),
        ("pass", "C2"),
        ("fail", "C3"),
        ("inconclusive", "C4"),
        ("pass", "C6"),
        ("skipped", "C8"),
    ]
    assert rows(claims)[0][2:] == ["Application workloads run on when mgmt dies.", f"app2: {judged.LOST}"]
    assert rows(controls)[0][:2] == ["fails, as it must", "C6-ten-tries"]
    links = [link.attributes["href"] for table in (claims, controls) for link in table.all("a")]
    assert links == ["#C1", "#C2", "#C3", "#C4", "#C6", "#C8", "#C6-ten-tries"]


def test_every_link_leads_somewhere_and_every_id_is_there_once(whole):
    ids = [each.attributes["id"] for each in whole.all() if "id" in each.attributes]
    links = [each.attributes["href"] for each in whole.all() if "href" in each.attributes]

    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert {"lane-0-0", "stage", "hatch", "mark-pass"} <= set(ids)


def assert_needs_nothing_from_elsewhere(text, root):
    assert not [
        each for each in root.all() if each.tag in {"script", "link", "img", "iframe", "object", "base"}
    ]
    for each in root.all():
        for name, value in each.attributes.items():
            assert name not in {"src", "srcset", "background", "action", "data", "poster"}
            assert not name.startswith("on")
            if name in {"href", "xlink:href"}:
                assert value.startswith("#")
            if name == "style":
                assert re.fullmatch(r"(left|width):[\d.]+%(;width:[\d.]+%)?|position:absolute", value)
    [style] = root.all("style")
    assert re.findall(r"url\([^)]*\)", style.text) == ["url(#hatch)"]
    assert "@import" not in style.text
    assert "http" not in style.text
    [policy] = root.all("meta", http_equiv="Content-Security-Policy")
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert text.startswith("<!DOCTYPE html>")


def test_it_needs_nothing_from_elsewhere(whole):
    assert_needs_nothing_from_elsewhere(html(made.history(), judged.verdicts()), whole)


def test_lanes_of_all_clusters_are_there(whole):
    first, second = whole.all("div", class_="lanes")

    for cluster, group in (("app1", first), ("app2", second)):
        assert next(group.all("h3")).text == cluster
        lanes = list(group.all("div", class_="lane"))
        assert len(lanes) == 17
        assert all(len(list(lane.all("svg", class_="strip"))) == 1 for lane in lanes)
    stats = [each.text for each in second.all("div", class_="trouble")]
    assert stats == [next(each for each in stats if each.startswith("4 of 2,600 lost"))]
    assert [each.text for each in first.all("div", class_="trouble")] == ["its value changed 130 ok"]


def test_pictures_can_be_heard(whole):
    pictures = [each for each in whole.all("svg") if "aria-hidden" not in each.attributes]

    assert len(pictures) > 60
    for each in pictures:
        assert each.attributes["role"] == "img"
        [title] = each.all("title")
        assert title.text
    titles = {title.text for each in pictures for title in each.all("title")}
    [lost] = [
        title for title in titles if title.startswith("C1 on app2, between-app1, new connections: 4 of")
    ]
    assert "in 1 stretch from +0:2" in lost


def test_headings_are_in_order(whole):
    levels = [int(each.tag[1]) for each in whole.all() if re.fullmatch(r"h[1-6]", each.tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert [each.text for each in whole.all("h2")] == [
        "Verdicts",
        "Timeline",
        "Figures over time",
        "Recovery",
        "Evidence",
        "Setting",
    ]
    assert {each.tag for each in whole.all() if each.tag in {"header", "nav", "main", "footer"}} == {
        "header",
        "nav",
        "main",
        "footer",
    }


def test_evidence_of_every_failure_is_open_and_of_no_pass(whole):
    found = {}
    for article in whole.all("article"):
        for part in article.all("details"):
            found[article.attributes["aria-labelledby"], next(part.all("h4")).text] = (
                "open" in part.attributes
            )

    assert {key for key, is_open in found.items() if is_open} == {
        ("C1", "app2"),
        ("C3", "app1"),
        ("C4", "app1"),
        ("C6-ten-tries", "app1"),
        ("C6-ten-tries", "app2"),
    }
    assert len(found) == 12


def test_evidence_has_all_that_was_seen(whole):
    [c3] = [each for each in whole.all("article") if each.attributes["aria-labelledby"] == "C3"]
    app1 = next(c3.all("details"))

    assert rows(next(app1.all("table", class_="findings"))) == [
        ["yes", "Vault is away proof", judged.AWAY],
        ["no", "the Secret is the same byte for byte", judged.CHANGED],
        ["yes", "External Secrets is in step again", "after 35.8 s"],
        ["yes", "a new pod can mount it", "mount was done after 3.2 s"],
    ]
    assert "secret samples 130" in app1.text
    assert "failed: could not get secret data from provider: connection refused" in app1.text
    assert "connection refused" in app1.text
    assert [each.attributes["href"] for each in app1.all("use") if "lane" in each.attributes["href"]] == [
        "#lane-2-0",
        "#lane-2-1",
        "#lane-2-2",
    ]


def test_figures_and_recovery(whole):
    assert len(list(whole.all("figure"))) == 2
    [bars] = whole.all("div", class_="bars")
    assert [each.text for each in bars.all("div", class_="stat")][:3] == [
        "33.2 s of 2 min allowed",
        "33.2 s of 2 min allowed",
        "35.8 s of 2 min allowed after vault",
    ]


def test_what_came_back_too_late_or_never_is_told():
    late = judged.on(
        "C2", "app1", "fail", "late", judged.finding(RETURNS, "y", {"thanos_returned_s": 130.0}, ok=False)
    )
    never = judged.on("C2", "app2", "fail", "never", judged.finding(RETURNS, "y", ok=False))

    [bars] = page(verdicts=[together("C2", "It holds.", [late, never])]).all("div", class_="bars")

    assert [each.text for each in bars.all("div", class_="trouble")] == [
        "2 min 10 s of 2 min allowed",
        "not back, of 2 min allowed",
    ]


def test_the_setting_is_told(whole):
    [setting] = whole.all("section", aria_labelledby="setting")

    assert (
        "./invoke degrade -t hub-spoke --fault kill --target mgmt --profile quick --hold 90s" in setting.text
    )
    assert "Cilium 1.19.5" in setting.text
    assert "memory 24 GiB" in setting.text
    assert "app2: the API server was slow for 3 s" in setting.text
    assert "seen mgmt's API server: connection refused" in setting.text


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (
            {"asked_for": {"topology": "labs/my lab.yaml", "contract": "C3,C6"}},
            "./invoke degrade -t 'labs/my lab.yaml' --fault kill --target mgmt --profile quick --hold",
        ),
        ({"asked_for": {"topology": "", "contract": "C3,C6"}, "lab": "two"}, "-t hub-spoke --name two"),
        ({"asked_for": {"topology": "", "contract": "C3,C6"}}, " --contract C3,C6"),
        ({"target": "a; rm -rf /"}, "--target 'a; rm -rf /'"),
        ({"profile": {"name": "", "hold_s": 600.5}}, "--target mgmt --hold 600.5s"),
    ],
)
def test_the_command_that_makes_it_again(run, line):
    assert line in command({**made.header(["app1"]), **run})


def hostile(value):
    """The same with every text made as bad as it can be, keys that are asked for as they are."""
    if isinstance(value, dict):
        return {key: each if key in {"rule", "phases"} else hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def hostile_run():
    run = hostile(made.header(["app1", "app2"]))
    run["versions"] = run["host"] = {HOSTILE: HOSTILE}
    found = made.history()
    contracts = {each["contract"] for each in run["cases"]}

    def renamed(name):
        parts = name.split("/")
        return "/".join([*(f"{part}{HOSTILE}" for part in parts[:2]), *parts[2:]])

    samples = {
        renamed(name): [each._replace(ok=False, error=HOSTILE, value=HOSTILE) for each in samples]
        for name, samples in found.samples.items()
    }
    acts = {
        renamed(name): each._replace(error=HOSTILE, value={HOSTILE: HOSTILE}, phase=HOSTILE)
        for name, each in found.acts.items()
    }
    flows = {
        renamed(name): [each._replace(ok=i % 7 > 0, error=HOSTILE) for i, each in enumerate(samples)]
        for name, samples in found.flows.items()
    }
    faults = [each._replace(detail=HOSTILE) for each in found.faults]
    notes = [each._replace(text=HOSTILE, code="unclean") for each in found.notes]
    found = replace(found, run=run, samples=samples, acts=acts, flows=flows, faults=faults, notes=notes)
    verdicts = []
    for name in sorted(contracts):
        finding = Finding(
            says=HOSTILE,
            ok=False,
            proof=False,
            seen=HOSTILE,
            measured={HOSTILE: HOSTILE, "set": {HOSTILE: HOSTILE, "a": 1, "b": 2, "c": 3}},
        )
        on = [
            judged.on(name, f"{cluster}{HOSTILE}", "fail", HOSTILE, finding) for cluster in ("app1", "app2")
        ]
        verdicts.append(together(name, HOSTILE, on, control_of=HOSTILE if "ten" in name else ""))
    return found, verdicts


def test_hostile_text_stays_text():
    history, verdicts = hostile_run()

    text = html(history, verdicts)
    root, problems = pages.parse(text)

    assert not problems
    assert_needs_nothing_from_elsewhere(text, root)
    assert {each.tag for each in root.all()} <= {each.tag for each in page().all()}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800]", text)
    assert root.text.count("<script>alert(1)</script>") > 50
    assert root.text.count("{{ 7 * 7 }}") > 50
    text.encode()


def test_the_run_in_which_nothing_was_broken():
    history = made.history()
    note = Note(5050.0, made.WALL, "Vault did not answer in baseline", "unclean")
    spans: dict[Phase, tuple[float, float]] = {"baseline": history.spans["baseline"]}
    history = replace(history, faults=[], spans=spans, notes=[note])
    verdicts = [
        replace(each, word="inconclusive", reason="the baseline was not clean") for each in judged.verdicts()
    ]

    found = page(history, verdicts)

    assert next(found.all("h1")).text == "The cluster mgmt was to be killed, and was not"
    assert "Vault did not answer in baseline" in next(found.all("header")).text
    assert not [each for each in found.all("path") if each.attributes.get("class") == "away"]


def test_the_run_that_was_cut_off():
    history = made.history()
    del history.spans["recover"], history.spans["settle"]
    history = replace(history, faults=history.faults[:2], acts={}, ended=False)

    found = page(history)

    assert next(found.all("h1")).text == "The cluster mgmt was killed, and not brought back within the run"
    assert "This run was cut off." in next(found.all("header")).text
    assert "never, was due in settle" in found.text


def test_the_run_of_which_there_is_only_the_header():
    run = made.header([])
    run["skipped"] = []

    found = page(made.History(run=run), [])

    assert "No claim was put to the test." in found.text
    assert not list(found.all("section", aria_labelledby="timeline"))
    assert page(made.History(run=made.header(["app1"])), judged.verdicts())


def test_a_run_without_samples_says_so():
    history = made.history()
    history.samples.clear()
    history.flows.clear()

    stats = {each.text for each in page(history).all("div", class_="stat")}

    assert "no samples" in stats


def test_a_long_run_of_many_lanes_is_not_too_large():
    lines = list(made.records(clusters=("app1", "app2", "app3"), scale=2.0, flows=4, seed=2))
    history = made.history(lines)

    text = html(history, judged.verdicts())

    assert len(list(pages.parse(text)[0].all("div", class_="lane"))) > 100
    assert sum(map(len, history.flows.values())) > 150_000
    assert len(text) < 1_500_000


def colours(text, block):
    [rules] = re.findall(block, text, re.DOTALL | re.MULTILINE)[:1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", rules))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("block", [r"^:root \{(.*?)\n\}", r"prefers-color-scheme: dark\) \{(.*?)\n\}"])
def test_everything_can_be_told_from_what_is_behind_it(block):
    css = (Path(module.__file__).parent / "report.css").read_text()
    found = colours(css, block)

    for behind in ("paper", "raised"):
        for text in ("ink", "muted", "link", "pass", "fail", "inconclusive", "skipped"):
            assert contrast(found[text], found[behind]) >= 4.5, (text, behind)
    for mark in ("ok", "other", "apart", "lost", "hatch", "half", "zero"):
        assert contrast(found[mark], found["paper"]) >= 3, mark


def test_a_control_that_is_skipped_has_its_place():
    skipped = judged.on("C2-again", "app1", "skipped", "the addon is not set up for it")
    verdicts = [*judged.verdicts(), together("C2-again", "It holds, too.", [skipped], control_of="C2")]
    assert "the addon is not set up for it" in page(verdicts=verdicts).text
