from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest

from lab.degrade.report import draw, lanes
from lab.degrade.report.lanes import APART, COLUMNS, LOST, OK, OTHER, UNKNOWN, Axis, Lane

OVER = Axis(1000.0, 1360.0, 1100.0)


def lane(states=b"", *, manner=None, columns=None, quantiles=()):
    return Lane(
        contract="C1",
        cluster="app1",
        id="thing",
        summary="a thing",
        control=False,
        states=states or bytes([OK] * COLUMNS),
        samples=1,
        outages=(),
        manner=manner,
        columns=columns or {},
        quantiles=quantiles,
    )


def paths(drawn):
    return dict(re.findall(r'<path class="(\w+)" d="([^"]*)"/>', drawn))


def points(path):
    """The corners of a path of M and l."""
    found, x, y = [], 0, 0
    for order, numbers in re.findall(r"([Ml])([^Mlz]*)", path):
        values = list(map(int, re.findall(r"-?\d+", numbers)))
        for dx, dy in zip(values[::2], values[1::2], strict=True):
            x, y = (dx, dy) if order == "M" else (x + dx, y + dy)
            found.append((x, y))
    return found


def test_each_state_is_a_box_over_its_columns_and_of_its_own_height():
    states = bytes([OK] * 100 + [LOST] * 2 + [APART] * 50 + [OTHER] * 60 + [UNKNOWN] * 500 + [OK] * 8)

    found = paths(draw.lane(lane(states), draw.Scale(0.001, 1)))

    assert found == {
        "ok": "M0 43h100v14h-100zM712 43h8v14h-8z",
        "other": "M152 68h60v18h-60z",
        "unknown": "M212 26h500v48h-500z",
        "apart": "M102 24h50v52h-50z",
        "lost": "M100 1h2v98h-2z",
    }


def test_what_failed_is_drawn_over_everything_else():
    drawn = draw.lane(lane(bytes([OK, LOST, APART, UNKNOWN] * 180)), draw.Scale(0.001, 1))

    assert re.findall(r'class="(\w+)"', drawn) == ["ok", "unknown", "apart", "lost"]


def test_a_latency_line_is_as_high_as_it_is_slow():
    columns = {0: (0.001, 0.001), 1: (0.01, 0.1), 2: (0.1, 1.0)}
    scale = draw.Scale(0.001, 1)

    found = paths(draw.lane(lane(manner="new", columns=columns), scale))

    assert points(found["half"]) == [(0, 98), (1, 66), (2, 34), (3, 34)]
    assert points(found["slow"]) == [(0, 98), (1, 66), (2, 34), (3, 34), (3, 2), (2, 2), (1, 34), (0, 98)]


def test_a_latency_line_is_broken_by_what_failed_and_by_nothing_else():
    columns = dict.fromkeys((0, 1, 5, 6, 10), (0.01, 0.02))
    states = bytearray([OK] * COLUMNS)
    states[3] = LOST

    found = paths(draw.lane(lane(bytes(states), manner="new", columns=columns), draw.Scale(0.001, 1)))

    assert found["half"].count("M") == found["slow"].count("M") == 2
    assert found["lost"] == "M3 1h1v98h-1z"


@pytest.mark.parametrize("seed", range(20))
def test_points_stay_in_the_picture(seed):
    random = Random(seed)
    columns = {}
    for column in range(COLUMNS):
        if random.random() > 0.3:
            half = 10 ** random.uniform(-7, 2)
            columns[column] = (half, half * random.uniform(1, 1000))
    quantiles = (1.0, 1.0, max(most for _, most in columns.values()))
    states = bytes(OK if column in columns else random.choice((LOST, UNKNOWN)) for column in range(COLUMNS))
    made = lane(states, manner="new", columns=columns, quantiles=quantiles)

    for path in ("half", "slow"):
        for x, y in points(paths(draw.lane(made, draw.scale([made])))[path]):
            assert 0 <= x <= COLUMNS
            assert 0 <= y <= draw.HEIGHT


@pytest.mark.parametrize(
    ("half", "most", "scale"),
    [
        (0.0008, 0.024, (0.0005, 0.05)),
        (0.001, 1.0, (0.001, 1.0)),
        (0.0, 0.0, (1e-5, 5e-5)),
        (0.3, 0.3, (0.2, 1.0)),
    ],
)
def test_the_scale_of_latencies_has_round_ends(half, most, scale):
    found = draw.scale([lane(manner="new", columns={0: (half, most)}, quantiles=(half, half, most))])

    assert (found.least, found.most) == pytest.approx(scale)


def test_without_latencies_there_is_a_scale_too():
    assert draw.scale([]).least < draw.scale([lane()]).most


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0, 11_870], (0, 12_000)),
        ([3, 4], (0, 4)),
        ([1000, 1004], (1000, 1004)),
        ([-5, 5], (-5, 5)),
        ([0.001, 0.0042], (0, 0.0045)),
        ([-7, -3], (-7, -3)),
    ],
)
def test_axes_have_round_ends(values, ends):
    low, high = draw.bounds(values)

    assert low <= min(values) <= max(values) <= high
    assert (low, high) == pytest.approx(ends)


@pytest.mark.parametrize("seed", range(50))
def test_axes_hold_all_values(seed):
    random = Random(seed)
    values = [random.uniform(-1, 1) * 10 ** random.randint(-9, 15) for _ in range(random.randint(1, 9))]

    low, high = draw.bounds(values)

    assert low < high
    assert low <= min(values) + abs(low) * 1e-9
    assert max(values) <= high + abs(high) * 1e-9


def test_a_line_of_numbers_is_broken_where_there_are_none():
    numbers = [(1000.0, 0.0), (1090.0, 5.0), (1180.0, None), (1270.0, 10.0)]

    assert paths(draw.chart(numbers, 0, 10, OVER)) == {"line": "M0.0 100.0h0L180.0 50.0M540.0 0.0h0"}


def test_a_long_line_is_thinned_and_keeps_its_extremes():
    random = Random(1)
    numbers = [(1000 + step / 100, random.random()) for step in range(36_000)]
    numbers[20_000] = (numbers[20_000][0], 50.0)

    path = paths(draw.chart(numbers, 0, 50, OVER))["line"]

    assert len(path) < 4 * COLUMNS * 13
    assert re.search(r"L400\.0 0\.0", path)


@pytest.mark.parametrize(("length", "step"), [(60, 5), (260, 30), (720, 60), (3600, 300), (86_400, 8640)])
def test_ticks_are_round_and_not_too_many(length, step):
    found = draw.ticks(Axis(1000.0, 1000.0 + length, 1060.0))

    assert 2 <= len(found) <= 14
    assert {round(b - a) for (a, _), (b, _) in pairwise(found)} == {step}
    assert (0, True) in found
    assert all(-60 <= at <= length - 60 for at, _ in found)


def test_the_stage_shows_phases_and_the_fault():
    found = paths(draw.stage([(1000, 1100), (1100, 1300), (1300, 1360)], (1090, 1400), OVER))

    assert found == {
        "away": "M180.0 0h540.0v100H180.0z",
        "zero": "M180.0 0v100M720.0 0v100",
        "edge": "M200.0 0v100M600.0 0v100",
    }
    assert set(paths(draw.stage([], None, OVER))) == {"edge"}


def test_bars_are_on_one_scale():
    assert paths(draw.bar(30, 60, 120)) == {"bar": "M0 22h180.0v56H0z", "limit": "M360.0 0v100"}
    assert paths(draw.bar(0, 0, 120)) == {"bar": "M0 22h1.0v56H0z"}


def test_what_was_done_once_can_be_seen_however_short():
    assert paths(draw.acts([(1180.0, 90.0), (1000.0, 0.001)], OVER)) == {
        "act": "M360.0 22h180.0v56H360.0zM0.0 22h0.5v56H0.0z"
    }


def test_there_is_a_box_for_each_state():
    assert {draw._BOX[state][0] for state in (UNKNOWN, OK, OTHER, APART, LOST)} == set(
        "unknown ok other apart lost".split()
    )
    heights = {draw._BOX[state][1:] for state in draw._BOX}
    assert len(heights) == 5
    assert lanes.COLUMNS == 720
