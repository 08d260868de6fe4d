from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.topology.load import Document, load
from lab.topology.position import Position

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
    document, problems = load(text.encode(), file="t.yaml")
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
    document, problems = load(f"{HEAD}clusters: {{a: {{role: app, id: x}}}}\n".encode(), file="t.yaml")
    assert document is not None
    assert document.values["clusters"] == {"a": {"role": "app"}}
    assert document.broken == {("clusters", "a", "id")}
    assert len(problems) == 1


def test_a_quoted_choice_is_a_choice() -> None:
    assert loaded(f'{HEAD}network: {{egress: "deny"}}\nclusters: {{a: {{role: app}}}}\n').values[
        "network"
    ] == {"egress": "deny"}


def test_aliases_that_do_not_explode_are_fine() -> None:
    text = f"{HEAD}clusters:\n  a: &one {{role: app}}\n  b: *one\n"
    assert loaded(text).values["clusters"] == {"a": {"role": "app"}, "b": {"role": "app"}}


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    load(data, file="t.yaml")


@given(st.text(alphabet="abc:{}[]&*!-,'\"#\n \t|>%@`<?1.5/", max_size=120))
def test_no_text_makes_it_raise(text: str) -> None:
    load((HEAD + text).encode(), file="t.yaml")
