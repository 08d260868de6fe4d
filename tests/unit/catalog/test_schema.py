from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from lab.catalog.schema import schema_text
from lab.settings import PROJECT
from tests.unit.catalog.test_load import FULL

SCHEMA: dict[str, Any] = json.loads(schema_text())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_is_current() -> None:
    # To renew it: python -c 'from lab.catalog.schema import schema_text as t; print(t(), end="")'
    assert (PROJECT / "addons" / "addon.schema.json").read_text(encoding="utf-8") == schema_text()


class Yaml12(yaml.SafeLoader):
    """Reads as editors do: ``on`` is a word."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not (tag.endswith(":bool") and first in "oOyYnN")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def is_valid(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.load(text, Loader=Yaml12)))


def test_it_accepts_what_the_loader_does() -> None:
    assert is_valid(FULL)


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
