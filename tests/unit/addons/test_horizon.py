"""For how long an agent's log keeps what cannot be sent, from the segments that it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.addons.test_shop import program

HORIZON: Any = program("prometheus-agent", "horizon")
F = 7200.0
H = 3600.0
NOW = 1_000_000.0


def log(first: int, *written: float, size: int = 20_000) -> list[Any]:
    """Segments from ``first`` on, each by how long before NOW it was written to; the last one is so now."""
    times = [*(NOW - each for each in written), NOW]
    return [HORIZON.Segment(index=first + n, size=size, written=when) for n, when in enumerate(times)]


def agent(reads: int, *, up: float = 90 * H, room: int = 4000, rate: float = 100.0) -> Any:
    return HORIZON.Agent(began=NOW - up, reads=reads, room=room, rate=rate)


def truncated(first: int, last: int, times: int) -> list[tuple[int, int]]:
    """The first and the last segment after each of so many truncations of a log that is never full."""
    state = HORIZON.Log(now=0.0, first=first, last=last, filled=0.0, truncation=1.0)
    steps = HORIZON.steps(state, frequency=1.0, growth=0.0)
    return [(each.first, each.last) for each, _ in (next(steps) for _ in range(times))]


def test_of_what_is_closed_two_thirds_go_and_nothing_of_less_than_three() -> None:
    # What `truncate` of Prometheus 3.15 leaves, worked out by hand.
    assert truncated(0, 0, 8) == [(0, 1), (0, 2), (0, 3), (2, 4), (2, 5), (4, 6), (4, 7), (6, 8)]
    assert truncated(0, 9, 2) == [(6, 10), (9, 11)]


def test_a_log_that_is_full_grows_between_truncations() -> None:
    state = HORIZON.Log(now=0.0, first=0, last=0, filled=HORIZON.SEGMENT / 2, truncation=25.0)
    steps = HORIZON.steps(state, frequency=100.0, growth=HORIZON.SEGMENT / 10)
    assert [(each.now, each.last, number) for each, number in (next(steps) for _ in range(4))] == [
        (5.0, 1, 0),
        (15.0, 2, 0),
        (25.0, 3, 1),
        (35.0, 4, 1),
    ]


@pytest.mark.parametrize(
    ("segments", "reads", "up", "hours"),
    [
        # A new agent keeps all that it has for four periods.
        ([], 0, 0.5 * H, 7.5),
        # In the course of life three periods to five, less what has passed of this one.
        ([2.5 * H, 0.5 * H], 6, 90 * H, 7.5),
        ([4.5 * H, 2.5 * H, 0.5 * H], 7, 90 * H, 9.5),
        # What was begun because it was started three times in a row counts as well.
        ([30.0, 20.0, 10.0], 7, 10.0, 10.0),
        ([60.0, 50.0, 40.0, 30.0, 20.0, 10.0], 10, 10.0, 8.0),
    ],
)
def test_a_small_log_endures_three_periods_to_five(
    segments: list[float], reads: int, up: float, hours: float
) -> None:
    found = HORIZON.horizon(log(4 if segments else 0, *segments), agent(reads, up=up), now=NOW, frequency=F)
    early, late = found["endures"]
    assert early / H == pytest.approx(hours, abs=0.01)
    # Every truncation may take a second.
    assert 0 < late - early <= 6


def test_a_busy_one_is_told_as_an_interval() -> None:
    # Thirty full segments an hour: which of them a truncation began cannot be seen.
    busy = log(0, *(120.0 * n for n in range(89, -1, -1)), size=HORIZON.SEGMENT)
    early, late = HORIZON.horizon(busy, agent(90), now=NOW, frequency=F)["endures"]
    assert early / H == pytest.approx(1.0, abs=0.2)
    assert 3 < late / H < 4.5


def test_what_is_lost_begins_with_the_next_segment() -> None:
    # A segment every ten seconds, of which three have passed; the queue is full in two.
    small = log(4, 23.0, 13.0, 3.0)
    found = HORIZON.horizon(small, agent(7, room=20, rate=10.0), now=NOW, frequency=10.0)
    assert found["lost_from"] == [NOW + 6.0, NOW + 9.0]
    assert found["endures"] == [47.0, 52.0]


def test_the_queue_may_be_full_only_after_the_next_segment_has_begun() -> None:
    small = log(4, 29.0, 19.0, 9.0)
    found = HORIZON.horizon(small, agent(7, room=20, rate=10.0), now=NOW, frequency=10.0)
    assert found["lost_from"] == [NOW, NOW + 14.0]


def test_reading_may_have_stopped_in_an_older_segment() -> None:
    small = log(4, 23.0, 13.0, 3.0)
    found = HORIZON.horizon(small, agent(6, room=20, rate=10.0), now=NOW, frequency=10.0)
    # Then the next one began when that was closed, three seconds ago.
    assert found["lost_from"] == [NOW - 4.0, NOW + 9.0]
    assert found["endures"][0] < 47.0


def test_what_is_gone_already_is_lost_now() -> None:
    found = HORIZON.horizon(log(8, 13.0, 3.0), agent(5), now=NOW, frequency=10.0)
    assert found["endures"][0] == 0


def test_a_truncation_that_is_due_may_come_at_once() -> None:
    moments = HORIZON.truncations(log(4, 20.0, 10.2), began=0.0, now=NOW, frequency=10.0)
    assert moments == [NOW, pytest.approx(NOW + 9.8)]


METRICS = """\
# TYPE process_start_time_seconds gauge
process_start_time_seconds 9.999e+05
prometheus_agent_samples_appended_total{type="float"} 900
prometheus_agent_samples_appended_total{type="histogram"} 0
prometheus_remote_storage_max_samples_per_send{remote_name="hub",url="http://x/api"} 5
prometheus_remote_storage_max_samples_per_send{remote_name="shared",url="http://y/api"} 10
prometheus_remote_storage_shard_capacity{remote_name="hub",url="http://x/api"} 10
prometheus_remote_storage_shard_capacity{remote_name="shared",url="http://y/api"} 10000
prometheus_remote_storage_shards{remote_name="hub",url="http://x/api"} 1
prometheus_remote_storage_shards{remote_name="shared",url="http://y/api"} 1
prometheus_wal_watcher_current_segment{consumer="hub"} 7
prometheus_wal_watcher_current_segment{consumer="shared"} 8
"""


def test_an_agent_says_how_full_its_queue_may_be_and_where_it_reads() -> None:
    assert HORIZON.agent(METRICS, now=NOW) == HORIZON.Agent(began=NOW - 100, reads=7, room=20, rate=9.0)


def test_it_prints_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wal = tmp_path / "wal"
    (wal / "checkpoint.00000003").mkdir(parents=True)
    for number in (10, 9, 11):
        (wal / f"{number:08}").write_bytes(b"x" * 10)
    (tmp_path / "metrics").write_text(METRICS)
    HORIZON.main(str(wal), (tmp_path / "metrics").as_uri(), "7200")
    seen = json.loads(capsys.readouterr().out)
    assert (seen["segments"], seen["bytes"]) == ([9, 11], 30)
    assert len(seen["lost_from"]) == len(seen["endures"]) == 2
