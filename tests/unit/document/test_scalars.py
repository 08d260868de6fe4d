from __future__ import annotations

import pytest

from lab.document.position import Position
from lab.document.scalars import Unfit, free_value, kind_of, read_scalar
from lab.document.shapes import Boolean, Duration, Integer, Text
from lab.document.source import ScalarNode


def plain(text: str) -> ScalarNode:
    return ScalarNode(Position("t.yaml"), text, plain=True)


def quoted(text: str) -> ScalarNode:
    return ScalarNode(Position("t.yaml"), text, plain=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("5m", 300), ("6h", 21600), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0)],
)
def test_durations_are_seconds(text: str, seconds: int) -> None:
    assert read_scalar(Duration(), plain(text)) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "1.5h", "30m1h", "-5s", "1d", "60 s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(Unfit):
        read_scalar(Duration(), plain(text))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("on", "a boolean"),
        ("No", "a boolean"),
        ("1.30", "a number"),
        ("0x10", "a number"),
        ("1:30", "a number"),
        ("2026-01-01", "a date"),
        ("~", "nothing"),
        ("", "nothing"),
        ("app", None),
        ("1.35.8", None),
    ],
)
def test_what_yaml_takes_a_plain_scalar_for(text: str, kind: str | None) -> None:
    assert kind_of(plain(text)) == kind
    assert kind_of(quoted(text)) is None


@pytest.mark.parametrize("text", ["010", "0x10", "1_000", "+5", "1:30", "1e3", "5.0", "", "five"])
def test_numbers_are_plain_decimal(text: str) -> None:
    with pytest.raises(Unfit):
        read_scalar(Integer(0, 10**6), plain(text))


def test_a_boolean_is_true_or_false() -> None:
    assert read_scalar(Boolean(), plain("true")) is True
    assert read_scalar(Boolean(), plain("false")) is False


@pytest.mark.parametrize("node", [plain("yes"), plain("True"), plain("1"), plain("~"), quoted("true")])
def test_no_other_spelling_is_a_boolean(node: ScalarNode) -> None:
    with pytest.raises(Unfit):
        read_scalar(Boolean(), node)


def test_a_word_in_the_wrong_spelling_is_spelled_for_you() -> None:
    shape = Text(expected="a size", sample="10G", pattern="[0-9]+[KMG]")
    with pytest.raises(Unfit) as caught:
        read_scalar(shape, plain("10g"))
    assert caught.value.remedy == 'Write "10G".'


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-5", -5), ("0.5", 0.5), ("true", True), ("false", False), ("~", None), ("yes!", "yes!")],
)
def test_options_without_a_shape_are_what_all_readers_agree_on(text: str, value: object) -> None:
    assert free_value(plain(text)) == value
    assert free_value(quoted(text)) == text
