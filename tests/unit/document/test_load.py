from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.document.format import Format, Kind
from lab.document.load import Document, load, plain_data, read_value
from lab.document.position import Position
from lab.document.scalars import Unfit
from lab.document.shapes import Block, Choice, Duration, Field, Free, Integer
from lab.document.source import parse
from lab.topology.vocabulary import FORMAT

HEAD = "version: lab/v1\nname: t\n"
FULL = """\
version: lab/v1
name: full
defaults:
  provider: kind
  kubernetes: "1.35"
  nodes: {control_plane: 1, workers: 0}
  kind: {image: "kindest/node:v1.35.8"}
network: {egress: deny, node_cidr: 10.201.0.0/24}
mesh: {kind: cilium, tunnel: geneve, stale_backends: {drop_after: 1h30m}, max_clusters: 511}
clusters:
  mgmt: {role: mgmt, id: 9, pod_cidr: 10.30.0.0/16, service_cidr: 10.31.0.0/16, mesh_port: 31000}
  edges: {count: 2, prefix: edge, role: app}
addons:
  - {use: vault, on: mgmt}
  - {use: demo, on: [app, mgmt], with: {replicas: 2, share: 0.5, on: true, none: null, list: [a, {b: c}]}}
"""


def loaded(text: str) -> Document:
    document, problems = load(text.encode(), file="t.yaml", format=FORMAT)
    assert problems == []
    assert document is not None
    return document


def test_every_key_of_the_vocabulary_is_read() -> None:
    values = loaded(FULL).values
    assert values["network"]["egress"] == "deny"
    assert values["mesh"]["stale_backends"] == {"drop_after": 5400}
    assert values["clusters"]["mgmt"]["id"] == 9
    assert str(values["clusters"]["mgmt"]["pod_cidr"].network) == "10.30.0.0/16"
    assert values["clusters"]["edges"] == {"count": 2, "prefix": "edge", "role": "app"}


def test_the_key_on_is_a_key_though_yaml_11_reads_a_boolean() -> None:
    addons = loaded(FULL).values["addons"]
    assert addons[0] == {"use": "vault", "on": "mgmt"}
    assert addons[1]["on"] == ["app", "mgmt"]


def test_options_of_an_addon_are_plain_data() -> None:
    options = loaded(FULL).values["addons"][1]["with"]
    assert options == {"replicas": 2, "share": 0.5, "on": True, "none": None, "list": ["a", {"b": "c"}]}


def test_positions_are_of_values_and_of_keys() -> None:
    document = loaded(FULL)
    assert document.at(("clusters", "mgmt", "pod_cidr")) == Position("t.yaml", 11, 39)
    assert document.key_at(("clusters", "mgmt", "pod_cidr")) == Position("t.yaml", 11, 29)
    assert document.at(("addons", 1, "on", 1)) == Position("t.yaml", 15, 27)


def test_what_is_not_written_is_placed_at_what_encloses_it() -> None:
    document = loaded(FULL)
    assert document.key_at(("clusters", "mgmt", "kubernetes")) == document.key_at(("clusters", "mgmt"))
    assert document.at(("absent",)) == Position("t.yaml", 1, 1)


def test_what_is_broken_is_left_out_and_named() -> None:
    document, problems = load(
        f"{HEAD}clusters: {{a: {{role: app, id: x}}}}\n".encode(), file="t.yaml", format=FORMAT
    )
    assert document is not None
    assert document.values["clusters"] == {"a": {"role": "app"}}
    assert document.broken == {("clusters", "a", "id")}
    assert len(problems) == 1


STEPS = Format(
    Kind(noun="step", most_bytes=100, most_values=20, most_levels=5, begin="Begin.", shrink="Shrink."),
    "steps/v1",
    Block(
        "a step",
        (
            Field("version", Choice(("steps/v1",)), "Version."),
            Field("run", Integer(0, 9), "Run."),
            Field("wait", Free("1s"), "Wait."),
            Field("once", Free("1"), "Once."),
            Field("often", Free("1"), "Often."),
        ),
        one_of=("run", "wait"),
        at_most_one_of=("once", "often"),
    ),
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{run: 1}", []),
        ("{wait: 1, often: x}", []),
        ("{once: 1}", ["t.yaml:1:1 step: there is none of run or wait. Give one of these."]),
        ("{run: 1, wait: 1s}", ["t.yaml:1:1 step: run and wait exclude one another. Keep one of them."]),
        ("{runn: 1}", ['t.yaml:1:2 runn: "runn" is not a key of a step. Did you mean "run"?']),
        (
            "{run: 1, once: 1, often: 2}",
            ["t.yaml:1:1 step: once and often exclude one another. Keep one of them."],
        ),
        ("", ["t.yaml:1:1 step: the file holds nothing. Begin."]),
        (
            "{version: steps/v2}",
            [
                (
                    "t.yaml:1:11 version: steps/v2 is not a version that this program reads. "
                    "Write steps/v1, or use the release of lab that the file was written for."
                )
            ],
        ),
    ],
)
def test_alternatives_are_given_once(text: str, told: list[str]) -> None:
    _, problems = load(text.encode(), file="t.yaml", format=STEPS)
    assert [str(problem) for problem in problems] == told


def test_what_has_no_shape_is_kept_as_written_until_it_gets_one() -> None:
    document, _ = load(b"wait: {a: 6h, b: [1]}", file="t.yaml", format=STEPS)
    assert document is not None
    entries = document.entries(("wait",))
    assert read_value(Duration(), entries["a"].node) == 21600
    assert entries["b"].key == Position("t.yaml", 1, 15)
    with pytest.raises(Unfit, match="expected a length of time, found a list"):
        read_value(Duration(), entries["b"].node)


def test_plain_data_needs_no_shape() -> None:
    kind = STEPS.kind
    node = parse(b"{a: [1, '1', null], b: yes}", file="t.yaml", kind=kind)
    data, problems = plain_data(node, kind=kind)
    assert data == {"a": [1, "1", None], "b": None}
    assert [problem.path for problem in problems] == [("b",)]


def test_a_quoted_choice_is_a_choice() -> None:
    assert loaded(f'{HEAD}network: {{egress: "deny"}}\nclusters: {{a: {{role: app}}}}\n').values[
        "network"
    ] == {"egress": "deny"}


def test_aliases_that_do_not_explode_are_fine() -> None:
    text = f"{HEAD}clusters:\n  a: &one {{role: app}}\n  b: *one\n"
    assert loaded(text).values["clusters"] == {"a": {"role": "app"}, "b": {"role": "app"}}


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    load(data, file="t.yaml", format=FORMAT)


@given(st.text(alphabet="abc:{}[]&*!-,'\"#\n \t|>%@`<?1.5/", max_size=120))
def test_no_text_makes_it_raise(text: str) -> None:
    load((HEAD + text).encode(), file="t.yaml", format=FORMAT)
