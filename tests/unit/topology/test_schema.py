from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from lab.topology.schema import schema_text
from lab.topology.vocabulary import TOPOLOGY, default

SCHEMA: dict[str, Any] = json.loads(schema_text())


def accepts(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text)))


HEAD = "version: lab/v1\nname: t\n"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "clusters: {a: {role: app}}",
        'clusters: {a: {role: app, kubernetes: "1.35.8", nodes: {workers: 2}, kind: {api_port: 6443}}}',
        "clusters: {e: {count: 3, prefix: edge, role: app}}",
        "mesh: {stale_backends: {drop_after: 60s}}\nclusters: {a: {role: app}}",
        'clusters: {a: {role: app}}\naddons: [{use: x, "on": [app], with: {any: [thing]}}]',
    ],
)
def test_it_accepts_what_the_loader_does(text: str) -> None:
    assert accepts(HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clusters: {}",
        "clusters: {a: {}}",
        "clusters: {A: {role: app}}",
        "clusters: {a: {role: app, kubernetes: 1.35}}",
        "clusters: {a: {role: app, pod_cidr: fd00::/8}}",
        "clusters: {a: {role: app, id: 512}}",
        "clusters: {a: {role: app, count: 3}}",
        "clusters: {a: {role: app, provider: docker}}",
        "mesh: {max_clusters: 300}\nclusters: {a: {role: app}}",
        "mesh: {stale_backends: {drop_after: 60}}\nclusters: {a: {role: app}}",
        "clusters: {a: {role: app}}\naddons: []",
        "clusters: {a: {role: app}}\nclouds: {}",
    ],
)
def test_it_refuses_what_the_loader_does(text: str) -> None:
    assert not accepts(HEAD + text)


def described(schema: dict[str, Any]) -> list[bool]:
    own = [bool(field.get("description")) for field in schema.get("properties", {}).values()]
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    return own + [flag for child in inner for flag in described(child)]


def test_every_key_says_what_it_means() -> None:
    flags = described(SCHEMA)
    assert all(flags)
    assert len(flags) > 40


def test_defaults_are_asked_for_by_path() -> None:
    assert default("mesh", "tunnel") == "vxlan"
    with pytest.raises(KeyError):
        default("mesh", "nothing")
    with pytest.raises(KeyError):
        default("clusters", "role")
    with pytest.raises(ValueError, match="name has no default"):
        default("name")
    assert TOPOLOGY.names[0] == "version"
