"""Checks of addons: each verb, waiting, what counts as evidence, and that nothing stays behind."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from lab.catalog.words import secret
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.platform.check import Runner, Subject
from lab.platform.steps import Attempted, Doer
from lab.result import CheckResult
from tests.unit.catalog.addons import CONFIG, view, write
from tests.unit.platform.cluster import FakeKube

PATH = "/api/v1/namespaces/x/services/web:8080/proxy/?q=1"


class Lab:
    """A lab of three clusters with one addon of one check."""

    def __init__(self, folder: Path, steps: str, *, timeout: str = "2s", **files: str) -> None:
        checks = f"checks: [{{id: c, summary: s, timeout: {timeout}, steps: {steps}}}]\n"
        write(folder, more=checks, **files)
        placed, self.view = view(folder, "[{use: x, on: a}]")
        self.placed = placed[0]
        self.kubes = {name: FakeKube() for name in ("hub", "a", "b")}

    def run(self) -> CheckResult:
        kubes = {name: cast("Kube", kube) for name, kube in self.kubes.items()}
        subject = Subject(self.placed, self.placed.addon.checks[0], "a")
        return Runner(self.view, kubes, Event()).run(subject)

    def attempt(self, *, ledger: Ledger | None = None, leave: bool = False) -> Attempted:
        """The same steps, as a contract's act has them done."""
        kubes = {name: cast("Kube", kube) for name, kube in self.kubes.items()}
        steps = self.placed.addon.checks[0].steps
        doer = Doer(self.view, kubes, Event(), ledger)
        return doer.do(self.placed, steps, cluster="a", timeout=2, leave=leave)


def test_a_request_goes_through_the_clusters_api_server(tmp_path: Path) -> None:
    step = (
        '{request: {service: web, port: 8080, method: POST, path: "/?q=1", headers: {X-N: "{{ nonce }}"}, '
        'body: {n: "{{ nonce }}"}}, expect: "result.n == 1"}'
    )
    lab = Lab(tmp_path, f"[{step}]")
    lab.kubes["a"].answers = {PATH: [(200, '{"n": 1}')]}
    result = lab.run()
    assert (result.id, result.ok) == ("x/a/c", True)
    assert result.evidence == 'request: 200 {"n": 1}'
    [(method, _, headers, body)] = lab.kubes["a"].asked
    assert method == "POST"
    assert body == {"n": headers["X-N"]}
    # Never to be taken for a number, whatever its digits are.
    assert re.fullmatch("n[0-9a-f]{16}", headers["X-N"])


def test_evidence_is_fit_for_a_terminal(tmp_path: Path) -> None:
    lab = Lab(tmp_path, '[{request: {service: web, port: 8080, path: "/?q=1"}, expect: "status == 200"}]')
    lab.kubes["a"].answers = {PATH: [(200, "main\0thin-pack\n\x1b[31mred")]}
    assert lab.run().evidence == "request: 200 main thin-pack  [31mred"


def test_until_is_tried_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path, '[{request: {service: web, port: 8080, path: "/?q=1"}, until: "result.n == 1"}]')
    lab.kubes["a"].answers = {PATH: [(503, "no"), (200, '{"m": 2}'), (200, '{"n": 1}')]}
    assert lab.run().ok
    assert len(lab.kubes["a"].asked) == 3


def test_time_runs_out(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        '[{request: {service: web, port: 8080, path: "/?q=1"}, until: "result.n == 1"}]',
        timeout="1s",
    )
    lab.kubes["a"].answers = {PATH: [(200, '{"n": 7}')]}
    result = lab.run()
    assert not result.ok
    assert result.evidence == 'step 1, request: 200 {"n": 7}'
    assert 1 <= result.seconds < 2


def test_expect_is_tried_once_and_ends_the_check(tmp_path: Path) -> None:
    step = '{request: {service: web, port: 8080, path: "/?q=1"}, expect: "status == 200"}'
    lab = Lab(tmp_path, f"[{step}, {step}]")
    lab.kubes["a"].answers = {PATH: [(404, "nothing here")]}
    result = lab.run()
    assert (result.ok, result.evidence) == (False, "step 1, request: 404 nothing here")
    assert len(lab.kubes["a"].asked) == 1


@pytest.mark.parametrize(("status", "ok"), [(200, True), (201, True), (404, False)])
def test_without_a_condition_the_status_decides(tmp_path: Path, status: int, ok: bool) -> None:
    lab = Lab(tmp_path, '[{get: {path: "/?q=1"}}]')
    lab.kubes["a"].answers = {"/?q=1": [(status, "{}")]}
    assert lab.run().ok is ok


STATUS = '{"kind": "Status", "metadata": {}, "message": "secrets \\"word\\" not found", "code": 404}'


@pytest.mark.parametrize(
    ("condition", "answer", "expected", "seen"),
    [
        ("status == 200", (404, STATUS), "status == 200", 'status 404: secrets "word" not found'),
        (
            "status == 200 and result.data.word == 'x'",
            (404, STATUS),
            "status == 200 and result.data.word == 'x'",
            'status 404: secrets "word" not found',
        ),
        ("", (404, STATUS), "status < 400", 'status 404: secrets "word" not found'),
        ("status == 201", (200, "fine"), "status == 201", "status 200"),
        (
            "result.missing == 0",
            (200, '{"missing": 520, "first": [7, 8]}'),
            "result.missing == 0",
            "result.missing is 520",
        ),
        (
            "result.items[0].ready == 'True'",
            (200, '{"items": [{"ready": "False"}], "more": 1}'),
            "result.items[0].ready == 'True'",
            "result.items[0].ready is False",
        ),
        ("'ok' in result", (200, "x" * 200), "'ok' in result", "x" * 160 + "..."),
    ],
)
def test_what_did_not_hold_is_told_shortly(
    tmp_path: Path, condition: str, answer: tuple[int, str], expected: str, seen: str
) -> None:
    said = f", expect: {json.dumps(condition)}" if condition else ""
    lab = Lab(tmp_path, f'[{{get: {{path: "/?q=1"}}{said}}}]')
    lab.kubes["a"].answers = {"/?q=1": [answer]}
    done = lab.attempt()
    assert (done.ok, done.expected, done.seen) == (False, expected, seen)
    assert done.why == f"expected {expected}, saw {seen}"


def test_half_of_a_secret_is_not_told_either(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path,
        '[{request: {service: web, port: 8080, path: "/?q=1", body: {t: "{{ secret(\'t\') }}"}}, '
        "expect: \"'ok' in result\"}]",
    )
    word = secret(lab.view.seed, "x", "t")
    lab.kubes["a"].answers = {PATH: [(200, "." * 140 + " " + word)]}
    assert word[:8] not in lab.attempt().seen


def test_what_was_applied_is_gone_afterwards(tmp_path: Path) -> None:
    steps = '[{apply: {template: probe.yaml.j2, on: b}}, {get: {path: "/?q=1"}, expect: "status == 200"}]'
    probe = (
        CONFIG.replace("{name: x}", "{name: probe}") + "data: {n: '{{ nonce }}', on: {{ cluster.name }}}\n"
    )
    lab = Lab(tmp_path, steps, probe__yaml__j2=probe)
    lab.kubes["a"].answers = {"/?q=1": [(500, "it broke")]}
    assert not lab.run().ok
    assert lab.kubes["b"].done == ["apply ConfigMap probe", "remove ConfigMap probe"]
    assert lab.kubes["a"].done == []


class Ledger:
    """Writes down what it is told, and what was applied by then."""

    def __init__(self, api: FakeKube) -> None:
        self.api = api
        self.told: list[tuple[str, str, str, int]] = []

    def add(self, cluster: str, objects: Collection[Reference]) -> None:
        self.told += [("add", cluster, each.name, len(self.api.done)) for each in objects]

    def forget(self, cluster: str, objects: Collection[Reference]) -> None:
        self.told += [("forget", cluster, each.name, len(self.api.done)) for each in objects]


@pytest.mark.parametrize("leave", [False, True])
def test_what_is_applied_is_written_down_first(tmp_path: Path, *, leave: bool) -> None:
    apply = "apply: {template: probe.yaml.j2"
    steps = f"[{{{apply}}}}}, {{{apply}}}}}, {{{apply}, dry_run: true}}}}, {{{apply}, keep: true}}}}]"
    lab = Lab(tmp_path, steps, probe__yaml__j2=CONFIG.replace("{name: x}", "{name: probe}"))
    api = lab.kubes["a"]
    ledger = Ledger(api)
    assert lab.attempt(ledger=ledger, leave=leave).ok
    applied = ["apply ConfigMap probe"] * 2 + ["try ConfigMap probe", "apply ConfigMap probe"]
    if leave:
        assert ledger.told == [("add", "a", "probe", 0)]
        assert api.done == applied
    else:
        assert ledger.told == [("add", "a", "probe", 0), ("forget", "a", "probe", 5)]
        assert api.done == [*applied, "remove ConfigMap probe"]


def test_a_refusal_can_be_what_is_expected(tmp_path: Path) -> None:
    condition = "status == 403 and 'no-latest' in result"
    steps = f'[{{apply: {{template: probe.yaml.j2, dry_run: true}}, expect: "{condition}"}}]'
    lab = Lab(tmp_path, steps, probe__yaml__j2=CONFIG)
    lab.kubes["a"].refused = {"x": "policy no-latest: not allowed"}
    result = lab.run()
    assert (result.ok, result.evidence) == (True, "apply: 403 policy no-latest: not allowed")
    assert lab.kubes["a"].done == []


def test_a_command_runs_in_a_pod_that_runs(tmp_path: Path) -> None:
    steps = "[{exec: {labels: app=web, command: [say, '{{ cluster.name }}']}, until: \"'say a' in result\"}]"
    lab = Lab(tmp_path, steps)
    lab.kubes["a"].ready = {"app=web": 1}
    assert lab.run().evidence == "exec: x/p-0/main: say a"


def test_a_command_that_failed_is_run_again_where_it_is_waited_for(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "[{exec: {labels: app=web, command: [say]}, until: \"'say' in result\"}]")
    lab.kubes["a"].ready = {"app=web": 1}
    lab.kubes["a"].failing_commands = ["no route", "refused"]
    assert lab.run().ok


def test_a_command_that_failed_ends_a_check_that_does_not_wait(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "[{exec: {labels: app=web, command: [say]}}]")
    lab.kubes["a"].ready = {"app=web": 1}
    lab.kubes["a"].failing_commands = ["no route"]
    result = lab.run()
    assert (result.ok, result.evidence) == (False, "say failed no route")


def test_without_a_pod_that_runs_there_is_nothing_to_ask(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "[{exec: {labels: app=web, command: [say, a]}}]")
    result = lab.run()
    assert (result.ok, result.evidence) == (False, "step 1, exec: no pod app=web runs in x")


def test_secrets_are_not_evidence(tmp_path: Path) -> None:
    steps = (
        '[{request: {service: web, port: 8080, path: "/?q=1", headers: {X-T: "{{ secret(\'tok\') }}"}}, '
        'expect: "status == 200"}]'
    )
    lab = Lab(tmp_path, steps)
    kube = lab.kubes["a"]
    kube.answers = {PATH: [(403, "who is")]}
    lab.run()
    sent = kube.asked[0][2]["X-T"]
    kube.answers = {PATH: [(403, f"who is {sent}?")]}
    assert sent not in lab.run().evidence


def test_a_role_stands_for_its_cluster(tmp_path: Path) -> None:
    lab = Lab(tmp_path, '[{get: {path: "/?q=1", on: mgmt}}]')
    lab.kubes["hub"].answers = {"/?q=1": [(200, "{}")]}
    assert lab.run().ok


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ('{get: {path: "/?q=1", on: nowhere}}', "there is no cluster or role 'nowhere' to ask"),
        ('{get: {path: "/{{ cluster.x }}"}}', "the check itself is wrong: "),
    ],
)
def test_a_check_that_is_wrong_fails_and_says_so(tmp_path: Path, step: str, told: str) -> None:
    result = Lab(tmp_path, f"[{step}]").run()
    assert not result.ok
    assert told in result.evidence
