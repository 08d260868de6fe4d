"""What took how long is remembered; what failed is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.images.times import Times

STEP = "images/image/registry.k8s.io/pause:3.10"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times that are read, one after the other."""
    read = [100.0, 107.5, 200.0, 203.0]
    monkeypatch.setattr("time.monotonic", lambda: read.pop(0))
    return read


@pytest.mark.usefixtures("clock")
def test_the_last_time_counts(tmp_path: Path) -> None:
    kept = Times(tmp_path / "times")
    assert kept.last(STEP) is None
    with kept.taken(STEP):
        pass
    assert Times(tmp_path / "times").last(STEP) == 7.5
    with kept.taken(STEP):
        pass
    assert kept.last(STEP) == 3.0
    assert kept.last("images/image/registry.k8s.io/etcd:3.6.6-0") is None


def test_a_failure_leaves_no_time(tmp_path: Path) -> None:
    kept = Times(tmp_path / "times")
    with pytest.raises(OSError, match="no"), kept.taken(STEP):
        raise OSError("no")
    assert kept.last(STEP) is None


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    kept = Times(tmp_path)
    with kept.taken(STEP):
        pass
    [file] = tmp_path.iterdir()
    file.write_text("")
    assert kept.last(STEP) is None
