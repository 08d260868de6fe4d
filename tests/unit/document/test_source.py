from __future__ import annotations

import pytest

from lab.document.source import MappingNode, ScalarNode, SequenceNode, Unreadable, parse, parse_all
from lab.topology.vocabulary import FORMAT

KIND = FORMAT.kind


def refusal(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        parse(data, file="t.yaml", kind=KIND)
    return str(caught.value.problem)


def test_scalars_stay_as_written_with_their_places() -> None:
    root = parse(b"on: [no, 'yes', 010]\n", file="t.yaml", kind=KIND)
    assert isinstance(root, MappingNode)
    ((key, value),) = root.pairs
    assert isinstance(key, ScalarNode)
    assert (key.text, str(key.position)) == ("on", "t.yaml:1:1")
    assert isinstance(value, SequenceNode)
    items = [item for item in value.items if isinstance(item, ScalarNode)]
    assert [(item.text, item.plain, item.position.column) for item in items] == [
        ("no", True, 6),
        ("yes", False, 10),
        ("010", True, 17),
    ]


def test_an_alias_is_the_node_that_it_repeats() -> None:
    root = parse(b"a: &x {role: app}\nb: *x\n", file="t.yaml", kind=KIND)
    assert isinstance(root, MappingNode)
    assert root.pairs[0][1] is root.pairs[1][1]
    assert root.size == 1 + 2 + 2 * 3


def test_a_stream_holds_several_documents_and_skips_those_that_hold_nothing() -> None:
    roots = parse_all(b"---\na: 1\n---\n# nothing\n---\nb: '2'\n", file="t.yaml", kind=KIND)
    assert [str(root.position) for root in roots] == ["t.yaml:2:1", "t.yaml:6:1"]
    assert parse_all(b"", file="t.yaml", kind=KIND) == ()


def test_both_scanners_tell_quoted_scalars_from_plain_ones() -> None:
    data = b"{a: 1, b: '1', c: \"1\"}"
    for root in (parse(data, file="t.yaml", kind=KIND), *parse_all(data, file="t.yaml", kind=KIND)):
        assert isinstance(root, MappingNode)
        values = [value for _, value in root.pairs if isinstance(value, ScalarNode)]
        assert [value.plain for value in values] == [True, False, False]


def test_an_anchor_holds_for_its_document() -> None:
    with pytest.raises(Unreadable):
        parse_all(b"a: &x 1\n---\nb: *x\n", file="t.yaml", kind=KIND)


def test_a_byte_order_mark_is_no_content() -> None:
    root = parse(b"\xef\xbb\xbfname: x\n", file="t.yaml", kind=KIND)
    assert isinstance(root, MappingNode)


def test_windows_line_ends_count_as_one() -> None:
    root = parse(b"a: 1\r\nb: 2\r\n", file="t.yaml", kind=KIND)
    assert isinstance(root, MappingNode)
    assert [key.position.line for key, _ in root.pairs] == [1, 2]


def test_a_large_file_is_refused_before_it_is_parsed() -> None:
    assert refusal(b"#" * (KIND.most_bytes + 1)) == (
        "t.yaml:1:1 topology: the file has 256 KiB, more than the 256 KiB of a topology. "
        "Use {count: ..., prefix: ...} for many equal clusters."
    )


def test_a_bomb_costs_nothing() -> None:
    # Twelve levels of ten: 10**12 values, had anybody written them out.
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 13)]
    assert "its aliases make this" in refusal("\n".join(lines).encode())


def test_depth_is_refused_before_the_stack_ends() -> None:
    assert "more than 16 levels deep" in refusal(b"[" * 10_000 + b"]" * 10_000)


def test_aliases_of_aliases_are_as_deep_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)]
    assert refusal("\n".join(lines).encode()).startswith(
        "t.yaml:16:12 topology: this is nested more than 16 levels"
    )


@pytest.mark.parametrize("data", [b"\xff", b"a: \xc3\x28", b"\xef\xbb\xbf\xff"])
def test_what_is_not_utf8_is_said_at_its_byte(data: bytes) -> None:
    assert "is not UTF-8" in refusal(data)


def test_the_position_of_a_bad_byte_counts_characters_not_bytes() -> None:
    assert refusal("# é\n# éé".encode() + b"\xe9\n").startswith("t.yaml:2:5 ")
