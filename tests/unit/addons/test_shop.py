"""The programs that addons bring: what they count, and what they send."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from types import ModuleType

import pytest

from lab.settings import PROJECT


def program(addon: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "addons" / addon / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shop() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LAB_CLUSTER", "app1")
        patch.setitem(os.environ, "HOSTNAME", "back-1")
        yield program("demo", "shop")


def test_counters_are_told_once_by_name_with_every_set_of_labels(shop: ModuleType) -> None:
    counters = shop.Counters()
    counters.add("orders_total", result="ok")
    counters.add("orders_total", result="ok")
    counters.add("orders_total", result="failed")
    counters.add("lines_total")
    assert counters.text() == (
        "# TYPE lines_total counter\n"
        "lines_total 1\n"
        "# TYPE orders_total counter\n"
        'orders_total{result="ok"} 2\n'
        'orders_total{result="failed"} 1\n'
    )


def test_a_histogram_counts_up_to_each_bound(shop: ModuleType) -> None:
    counters = shop.Counters()
    for seconds in (0.004, 0.03, 9.0):
        counters.observe("took_seconds", seconds, back="app2")
    lines = counters.text().splitlines()
    assert lines[0] == "# TYPE took_seconds histogram"
    assert 'took_seconds_bucket{back="app2",le="0.005"} 1' in lines
    assert 'took_seconds_bucket{back="app2",le="0.05"} 2' in lines
    assert 'took_seconds_bucket{back="app2",le="2.0"} 2' in lines
    assert 'took_seconds_bucket{back="app2",le="+Inf"} 3' in lines
    assert 'took_seconds_count{back="app2"} 3' in lines
    assert lines[-1] == 'took_seconds_sum{back="app2"} 9.034'


def test_a_back_tells_a_password_by_a_part_of_its_hash_and_never_the_password(
    shop: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.Back.order
    monkeypatch.setattr(shop, "PASSWORD", PROJECT / "no such file")
    assert order(None, {"order": "7"}) == (200, {"order": "7", "cluster": "app1", "pod": "back-1"})
    password = PROJECT / "LICENSE"
    monkeypatch.setattr(shop, "PASSWORD", password)
    _, answer = order(None, {"order": "7"})
    assert len(answer["secret"]) == 8
    assert answer["secret"] not in password.read_text()


def unsnapped(data: bytes) -> bytes:
    """Read snappy's block format, as far as it consists of short literals."""
    length, start, shift = 0, 0, 0
    while True:
        length |= (data[start] & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if data[start - 1] < 0x80:
            break
    out = b""
    while start < len(data):
        assert data[start] & 3 == 0
        size = (data[start] >> 2) + 1
        assert size <= 60
        out += data[start + 1 : start + 1 + size]
        start += 1 + size
    assert len(out) == length
    return out


def test_what_is_sent_to_receive_is_what_was_meant() -> None:
    sample = program("thanos", "sample")
    request = sample.write_request("app1", "n123", 1_700_000_000_000)
    assert b"lab_check_sample" in request
    assert (
        request.index(b"cluster") < request.index(b"app1") < request.index(b"nonce") < request.index(b"n123")
    )
    assert unsnapped(sample.snappy(request)) == request
    long = bytes(range(256)) * 5
    assert unsnapped(sample.snappy(long)) == long
