from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from lab.catalog.schema import contracts_schema_text, schema_text
from lab.settings import PROJECT
from tests.unit.catalog.test_contracts import CONTRACTS, MESH
from tests.unit.catalog.test_load import FULL

SCHEMA: dict[str, Any] = json.loads(schema_text())
OF_CONTRACTS: dict[str, Any] = json.loads(contracts_schema_text())


@pytest.mark.parametrize("schema", [SCHEMA, OF_CONTRACTS], ids=["addon", "contracts"])
def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_it_is_current() -> None:
    # To renew it: python -c 'from lab.catalog.schema import schema_text as t; print(t(), end="")'
    assert (PROJECT / "addons" / "addon.schema.json").read_text(encoding="utf-8") == schema_text()


def test_that_of_contracts_is_current() -> None:
    # To renew it: the same with contracts_schema_text.
    path = PROJECT / "lab" / "mesh" / "contracts" / "contracts.schema.json"
    assert path.read_text(encoding="utf-8") == contracts_schema_text()


class Yaml12(yaml.SafeLoader):
    """Reads as editors do: ``on`` is a word."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not (tag.endswith(":bool") and first in "oOyYnN")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def is_valid(text: str, schema: dict[str, Any] = SCHEMA) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(yaml.load(text, Loader=Yaml12)))


def test_it_accepts_what_the_loader_does() -> None:
    assert is_valid(FULL)
    assert is_valid(FULL + CONTRACTS)
    assert is_valid(MESH.decode(), OF_CONTRACTS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lab.addon/v1", "lab/v1"),
        ("memory: 1.5Gi", "memory: 1.5gb"),
        ("summary: Secrets", "sumary: Secrets"),
        ("pod_security: restricted", "pod_security: strict"),
        ("get: {path:", "get: {paht:"),
        ("delete: {template: probe.yaml.j2}", "expect: status == 200"),
        ("delete: {template: probe.yaml.j2}", "{get: {path: /a}, delete: {template: probe.yaml.j2}}"),
        ("expect: status == 200", "expect: status == 200\n        until: status == 200"),
        ("secret: root-token", "hunter2"),
        ("type: duration", "type: time"),
        ("dry_run: true", "dry_run: maybe"),
        ("licence: BUSL-1.1", "sha256: abc, licence: BUSL-1.1"),
    ],
)
def test_it_refuses_what_the_loader_does(old: str, new: str) -> None:
    assert old in FULL
    assert not is_valid(FULL.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: C3-deleted", "id: c3-deleted"),
        ("during: settle", "during: outage"),
        ("phases: [hold, recover]", "phases: hold"),
        ("per_second: 50", "per_second: 51"),
        ("to: others", "to: other"),
        ("same: secret", "same: secret, silent: store"),
        ("same: secret, ", ""),
        ("within: 2m, ", ""),
        ("silent: store", "silent: store, lost: 1"),
        ("    fails: They are deleted.\n", ""),
        ("says: it is there", "say: it is there"),
        ("every: 2s", "every: 2"),
    ],
)
def test_it_refuses_contracts_as_the_loader_does(old: str, new: str) -> None:
    assert old in CONTRACTS
    assert not is_valid(FULL + CONTRACTS.replace(old, new))
