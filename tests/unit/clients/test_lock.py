"""One at a time, and never for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab.clients.lock import held, one_at_a_time
from lab.errors import Interrupted


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "new" / "thing.lock"
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(5)
        with one_at_a_time(path, what="the first"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with one_at_a_time(path, what="nobody"):
        inside.set()
        thread.join(0.5)
        order.append("first")
    thread.join(5)

    assert order == ["first", "second"]


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), one_at_a_time(tmp_path / "lock", what="nobody"):
        raise ValueError("inside")
    with one_at_a_time(tmp_path / "lock", what="nobody"):
        pass


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    failed: list[Interrupted] = []

    def second() -> None:
        try:
            with one_at_a_time(tmp_path / "lock", what="the first", cancelled=cancelled):
                pass
        except Interrupted as error:
            failed.append(error)

    with one_at_a_time(tmp_path / "lock", what="nobody"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(5)

    assert "the first" in failed[0].brief


def test_what_somebody_holds_is_not_waited_for(tmp_path: Path) -> None:
    with held(tmp_path / "lock") as mine, held(tmp_path / "lock") as again:
        assert (mine, again) == (True, False)
    with held(tmp_path / "lock") as mine:
        assert mine
