"""What acts of contracts leave: where it was asked for, one for each judged cluster, and written down."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from threading import Event
from typing import cast

from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.platform.steps import Doer
from tests.unit.catalog.addons import CONFIG, view, write
from tests.unit.platform.cluster import FakeKube

CONTRACT = """\
contracts:
  - id: C1
    claim: c
    away: mgmt
    acts:
      - id: engine
        summary: s
        during: baseline
        steps:
          - apply: {template: there.yaml.j2, on: "{{ away }}"}
          - apply: {template: here.yaml.j2}
    judgements: [{holds: acts.engine.ok, says: s}]
"""


class Written:
    """What is said to be in the clusters: names by cluster."""

    def __init__(self) -> None:
        self.there: set[tuple[str, str]] = set()

    def add(self, cluster: str, objects: Collection[Reference], /) -> None:
        self.there |= {(cluster, each.name) for each in objects}

    def forget(self, cluster: str, objects: Collection[Reference], /) -> None:
        self.there -= {(cluster, each.name) for each in objects}


def test_what_is_applied_to_the_cluster_that_goes_away_is_each_judged_clusters_own(tmp_path: Path) -> None:
    named = CONFIG.replace("name: x", 'name: "far-{{ judged }}-{{ cluster.name }}"')
    write(tmp_path, more=CONTRACT, there__yaml__j2=named, here__yaml__j2=named)
    [first, second], lab = view(tmp_path, "[{use: x, on: app}]")
    kubes = {name: FakeKube() for name in ("hub", "a", "b")}
    written = Written()
    doer = Doer(lab, {name: cast("Kube", kube) for name, kube in kubes.items()}, Event(), written)
    for placed in (first, second):
        [act] = placed.addon.contracts[0].acts
        done = doer.do(
            placed,
            act.steps,
            cluster=placed.cluster,
            timeout=5,
            more={"away": "hub", "judged": placed.cluster},
            leave=True,
        )
        assert done.ok, done.evidence
    there = {name: sorted(key[2] for key in kube.objects) for name, kube in kubes.items()}
    assert there == {"hub": ["far-a-hub", "far-b-hub"], "a": ["far-a-a"], "b": ["far-b-b"]}
    assert written.there == {(cluster, name) for cluster, names in there.items() for name in names}
