"""Secrets are planted in every shape in which they were seen; none may remain."""

from __future__ import annotations

import base64
import json
import logging
import sys
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab import logs, redact
from lab.engine import journal

PLANTED = "pl4nted-S3cret"
KEY_BODY = "MIIEpAIBAAKCAQEAplantedplantedplantedplantedplantedplantedplanted0"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{KEY_BODY}\n-----END CERTIFICATE-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-planted"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "password: pl4nted-S3cret",
        "  DB_PASSWORD: 'with pl4nted-S3cret in it'",
        "- adminPassword: words with pl4nted-S3cret, and more",
        "password: |\n  first\n  pl4nted-S3cret\n\n  third",
        "password: >-\n  pl4nted-S3cret\nnext: 1",
        'password: "folded\n  pl4nted-S3cret"',
        "export GRAFANA_PASSWORD=pl4nted-S3cret,more",
        'time=1 level=info token="with pl4nted-S3cret" msg=done',
        "I1121 cloud.go:12] token=pl4nted-S3cret other=1",
        'Admin Token: pl4nted-S3cret, user: admin, password: "pl4nted-S3cret"',
        '{"a": 1, "clientSecret": "pl4nted-S3cret", "b": {"apiKey":"a\\"pl4nted-S3cret"}}',
        '{"level":"info","headers":{"Authorization":["Bearer pl4nted-S3cret"]}}',
        '"{\\"password\\":\\"pl4nted-S3cret\\",\\"user\\":\\"me\\"}"',
        '"{\\"password\\":\\"a\\\\\\"pl4nted-S3cret\\"}"',
        '"\\"{\\\\\\"password\\\\\\":\\\\\\"pl4nted-S3cret\\\\\\"}\\""',
        "{'password': 'pl4nted-S3cret'}",
        "{Token:pl4nted-S3cret Name:x}",
        '{"token": "pl4nted-S3cret',
        "kubeadm join --token pl4nted-S3cret --discovery-token-ca-cert-hash sha256:0",
        "vault operator init --unseal-key=pl4nted-S3cret",
        '["run", "--password", "pl4nted-S3cret"]',
        "args:\n- --password\n- pl4nted-S3cret\n- --verbose",
        "https://me:pl4nted-S3cret@git.example/x",
        "https://me:p@pl4nted-S3cret@git.example/x",
        "https://pl4nted-S3cret-of-a-token-alone@git.example/x",
        "GET /v1?access_token=pl4nted-S3cret&x=1",
        "Authorization: Basic pl4nted-S3cret",
        "curl -H 'X-Vault-Token: pl4nted-S3cret'",
        "sent Bearer pl4nted-S3cret",
        "name: DB_PASSWORD\nvalue: pl4nted-S3cret",
        '{"name":"DB_PASSWORD","value":"pl4nted-S3cret"}',
        '{\n  "name": "DB_PASSWORD",\n  "value": "pl4nted-S3cret"\n}',
        "apiVersion: v1\ndata:\n  plain: pl4nted-S3cret\n  more: |\n    pl4nted-S3cret\nkind: Secret\n",
        "kind: List\nitems:\n- data:\n    plain: pl4nted-S3cret\n  kind: Secret\n- kind: Pod\n",
        '{"kind":"Secret","stringData":{"plain":"{pl4nted-S3cret}","b":"pl4nted-S3cret"}}',
        '"{\\"kind\\":\\"Secret\\",\\"data\\":{\\"plain\\":\\"pl4nted-S3cret\\"}}\\n"',
        '{"auths":{"registry.example":{"auth":"pl4nted-S3cret"}}}',
        f"client-key-data: {encoded(PLANTED)} {PLANTED}",
    ],
)
def test_a_planted_secret_goes(text):
    redacted = redact.text(text)

    assert PLANTED not in redacted
    assert encoded(PLANTED) not in redacted
    assert redact.MARK in redacted
    assert redact.text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        f"before\n{PEM}\nafter {PEM} end",
        json.dumps({"x": PEM}),
        yaml.safe_dump({"x": {"y": PEM}}),
        f"Nov 21 node-1 app[1]: {PEM}".replace("\n", "\nNov 21 node-1 app[1]: "),
        f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}",
        PEM.replace("RSA ", "ENCRYPTED ").replace(KEY_BODY, f"DEK-Info: AES-256,0\n\n{KEY_BODY}", 1),
        f"ca: {encoded(PEM)}",
        f"sent {JWT} to",
        "abcdef.0123456789abcdef",
        "key hvs.CAESIplantedplantedplanted",
        "ghp_plantedplantedplantedplantedplanted0",
        "admin $2a$10$plantedplantedplantedplantedplantedplantedplantedplan0",
    ],
)
def test_a_secret_is_known_by_its_shape(text):
    redacted = redact.text(text)

    for planted in ("planted", KEY_BODY, encoded(PEM)[60:], JWT, "0123456789abcdef"):
        assert planted not in redacted
    assert redact.text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "failed to get token: connection refused",
        "secrets is forbidden: User cannot list resource",
        "automountServiceAccountToken: false",
        "  secretName: grafana-tls",
        "imagePullSecrets:\n- name: registry",
        "secret:\n  secretName: x\n  items: []",
        '{"secret":{"secretName":"x"},"token":null}',
        "valueFrom:\n  secretKeyRef:\n    key: tls.crt\n    name: x",
        "bearer authentication is on",
        "if token == expected",
        "https://host.example:8080/path/@scope",
        "image: registry.example/app@sha256:" + "ab" * 32,
        CERTIFICATE,
        f"certificate-authority-data: {encoded(CERTIFICATE)}",
        "kind: ConfigMap\ndata:\n  Corefile: |\n    .:53 {\n      errors\n    }\n",
        "password: ''",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact.text(text) == text.replace("password: ''", f"password: '{redact.MARK}'")


def test_json_and_yaml_remain_so():
    value = {
        "password": "p\"'\\{}[]: |",
        "list": [{"name": "API_TOKEN", "value": "x: 'y'"}, "--token", "t"],
        "kubeconfig": yaml.safe_dump(
            {"users": [{"user": {"token": PLANTED, "client-key-data": encoded(PEM)}}]}
        ),
        "inner": json.dumps({"deep": json.dumps({"password": PLANTED})}),
        "number": {"token": 12345},
    }

    for text, load in (
        (json.dumps(value), json.loads),
        (json.dumps(value, indent=2), json.loads),
        (yaml.safe_dump(value), yaml.safe_load),
    ):
        redacted = redact.text(text)
        assert load(redacted).keys() == value.keys()
        assert PLANTED not in redacted
        assert encoded(PEM) not in redacted


def test_a_tree_loses_its_secrets_and_keeps_its_form():
    tree = {
        "items": [
            {
                "kind": "Secret",
                "metadata": {"name": "s"},
                "data": {"plain": "eA=="},
                "stringData": {"y": "z"},
            },
            {"kind": "ConfigMap", "data": {"config": f"user: me\npassword: {PLANTED}\n", "password": "x"}},
            {"env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "USER", "value": "me"}]},
            {"args": ["--token", "x", "--verbose"], "secret": {"secretName": "s"}, "ready": True, "n": 1.5},
        ]
    }

    assert redact.tree(tree) == {
        "items": [
            {
                "kind": "Secret",
                "metadata": {"name": "s"},
                "data": {"plain": redact.MARK},
                "stringData": {"y": redact.MARK},
            },
            {
                "kind": "ConfigMap",
                "data": {"config": f"user: me\npassword: {redact.MARK}\n", "password": redact.MARK},
            },
            {"env": [{"name": "DB_PASSWORD", "value": redact.MARK}, {"name": "USER", "value": "me"}]},
            {
                "args": ["--token", redact.MARK, "--verbose"],
                "secret": {"secretName": "s"},
                "ready": True,
                "n": 1.5,
            },
        ]
    }


def test_known_values_go_wherever_they_stand():
    value = 's p/4"n'
    redactor = redact.Redactor([value, "short", f"longer {value}"])

    for form in (value, encoded(value), "s%20p%2F4%22n", json.dumps(value)[1:-1], f"longer {value}"):
        assert redactor.text(f"say <{form}>, short") == f"say <{redact.MARK}>, short"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("admin-password", "hunter2", True),
        ("admin-password", "password", False),
        ("token-secret", "0123456789abcdef", True),
        ("anything", "aB3aB3aB3aB3aB3aB3", True),
        ("namespace", "kube-system", False),
        ("server", "https://10.0.0.1:6443", False),
        ("west", "endpoints:\n- https://West.example:2379", False),
        ("tls.key", "x" * 5000, False),
    ],
)
def test_which_values_are_worth_looking_for(name, value, secret):
    assert redact.is_secret(name, value) is secret


WORDS = st.sampled_from(
    "password|token|Bearer |secret|: |=|\"|'|\\|\n|  |- |{|}|,|a1|kind: Secret|data:|name: |value: |://|@"
    "|-----BEGIN PRIVATE KEY-----|--|REDACTED|x.y|: >".split("|")
)


@given(st.lists(WORDS, max_size=25).map("".join))
def test_twice_is_the_same_as_once(text):
    once = redact.text(text)

    assert redact.text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "I1121 10:02:11.853086 202 ratelimit.go:56] reconciled pod=kube-system/coredns token rotated\n"
        * 30_000,
        "a" * 1_000_000,
        "password" * 50_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
        "  password: |\n" * 20_000,
        '"data":{' * 20_000 + '"kind":"Secret"',
        "\\" * 200_000 + '"',
        "name: " * 50_000,
    ],
    ids=["log", "one word", "password", "pem", "blocks", "json", "backslashes", "names"],
)
def test_large_and_malicious_texts_are_quick(text):
    started = time.process_time()
    redact.text(text)

    assert time.process_time() - started < 10


def test_a_log_holds_no_secret():
    formatter = logs._PrivateFile().formatter
    assert isinstance(formatter, redact.Formatter)
    try:
        int(f"password={PLANTED}")
    except ValueError:
        failed = sys.exc_info()

    text = formatter.format(
        logging.LogRecord("lab.x", logging.ERROR, "", 1, "run: %s", (f"--token {PLANTED}",), failed)
    )

    assert PLANTED not in text
    assert f"run: --token {redact.MARK}\nTraceback" in text
    assert text.endswith(f"password={redact.MARK}'")


def test_a_journal_holds_no_secret(tmp_path):
    class Odd:
        def __str__(self) -> str:
            return f"password={PLANTED}"

    path = tmp_path / "run.jsonl"
    with journal.Journal(path) as record:
        record.write(
            "step-end", step="east/create", error=f'{{"token": "{PLANTED}"}}', odd=Odd(), seconds=1.5
        )

    assert PLANTED not in path.read_text()
    [read] = journal.read(path)
    assert (read.step, read.fields["seconds"]) == ("east/create", 1.5)
    assert read.fields["error"] == f'{{"token": "{redact.MARK}"}}'
