from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.catalog.addon import Step
from lab.catalog.contract import Act, Contract, Flow, Judgement, Series
from lab.catalog.contract_load import load_contracts
from lab.catalog.load import load_catalog
from lab.catalog.trial import require_renderable
from lab.errors import InputError
from tests.unit.catalog.addons import CONFIG, IMAGES, catalog, placed, topology, write

CONTRACTS = """\
contracts:
  - id: C3
    claim: Secrets stay as they are while the store is away.
    away: mgmt
    endures: acts.seed.value * 2
    each: [app, edge]
    needs: [other]
    series:
      - id: secret
        summary: the Secret, as its pods see it
        every: 2s
        timeout: 10s
        steps:
          - get: {path: "/api/v1/namespaces/x/secrets/{{ nonce }}"}
            expect: status == 200
        value: result.data.password | b64decode | sha256
      - id: store
        summary: the store itself
        steps: [{request: {on: "{{ away }}", service: store, port: 8200}}]
    flows:
      - {id: inside, summary: requests in the cluster, service: echo, port: 8080}
      - id: between
        summary: requests to others
        service: echo-{{ to }}
        namespace: lab-degrade
        port: 8080
        to: others
        per_second: 50
    acts:
      - id: refresh
        summary: a refresh that is asked for
        during: hold
        after: 5s
        timeout: 30s
        steps: [{apply: {template: refresh.yaml.j2}}]
        value: result.kind
      - {id: look, summary: a look at it, during: settle, steps: [{get: {path: /version}}]}
      - id: seed
        summary: how much there is
        during: baseline
        steps: [{get: {path: /version}}]
        value: status
    judgements:
      - {answers: between, says: it answers, phases: [hold, recover], lost: 2, least: 100}
      - {answers: secret, says: it is there}
      - {answers: secret, says: it is there later, after: 1m30s}
      - {answers: secret, says: it is there then, after: mesh.drop_after + 15, phases: [settle]}
      - {silent: store, says: the store was away, proof: true}
      - {same: secret, says: it is the same}
      - {returns: store, within: 2m, says: it comes back}
      - {returns: secret, once: store, within: 1m, says: it comes back then}
      - {holds: "acts.refresh.ok and flows['between-b'].new.hold.lost == 0", says: it was refreshed}
  - id: C3-deleted
    claim: The same where secrets are deleted.
    control_of: C3
    fails: They are deleted.
    away: any
    judgements:
      - {holds: phases.hold.seconds > 9, says: it lasted}
"""

ONE = "contracts: [{id: C1, claim: c, away: any, judgements: [{holds: phases.hold.seconds, says: s}]}]\n"

REFRESH = CONFIG + 'data: {a: "{{ nonce }} {{ away }}"}\n'

MESH = b"""\
version: lab.contracts/v1
contracts:
  - id: C1
    claim: Workloads reach one another.
    away: any
    each: any
    flows:
      - {id: between, summary: s, service: "echo-{{ to }}", port: 8080, to: others}
    acts:
      - {id: roll, summary: s, during: hold, steps: [{exec: {labels: app=x, command: [a]}}]}
    judgements:
      - {answers: between, says: none is lost}
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    write(tmp_path, "other", on="mgmt")
    write(tmp_path, more=f"after: [other]\n{CONTRACTS}", refresh__yaml__j2=REFRESH)
    return tmp_path


def test_every_key_of_the_vocabulary_is_read(full: Path) -> None:
    contract, control = catalog(full).addons["x"].contracts
    assert contract == Contract(
        id="C3",
        claim="Secrets stay as they are while the store is away.",
        away="mgmt",
        endures="acts.seed.value * 2",
        each=("app", "edge"),
        needs=("other",),
        series=(
            Series(
                id="secret",
                summary="the Secret, as its pods see it",
                every=2.0,
                timeout=10.0,
                steps=(
                    Step(
                        "get",
                        {"on": "", "path": "/api/v1/namespaces/x/secrets/{{ nonce }}"},
                        expect="status == 200",
                    ),
                ),
                value="result.data.password | b64decode | sha256",
            ),
            # From here on with what is left out: every five seconds, and as long for each.
            Series(
                id="store",
                summary="the store itself",
                every=5.0,
                timeout=5.0,
                steps=(
                    Step(
                        "request",
                        {
                            "on": "{{ away }}",
                            "service": "store",
                            "namespace": "x",
                            "port": 8200,
                            "method": "GET",
                            "path": "/",
                            "headers": {},
                            "body": None,
                        },
                    ),
                ),
            ),
        ),
        flows=(
            Flow(id="inside", summary="requests in the cluster", service="echo", namespace="x", port=8080),
            Flow(
                id="between",
                summary="requests to others",
                service="echo-{{ to }}",
                namespace="lab-degrade",
                port=8080,
                to="others",
                every=0.02,
            ),
        ),
        acts=(
            Act(
                id="refresh",
                summary="a refresh that is asked for",
                during="hold",
                after=5.0,
                timeout=30.0,
                steps=(
                    Step("apply", {"on": "", "dry_run": False, "keep": False, "template": "refresh.yaml.j2"}),
                ),
                value="result.kind",
            ),
            Act(
                id="look",
                summary="a look at it",
                during="settle",
                after=0.0,
                timeout=60.0,
                steps=(Step("get", {"on": "", "path": "/version"}),),
            ),
            Act(
                id="seed",
                summary="how much there is",
                during="baseline",
                after=0.0,
                timeout=60.0,
                steps=(Step("get", {"on": "", "path": "/version"}),),
                value="status",
            ),
        ),
        judgements=(
            Judgement(
                rule="answers",
                says="it answers",
                of="between",
                phases=("hold", "recover"),
                lost=2,
                least=100,
            ),
            Judgement(rule="answers", says="it is there", of="secret"),
            Judgement(rule="answers", says="it is there later", of="secret", phases=("hold",), after=90.0),
            Judgement(
                rule="answers",
                says="it is there then",
                of="secret",
                phases=("settle",),
                later="mesh.drop_after + 15",
            ),
            Judgement(rule="silent", says="the store was away", of="store", proof=True),
            Judgement(rule="same", says="it is the same", of="secret"),
            Judgement(rule="returns", says="it comes back", of="store", within=120.0),
            Judgement(rule="returns", says="it comes back then", of="secret", within=60.0, once="store"),
            Judgement(
                rule="holds",
                says="it was refreshed",
                expression="acts.refresh.ok and flows['between-b'].new.hold.lost == 0",
            ),
        ),
    )
    assert (control.control_of, control.fails, control.away) == ("C3", "They are deleted.", "any")
    assert (control.each, control.needs, control.series) == ((), (), ())


def test_requests_are_ten_a_second_unless_it_says_otherwise(full: Path) -> None:
    inside, _ = catalog(full).addons["x"].contracts[0].flows
    assert inside.every == 0.1


@pytest.mark.parametrize(
    ("endures", "problem"),
    [
        ("acts.seeds.value", 'there is no act "seeds". Did you mean "seed"?'),
        ("acts.seed.values", 'there is no figure "values". Did you mean "value"?'),
        (
            "acts.refresh.value",
            '"refresh" is done during hold, and this is told before. Name an act of the baseline.',
        ),
        ("phases.hold.seconds", '"phases" is not known. Known here: acts.'),
    ],
)
def test_how_long_it_endures_is_known_before_anything_is_broken(
    tmp_path: Path, endures: str, problem: str
) -> None:
    write(tmp_path, "other", on="mgmt")
    more = CONTRACTS.replace("acts.seed.value * 2", endures)
    write(tmp_path, more=f"after: [other]\n{more}", refresh__yaml__j2=REFRESH)
    with pytest.raises(InputError) as caught:
        catalog(tmp_path)
    assert "contracts[0].endures: " in caught.value.details
    assert problem in caught.value.details


def test_it_needs_what_its_addon_needs(full: Path) -> None:
    more = "needs: [other]\n" + CONTRACTS.replace("    needs: [other]\n", "").replace("C3", "C4")
    write(full, "y", more=more, refresh__yaml__j2=REFRESH)
    assert [each.needs for each in catalog(full).addons["y"].contracts] == [("other",), ("other",)]


def test_a_control_may_be_of_another_addons_contract(tmp_path: Path) -> None:
    write(tmp_path, "a", more=ONE.replace("away: any", "away: any, control_of: C2, fails: f"))
    with pytest.raises(InputError, match='there is no contract "C2"'):
        catalog(tmp_path)
    write(tmp_path, "b", more=ONE.replace("C1", "C2"))
    assert catalog(tmp_path).addons["a"].contracts[0].control_of == "C2"


def test_the_meshs_contracts_are_known_to_addons(tmp_path: Path) -> None:
    write(tmp_path, "a", more=ONE.replace("away: any", "away: any, control_of: C2, fails: f"))
    load_catalog(tmp_path / "addons", images=IMAGES, contracts=["C2"])
    with pytest.raises(InputError) as caught:
        load_catalog(tmp_path / "addons", images=IMAGES, contracts=["C2", "C1"])
    assert caught.value.details == (
        'addons/a/addon.yaml:7:18 contracts[0].id: "C1" is a contract of the mesh already. Choose another id.'
    )


@pytest.mark.parametrize(
    ("uses", "clusters"),
    [
        ("[{use: x, on: a}, {use: other}]", "hub: {role: mgmt}, a: {role: app}, b: {role: app}"),
        ("[{use: x}, {use: other}]", "hub: {role: mgmt}, a: {role: app}"),
        # Nobody is away, and there are no others: it is not judged here, and no reason to refuse the lab.
        ("[{use: x, on: a}, {use: other, on: a}]", "a: {role: app}"),
    ],
)
def test_it_can_be_rendered_in_labs(full: Path, uses: str, clusters: str) -> None:
    require_renderable(topology(full, uses, clusters=clusters), placed(full, uses, clusters=clusters))


def test_what_needs_an_addon_that_is_not_there_is_not_rendered(tmp_path: Path) -> None:
    more = (
        "after: [other]\n"
        "contracts: [{id: C1, claim: c, away: any, needs: [other], series: [{id: a, summary: s, "
        "steps: [{get: {path: /, on: \"{{ home('other') }}\"}}]}], judgements: [{answers: a, says: s}]}]\n"
    )
    write(tmp_path, more=more)
    write(tmp_path, "other", on="mgmt")
    uses = "[{use: x, on: a}]"
    require_renderable(topology(tmp_path, uses), placed(tmp_path, uses))


def test_texts_know_who_is_away_and_whom_they_lead_to(tmp_path: Path) -> None:
    more = (
        "contracts: [{id: C1, claim: c, away: mgmt, flows: [{id: a, summary: s, port: 1, to: others, "
        "service: \"{{ file(away ~ '-' ~ to) }}\"}], judgements: [{answers: a, says: s}]}]\n"
    )
    write(tmp_path, more=more)
    with pytest.raises(InputError, match=r'service: there is no file "hub-b"'):
        require_renderable(topology(tmp_path, "[{use: x, on: a}]"), placed(tmp_path, "[{use: x, on: a}]"))


def test_the_meshs_own_are_read() -> None:
    [contract] = load_contracts(MESH, file="lab/mesh/contracts.yaml")
    assert (contract.id, contract.each, contract.needs) == ("C1", ("any",), ())
    assert contract.flows[0].namespace == "lab-degrade"
    assert contract.acts[0].steps[0].arguments["namespace"] == "lab-degrade"


def test_what_a_control_repeats_is_wrong_where_it_is_written() -> None:
    text = """\
version: lab.contracts/v1
contracts:
  - id: C1
    claim: It lives.
    away: any
    each: any
    acts:
      - &before
        {id: before, summary: s, during: baseline, steps: [{get: {path: /x}, until: "result.x =="}]}
    judgements: [&done {holds: acts.before.ok, says: It is so.}]
  - {id: C2, control_of: C1, claim: x, fails: x, away: any, each: any, acts: [*before], judgements: [*done]}
"""
    with pytest.raises(InputError) as caught:
        load_contracts(text.encode(), file="contracts.yaml")
    assert [line.split(": this is not")[0] for line in caught.value.details.splitlines()] == [
        "contracts.yaml:9:85 contracts[0].acts[0].steps[0].until",
        "contracts.yaml:9:85 contracts[1].acts[0].steps[0].until",
    ]
    made = load_contracts(text.replace("result.x ==", "result.x").encode(), file="contracts.yaml")
    assert made[0].acts == made[1].acts
    assert made[0].judgements == made[1].judgements


def test_all_problems_of_the_meshs_own_are_told_at_once() -> None:
    text = MESH.replace(b"answers: between", b"answers: betwen").replace(b"away: any", b"control_of: C2")
    with pytest.raises(InputError) as caught:
        load_contracts(text.replace(b"echo-{{ to }}", b"{{ too }}"), file="contracts.yaml")
    assert caught.value.brief == "5 problems in contracts.yaml"
    assert caught.value.remedy == "Nothing was started."
    assert caught.value.details.splitlines() == [
        (
            "contracts.yaml:3:5 contracts[0]: away is missing. Add it. The role without whose clusters it is "
            "claimed, or `any`."
        ),
        (
            "contracts.yaml:5:5 contracts[0].control_of: control_of means nothing without fails. "
            "Give both, or neither."
        ),
        (
            'contracts.yaml:5:17 contracts[0].control_of: there is no contract "C2". '
            "Name the contract that must fail."
        ),
        'contracts.yaml:8:44 contracts[0].flows[0].service: "too" is not known. Did you mean "to"?',
        (
            'contracts.yaml:12:19 contracts[0].judgements[0].answers: there is no series or flow "betwen". '
            'Did you mean "between"?'
        ),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            b"",
            "contracts.yaml:1:1 file of contracts: the file holds nothing. Begin with version and contracts.",
        ),
        (
            b"version: lab.contracts/v2\n",
            (
                "contracts.yaml:1:10 version: lab.contracts/v2 is not a version that this program reads. "
                "Write lab.contracts/v1, or use the release of lab that the file was written for."
            ),
        ),
        (b"version: lab.contracts/v1\n", "contracts.yaml:1:1 file of contracts: contracts is missing. "),
    ],
)
def test_what_is_no_file_of_contracts_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_contracts(text, file="contracts.yaml")
    assert caught.value.details.startswith(problem)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    )
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def test_whatever_is_left_out_is_told_or_has_a_default() -> None:
    whole = yaml.safe_load(MESH)
    refused = []
    for path in places(whole):
        cut = copy.deepcopy(whole)
        *way, last = path
        inner = cut
        for key in way:
            inner = inner[key]
        del inner[last]
        try:
            load_contracts(json.dumps(cut).encode(), file="contracts.yaml")
        except InputError:
            refused.append(".".join(map(str, path)))
    # What is named elsewhere may not go: the service knows `to`, and the flow is judged.
    assert {"version", "contracts.0.flows.0.to", "contracts.0.flows.0.id"}.issubset(refused)
    assert not {"contracts.0.each", "contracts.0.acts"}.intersection(refused)


def test_templates_and_images_of_the_meshs_own_are_looked_for_where_there_is_a_folder(full: Path) -> None:
    text = MESH.replace(b"exec: {labels: app=x, command: [a]}", b"apply: {template: rollout.yaml.j2}")
    assert load_contracts(text, file="contracts.yaml")
    mesh = replace(catalog(full).addons["x"], name="mesh", shown="lab/mesh", images=())
    with pytest.raises(InputError) as caught:
        load_contracts(text, file="contracts.yaml", addon=mesh)
    assert caught.value.details == (
        "contracts.yaml:10:73 contracts[0].acts[0].steps[0].apply.template: there is no file "
        '"rollout.yaml.j2". Did you mean "refresh.yaml.j2"?'
    )
    (mesh.folder / "rollout.yaml.j2").write_text("a: {{ image('lab.local/python') }}\nb: {{ away }}\n")
    with pytest.raises(InputError) as caught:
        load_contracts(text, file="contracts.yaml", addon=mesh)
    assert caught.value.details.startswith(
        'lab/mesh/rollout.yaml.j2:1:1 template: mesh has no image "lab.local/python". '
    )
    assert load_contracts(text, file="contracts.yaml", addon=replace(mesh, images=("lab.local/python:3",)))
