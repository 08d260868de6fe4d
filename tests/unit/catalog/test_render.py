from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.catalog.objects import fingerprint
from lab.catalog.render import render, render_template
from lab.catalog.words import Api, Words, look, secret
from lab.errors import InputError
from lab.topology.model import StaleBackends
from tests.unit.catalog.addons import CONFIG, placed, topology, view, write


def objects(folder: Path, uses: str = "[{use: x, on: a}]") -> list[dict[str, Any]]:
    [there], lab = view(folder, uses)
    return list(render(there, lab))


def data(folder: Path) -> dict[str, Any]:
    return dict(objects(folder)[-1]["data"])


def failure(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        objects(folder)
    return caught.value


@pytest.mark.parametrize(("policy", "affinity"), [("keep", None), ("prefer_local", "local")])
def test_whom_global_services_prefer_is_the_topologys_choice(
    tmp_path: Path, policy: Any, affinity: str | None
) -> None:
    annotations = 'annotations: {service.cilium.io/global: "true"}'
    write(tmp_path, main__yaml__j2=f"apiVersion: v1\nkind: Service\nmetadata: {{name: x, {annotations}}}\n")
    uses = "[{use: x, on: a}]"
    of = topology(tmp_path, uses)
    of = replace(of, mesh=replace(of.mesh, stale_backends=StaleBackends(policy)))
    [there] = placed(tmp_path, uses)
    service = render(there, look(of, [there], seed=b"seed"))[-1]
    assert service["metadata"]["annotations"].get("service.cilium.io/affinity") == affinity


def test_a_folder_is_all_that_an_addon_takes(tmp_path: Path) -> None:
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
        "spec:\n  template:\n    metadata: {labels: {app: x}}\n"
        "    spec:\n      containers:\n        - image: {{ image('lab.local/python') }}\n"
    )
    more = "images: [lab.local/python:3]\nnamespace: shop\npod_security: restricted\n"
    write(tmp_path, more=more, main__yaml__j2=deployment)
    labels = {"lab/name": "t", "lab/addon": "x"}
    assert objects(tmp_path) == [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": "shop",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"} | labels,
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "shop", "labels": labels},
            "spec": {
                "template": {
                    "metadata": {"labels": {"app": "x"} | labels},
                    "spec": {"containers": [{"image": "lab.local/python:3"}]},
                }
            },
        },
    ]


def test_a_template_knows_the_lab_and_its_clusters(tmp_path: Path) -> None:
    text = CONFIG + (
        "data:\n"
        "  lab: {{ lab }}\n"
        "  here: {{ cluster.name }}, {{ cluster.id }}, {{ cluster.role }}, {{ cluster.pod_cidr }}\n"
        "  there: {{ clusters | map(attribute='name') | join(' ') }}\n"
        "  homes: {% for c in clusters if 'x' in c.addons %}{{ c.name }} {{ c.service_cidr }}{% endfor %}\n\n"
        "  api: {{ cluster.api is none }}, {{ cluster.address is none }}\n"
        "  addon: {{ addon.name }} {{ addon.version }} {{ addon.namespace }}\n"
        "  wait: {{ options.wait }}\n"
    )
    write(tmp_path, more="options: {wait: {type: duration, default: 1m, summary: s}}\n", main__yaml__j2=text)
    assert data(tmp_path) == {
        "lab": "t",
        "here": "a, 2, app, 10.101.0.0/16",
        "there": "hub a b",
        "homes": "a 10.151.0.0/16",
        "api": "True, True",
        "addon": "x 1.2 x",
        "wait": 60,
    }


def test_a_cluster_that_is_there_has_an_api_and_an_address(tmp_path: Path) -> None:
    write(tmp_path, main__yaml__j2=CONFIG + "data: {a: '{{ cluster.api.server }} {{ cluster.address }}'}\n")
    uses = "[{use: x, on: a}]"
    there = placed(tmp_path, uses)
    api = Api("https://10.200.0.2:6443", "Y2E=", "Y2VydA==", "a2V5")
    lab = look(topology(tmp_path, uses), there, seed=b"s", apis={"a": api}, addresses={"a": "10.200.0.2"})
    assert render(there[0], lab)[-1]["data"] == {"a": "https://10.200.0.2:6443 10.200.0.2"}


def test_files_and_parts_are_the_folders_own(tmp_path: Path) -> None:
    home = write(
        tmp_path,
        main__yaml__j2=CONFIG + 'data:\n  {% include "part.j2" %}\n  b: {{ file("b.json") | to_json }}\n',
        part__j2="  a: {{ cluster.name }}\n",
    )
    (home / "b.json").write_text('{"x": "{{ not a template }}"}')
    assert data(tmp_path) == {"a": "a", "b": '{"x": "{{ not a template }}"}'}


def test_a_file_without_the_suffix_is_taken_as_it_is(tmp_path: Path) -> None:
    home = write(tmp_path)
    text = (home / "addon.yaml").read_text().replace("main.yaml.j2", "crd.yaml")
    (home / "addon.yaml").write_text(text)
    (home / "crd.yaml").write_text(CONFIG + "data: {a: '{{ cluster }}'}\n")
    assert data(tmp_path) == {"a": "{{ cluster }}"}


def test_only_what_needs_a_namespace_gets_one(tmp_path: Path) -> None:
    write(tmp_path, main__yaml__j2=CONFIG.replace("ConfigMap", "ClusterRole"))
    assert [each["kind"] for each in objects(tmp_path)] == ["ClusterRole"]


def test_a_namespace_of_kubernetes_is_not_made(tmp_path: Path) -> None:
    write(tmp_path, more="namespace: kube-system\n")
    assert [each["metadata"].get("namespace") for each in objects(tmp_path)] == ["kube-system"]


def test_elsewhere_gets_what_is_for_it(tmp_path: Path) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ cluster.name }}}\n"
    write(tmp_path, more="elsewhere: [service.yaml.j2]\n", service__yaml__j2=service)
    there, lab = view(tmp_path, "[{use: x, on: a}]")
    made = {each.cluster: [(o["kind"], o["metadata"]["name"]) for o in render(each, lab)] for each in there}
    assert made == {
        "hub": [("Namespace", "x"), ("Service", "hub")],
        "a": [("Namespace", "x"), ("ConfigMap", "x")],
        "b": [("Namespace", "x"), ("Service", "b")],
    }


def test_the_same_is_rendered_each_time(tmp_path: Path) -> None:
    write(tmp_path, main__yaml__j2=CONFIG + 'data: {a: "{{ secret("x") }}"}\n')
    assert fingerprint(objects(tmp_path)) == fingerprint(objects(tmp_path))


def test_a_secret_is_derived_from_the_seed() -> None:
    digest = hmac.new(b"seed", b"vault/root-token", hashlib.sha256).digest()
    assert secret(b"seed", "vault", "root-token") == base64.urlsafe_b64encode(digest).decode()[:32]
    every = {
        secret(seed, addon, name, cluster=cluster)
        for seed in (b"1", b"2")
        for addon in ("x", "y")
        for name in ("m", "n")
        for cluster in ("", "a", "b")
    }
    assert len(every) == 24
    with pytest.raises(ValueError, match="no slash"):
        secret(b"1", "x", "m/a")


def test_secrets_are_the_addons_own_or_of_what_it_needs(tmp_path: Path) -> None:
    write(tmp_path, "server")
    text = CONFIG + (
        'data:\n  a: "{{ secret("m") }}"\n  b: "{{ secret("m", of="server") }}"\n'
        '  c: "{{ secret("m", cluster="b") }}"\n'
    )
    write(tmp_path, more="needs: [server]\n", main__yaml__j2=text)
    there, lab = view(tmp_path, "[{use: server, on: a}, {use: x, on: a}]")
    assert render(there[-1], lab)[-1]["data"] == {
        "a": secret(b"seed", "x", "m"),
        "b": secret(b"seed", "server", "m"),
        "c": secret(b"seed", "x", "m", cluster="b"),
    }


@pytest.mark.parametrize(
    "text",
    [
        'data:\n  a: {{ secret("m") }}: {{ secret("m") | b64encode }}\n',
        'data: {a: *{{ secret("m") }}}\n',
        'data: {a: 1, {{ secret("m") }}: 2, {{ secret("m") }}: 3}\n',
        'data: {a: "{{ (secret("m") ~ "!") | b64decode }}"}\n',
        "data: {a: {{ cluster.api.key }}: 1}\n",
    ],
)
def test_no_error_quotes_a_secret(tmp_path: Path, text: str) -> None:
    write(tmp_path, main__yaml__j2=CONFIG + text)
    [there], lab = view(tmp_path, "[{use: x, on: a}]")
    key = "PLANTED-KEY-PLANTED-KEY"
    lab = replace(lab, clusters=tuple(replace(c, api=Api("s", "c", "c", key)) for c in lab.clusters))
    with pytest.raises(InputError) as caught:
        render(there, lab)
    plain = secret(b"seed", "x", "m")
    for hidden in (plain, base64.b64encode(plain.encode()).decode(), key):
        assert hidden[:12] not in str(caught.value)


def test_the_whole_error_is_this(tmp_path: Path) -> None:
    write(tmp_path, main__yaml__j2="{% for c in clusters %}\na: [{{ c.name }}\n{% endfor %}\n")
    error = failure(tmp_path)
    assert error.brief == "1 problem in addons/x, rendered for a"
    assert error.remedy == "Nothing was applied."
    assert error.exit_code == 2
    assert error.details.startswith("addons/x/main.yaml.j2 (rendered):2:")
    assert ', in "a: [a". ' in error.details


def test_an_error_is_placed_in_the_part_that_it_is_of(tmp_path: Path) -> None:
    write(tmp_path, main__yaml__j2='{% include "part.j2" %}\n', part__j2="\n\n{{ cluster.nam }}\n")
    assert failure(tmp_path).details.startswith(
        'addons/x/part.j2:3:1 template: there is no "nam" among name, '
    )


def test_a_checks_template_knows_more(tmp_path: Path) -> None:
    more = "checks: [{id: c, summary: s, steps: [{apply: {template: probe.j2}}]}]\n"
    write(tmp_path, more=more, probe__j2=CONFIG + "data: {a: '{{ nonce }}'}\n")
    [there], lab = view(tmp_path, "[{use: x, on: a}]")
    [made] = render_template(Words(there, lab, more={"nonce": "n1"}), "probe.j2")
    assert made["data"] == {"a": "n1"}
    assert made["metadata"]["namespace"] == "x"
    with pytest.raises(InputError) as caught:
        render_template(Words(there, lab, more={"nonec": "n1"}), "probe.j2")
    assert caught.value.details == (
        'addons/x/probe.j2:4:1 template: "nonce" is not known. Did you mean "nonec"?'
    )


def test_scalars_are_what_kubernetes_takes_them_for(tmp_path: Path) -> None:
    text = CONFIG + 'data: {a: 8080, b: "8080", c: true, d: "true", e: 0.5, f: null, g: text, h: 128Mi}\n'
    write(tmp_path, main__yaml__j2=text)
    assert data(tmp_path) == {
        "a": 8080,
        "b": "8080",
        "c": True,
        "d": "true",
        "e": 0.5,
        "f": None,
        "g": "text",
        "h": "128Mi",
    }
