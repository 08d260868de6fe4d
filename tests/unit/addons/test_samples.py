"""Which of an agent's samples are not in Thanos, by their moments and by the agent's own count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.addons.test_shop import program

SAMPLES: Any = program("prometheus-agent", "samples")

START = 1000.0
Found = list[tuple[dict[str, str], dict[float, float]]]


def every(seconds: float, count: int, *, but: range = range(0)) -> list[float]:
    return [START + seconds * n for n in range(count) if n not in but]


def missing(moments: list[float], interval: float, looks: Mapping[float, float] | None = None) -> Any:
    return SAMPLES.gaps(moments, since=START, until=START + 100, interval=interval, looks=looks)


def test_moments_an_interval_apart_lack_nothing() -> None:
    assert missing(every(1, 101), 1) == SAMPLES.Gaps(0, 1.0, None)
    # The agent puts a moment right by two milliseconds, and where it is late it is late.
    assert missing([each + 0.4 * (n % 2) for n, each in enumerate(every(10, 10))], 10).lost == 0


@pytest.mark.parametrize(
    ("moments", "lost", "first"),
    [
        (every(1, 101, but=range(40, 60)), 20, START + 40),
        (every(1, 101, but=range(30)), 30, START + 1),
        (every(1, 101, but=range(80, 101)), 21, START + 80),
        # What is missing at an end is no part of the outage, up to five seconds.
        (every(1, 101, but=range(97, 101)), 0, None),
    ],
)
def test_a_gap_is_as_many_samples_as_fit_into_it(
    moments: list[float], lost: int, first: float | None
) -> None:
    found = missing(moments, 1)
    assert (found.lost, found.first) == (lost, first)


def test_a_second_that_the_agent_left_out_is_not_lost() -> None:
    # It was busy from 40 on for three seconds, and counted its looks.
    moments = every(1, 101, but=range(40, 43))
    looks = {moment: 500.0 + n for n, moment in enumerate(moments)}
    assert missing(moments, 1).lost == 3
    assert missing(moments, 1, looks).lost == 0


def test_a_look_that_the_agent_counted_and_thanos_has_not_is_lost() -> None:
    moments = every(1, 101, but=range(40, 43))
    # Of the three that are not there it left one out; and it may have failed to read its own count.
    looks = {each: each - START - (each >= START + 43) for each in moments if each != START + 43}
    assert (missing(moments, 1, looks).lost, missing(moments, 1, looks).first) == (2, START + 40)


def test_who_was_started_again_counts_anew() -> None:
    moments = every(1, 101, but=range(40, 60))
    looks = {each: each - START if each < START + 50 else each - START - 59 for each in moments}
    assert missing(moments, 1, looks).lost == 20


def look(ended: Any, *series: set[str], answers: bool = True) -> None:
    for number, each in enumerate(series):
        ended.look("t", START + number, each, answers=answers)


def test_series_that_end_have_a_mark_each() -> None:
    ended = SAMPLES.Ended()
    look(ended, {"up", "a", "b", "c"}, {"up", "a"}, {"up", "a", "d"}, {"up", "a"})
    assert ended.ends(START + 3, 1.0) == (3, 0)


def test_a_series_that_comes_again_may_have_lost_samples() -> None:
    ended = SAMPLES.Ended()
    look(ended, {"up", "a"}, {"up"}, {"up", "a"})
    assert ended.ends(START + 2, 1.0) == (0, 1)


def test_series_of_who_does_not_answer_end_for_sure() -> None:
    ended = SAMPLES.Ended()
    ended.look("t", 1.0, {"up", "a", "b"}, answers=True)
    ended.look("t", 2.0, {"up"}, answers=False)
    ended.look("t", 3.0, {"up", "a", "b"}, answers=True)
    assert ended.ends(3.0, 1.0) == (2, 0)


def test_series_of_who_is_there_no_more_end_some_time_later() -> None:
    ended = SAMPLES.Ended()
    look(ended, {"up", "a"}, {"up", "a"})
    assert [ended.ends(START + each, 1.0) for each in (2, 4, 9)] == [(0, 0), (0, 2), (2, 0)]


def test_what_ended_before_the_count_began_is_counted_only_where_its_mark_may_come_yet() -> None:
    ended = SAMPLES.Ended()
    ended.look("gone", START - 2.0, {"up", "a"}, answers=True)
    look(ended, {"up", "a", "b"}, {"up", "a"})
    ended.begin(START + 1, 1.0)
    assert ended.ends(START + 1, 1.0) == (0, 2)
    look(ended, {"up"})
    assert ended.ends(START + 1, 1.0) == (1, 2)


def test_the_counter_is_read_where_nothing_else_goes_on() -> None:
    own = dict.fromkeys([1.0, 2.0, 3.0], 0.01)
    others = [SAMPLES.Look(0.8, 1.2, 500), SAMPLES.Look(1.95, 2.05, 40)]
    assert SAMPLES.quiet([1.0, 2.0, 3.0], others, own) == (3.0, 0)
    # Where there is no such moment, by how much it may be wrong.
    assert SAMPLES.quiet([1.0, 2.0], others, own) == (2.0, 40)
    assert SAMPLES.quiet([], others, own) is None


class Thanos:
    """Answers for an agent with two targets: its own, every second, and another one every ten seconds."""

    def __init__(self, *, lost: int = 0, ends: bool = False) -> None:
        beats = [START + n for n in range(200)]
        shop = [START + 0.5 + 10 * n for n in range(20)]
        own = {"job": "beat", "instance": "localhost:9090"}
        other = {"job": "pods", "instance": "10.0.0.1:80"}
        # Of its own five samples a second, and what it counts; of the other three, four at first if one ends.
        appended = {each: 7.0 * (each - START) + 4.0 * sum(when < each for when in shop) for each in beats}
        self.series: Found = [
            (own | {"__name__": "prometheus_agent_samples_appended_total", "type": "float"}, appended),
            (
                own | {"__name__": "prometheus_target_interval_length_seconds_count"},
                dict.fromkeys(beats, 1.0),
            ),
            *self.reported(own, beats, 2),
        ]
        gone = shop[10:] if ends else []
        # The last one has a mark at the eleventh look, and nothing after.
        self.series += [
            (other | {"__name__": "orders"}, dict.fromkeys([*shop[: 10 - lost], *shop[10:]], 1.0)),
            (other | {"__name__": "lines"}, {each: 1.0 for each in shop if each not in gone}),
            *self.reported(other, shop, 2)[:2],
        ]
        if ends:
            for each in beats:
                appended[each] -= sum(when < each for when in gone[1:])

    @staticmethod
    def reported(target: dict[str, str], moments: list[float], samples: int) -> Found:
        values = {
            "up": 1.0,
            "scrape_duration_seconds": 0.01,
            "scrape_samples_post_metric_relabeling": float(samples),
            "scrape_samples_scraped": 9.0,
            "scrape_series_added": 0.0,
        }
        return [
            (target | {"__name__": name}, dict.fromkeys(moments, value)) for name, value in values.items()
        ]

    def ask(self, query: str, at: float) -> Found:
        name, _, rest = query.partition("{")
        word = rest.rpartition("[")[2].rstrip("]")
        length = float(word[:-2]) / 1000 if word.endswith("ms") else float(word[:-1])
        found: Found = []
        for metric, samples in self.series:
            # Without its beginning, with its end, as Prometheus has it from version 3 on.
            inside = {each: value for each, value in samples.items() if at - length < each <= at}
            if (
                inside
                and name in ("", metric["__name__"])
                and ('job="beat"' not in rest or metric["job"] == "beat")
            ):
                found.append((metric, inside))
        return found


@pytest.mark.parametrize(
    ("lost", "ends", "missing"),
    [(0, False, [0, 0]), (0, True, [0, 0]), (3, False, [2, 3]), (3, True, [2, 3])],
)
def test_what_the_agent_counted_is_compared_with_what_is_there(
    monkeypatch: pytest.MonkeyPatch, lost: int, ends: bool, missing: list[int]
) -> None:
    monkeypatch.setattr(SAMPLES, "ask", Thanos(lost=lost, ends=ends).ask)
    found = SAMPLES.counted('cluster="a"', START, START + 199, 10)
    # A series that was gone and came again has perhaps a mark instead of a sample.
    assert (found["ended"], found["missing"]) == (int(ends), missing)
    assert found["appended"] - found["found"] - found["ended"] == missing[1]


def test_an_agent_that_was_started_again_has_no_count_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    thanos = Thanos()
    appended = thanos.series[0][1]
    for each in appended:
        appended[each] -= 2000 * (each > START + 100)
    monkeypatch.setattr(SAMPLES, "ask", thanos.ask)
    assert SAMPLES.counted('cluster="a"', START, START + 199, 10) == {}


def test_without_any_sample_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SAMPLES, "ask", lambda *_: [])
    SAMPLES.main("app1", "app1", "1000", "15")
    seen = json.loads(capsys.readouterr().out)
    assert (seen["series"], seen["beats"], seen["lost"], seen["first_lost"]) == (0, 0, 0, None)
    assert "missing" not in seen
