from __future__ import annotations

from lab.document.load import load
from lab.topology.declare import Declaration, declare
from lab.topology.model import Mesh, Nodes, StaleBackends
from lab.topology.vocabulary import FORMAT

HEAD = "version: lab/v1\nname: t\n"


def declared(text: str) -> Declaration:
    document, problems = load(f"{HEAD}{text}".encode(), file="t.yaml", format=FORMAT)
    assert document is not None
    declaration, more = declare(document)
    assert [*problems, *more] == []
    return declaration


def test_what_is_left_out_has_the_defaults_of_the_vocabulary() -> None:
    declaration = declared("clusters: {a: {role: app}}")
    (cluster,) = declaration.clusters
    assert (cluster.provider, cluster.kubernetes, cluster.nodes) == ("kind", "1.35", Nodes(1, 0))
    assert declaration.mesh == Mesh("cilium", "vxlan", StaleBackends("keep"), 255)
    assert (declaration.egress, declaration.node_cidr, declaration.addons) == ("allow", None, ())


def test_a_cluster_overrides_the_file_key_by_key() -> None:
    declaration = declared(
        'defaults: {kubernetes: "1.36", nodes: {control_plane: 3, workers: 1}, multipass: {memory: 4G}}\n'
        "clusters:\n"
        "  a: {role: app, provider: multipass, nodes: {workers: 2}, multipass: {cpus: 2}}\n"
        '  b: {role: app, kubernetes: "1.35"}\n'
    )
    a, b = declaration.clusters
    assert (a.kubernetes, a.nodes, a.options) == ("1.36", Nodes(3, 2), {"memory": "4G", "cpus": 2})
    assert (b.kubernetes, b.nodes, b.options) == ("1.35", Nodes(3, 1), {})


def test_a_setting_is_placed_where_it_is_written() -> None:
    declaration = declared('defaults: {kubernetes: "1.36"}\nclusters:\n  a: {role: app}\n')
    (cluster,) = declaration.clusters
    assert declaration.source(cluster, "kubernetes")[1] == ("defaults", "kubernetes")
    assert declaration.source(cluster, "role")[1] == ("clusters", "a", "role")
    assert declaration.source(cluster, "nodes")[1] == ("clusters", "a")


def test_counted_clusters_stand_in_the_order_of_the_file() -> None:
    declaration = declared(
        "clusters:\n  mgmt: {role: mgmt}\n  any: {count: 2, prefix: edge, role: app}\n  last: {role: app}\n"
    )
    assert [c.name for c in declaration.clusters] == ["mgmt", "edge-001", "edge-002", "last"]
    assert declaration.clusters[1].path == declaration.clusters[2].path == ("clusters", "any")


def test_the_three_ways_with_stale_backends() -> None:
    for text, expected in (
        ("keep", StaleBackends("keep")),
        ("prefer_local", StaleBackends("prefer_local")),
        ("{drop_after: 90s}", StaleBackends("drop_after", 90)),
    ):
        declaration = declared(f"mesh: {{stale_backends: {text}}}\nclusters: {{a: {{role: app}}}}")
        assert declaration.mesh.stale_backends == expected


def test_addons_know_where_they_were_asked_for() -> None:
    declaration = declared("""\
clusters: {a: {role: app}}
addons:
  - {use: x, on: [app, app], with: {n: 1}}
  - use: y
""")
    x, y = declaration.addons
    assert (x.use, x.on, x.options, x.position.line) == ("x", ("app",), {"n": 1}, 5)
    assert (y.on, y.options) == ((), {})
