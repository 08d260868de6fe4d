"""What acts of contracts leave: applied where it was asked for, one for each judged cluster, and removed."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import cast

from lab.clients.kube import Kube
from lab.platform.steps import Applied, Doer
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


def test_what_is_applied_to_the_cluster_that_goes_away_is_each_judged_clusters_own(tmp_path: Path) -> None:
    named = CONFIG.replace("name: x", 'name: "far-{{ judged }}-{{ cluster.name }}"')
    write(tmp_path, more=CONTRACT, there__yaml__j2=named, here__yaml__j2=named)
    [first, second], lab = view(tmp_path, "[{use: x, on: app}]")
    kubes = {name: FakeKube() for name in ("hub", "a", "b")}
    doer = Doer(lab, {name: cast("Kube", kube) for name, kube in kubes.items()}, Event())
    left: list[Applied] = []
    for placed in (first, second):
        [act] = placed.addon.contracts[0].acts
        done = doer.do(
            placed,
            act.steps,
            cluster=placed.cluster,
            timeout=5,
            more={"away": "hub", "judged": placed.cluster},
            leave=left,
        )
        assert done.ok, done.evidence
    there = {name: sorted(key[2] for key in kube.objects) for name, kube in kubes.items()}
    assert there == {"hub": ["far-a-hub", "far-b-hub"], "a": ["far-a-a"], "b": ["far-b-b"]}
    for each in reversed(left):
        doer.remove(each)
    assert not any(kube.objects for kube in kubes.values())
