from __future__ import annotations

from pathlib import Path

import pytest

from lab.catalog.addon import Option, Step, Upstream, Url, Workload
from lab.catalog.load import load_catalog
from lab.errors import InputError
from tests.unit.catalog.addons import IMAGES, catalog, write

FULL = """\
version: lab.addon/v1
summary: Secrets for every cluster, from one Vault.
upstream: {name: Vault, version: 1.21.0, from: "https://github.com/hashicorp/vault", licence: BUSL-1.1}
on: [mgmt, app]
needs: [other]
after: [third]
namespace: vault
pod_security: restricted
memory: 1.5Gi
images: ["docker.io/hashicorp/vault:1.21.0"]
options:
  buffer: {type: duration, default: 6h, summary: s}
  tries: {type: integer, default: 0, lowest: 0, highest: 100, summary: s}
  mode: {type: choice, values: [a, b], default: a, summary: s}
  size: {type: size, default: 1Gi, summary: s}
  name: {type: text, default: x, summary: s}
  "on": {type: boolean, default: true, summary: s}
templates: [server.yaml.j2, crds.yaml]
elsewhere: [service.yaml]
ready: [{kind: StatefulSet, name: vault}, {kind: Job, name: init, namespace: default}]
checks:
  - id: secret
    summary: s
    each: app
    steps:
      - request: {on: mgmt, service: vault, port: 8200, method: POST, headers: {a: b}, body: ["{{ nonce }}"]}
        expect: status == 200
      - apply: {template: probe.yaml.j2, on: app, dry_run: true}
      - get: {path: "/api/v1/secrets/{{ nonce }}"}
        until: result.data.value | b64decode == nonce
      - exec: {namespace: x, labels: app=y, container: z, command: [a, b]}
      - delete: {template: probe.yaml.j2}
urls:
  - {name: vault, service: vault, port: 8200, path: /ui/, user: root, password: "secret: root-token"}
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    for other in ("other", "third"):
        write(tmp_path, other)
    home = tmp_path / "addons" / "vault"
    home.mkdir()
    (home / "addon.yaml").write_text(FULL)
    for name in ("server.yaml.j2", "crds.yaml", "service.yaml", "probe.yaml.j2"):
        (home / name).write_text("")
    return tmp_path


def test_every_key_of_the_vocabulary_is_read(full: Path) -> None:
    addon = catalog(full).addons["vault"]
    assert addon.upstream == Upstream("Vault", "1.21.0", "https://github.com/hashicorp/vault", "BUSL-1.1")
    assert (addon.on, addon.needs, addon.after) == (("mgmt", "app"), ("other",), ("third",))
    assert (addon.namespace, addon.pod_security, addon.memory_mib) == ("vault", "restricted", 1536)
    assert addon.templates == ("server.yaml.j2", "crds.yaml")
    assert addon.elsewhere == ("service.yaml",)
    assert addon.ready == (
        Workload("StatefulSet", "vault", "vault"),
        Workload("Job", "init", "default"),
    )
    assert addon.urls == (Url("vault", "vault", "vault", 8200, "/ui/", "root", "root-token"),)
    assert addon.folder == full / "addons" / "vault"
    assert addon.shown == "addons/vault"


def test_options_have_defaults_of_their_type(full: Path) -> None:
    options = catalog(full).addons["vault"].options
    defaults = {name: option.default for name, option in options.items()}
    assert defaults == {"buffer": 21600, "tries": 0, "mode": "a", "size": "1Gi", "name": "x", "on": True}
    assert options["mode"] == Option("mode", "choice", "s", "a", values=("a", "b"))


def test_steps_have_their_defaults_filled_in(full: Path) -> None:
    [check] = catalog(full).addons["vault"].checks
    assert (check.id, check.each, check.timeout) == ("secret", ("app",), 60)
    request, apply, get, execute, delete = check.steps
    assert request == Step(
        "request",
        {
            "on": "mgmt",
            "service": "vault",
            "namespace": "vault",
            "port": 8200,
            "method": "POST",
            "path": "/",
            "headers": {"a": "b"},
            "body": ["{{ nonce }}"],
        },
        expect="status == 200",
    )
    assert apply.arguments == {"template": "probe.yaml.j2", "on": "app", "dry_run": True, "keep": False}
    assert get.until == "result.data.value | b64decode == nonce"
    assert execute.arguments["command"] == ["a", "b"]
    assert delete == Step("delete", {"template": "probe.yaml.j2", "on": ""})


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    write(tmp_path)
    addon = catalog(tmp_path).addons["x"]
    assert (addon.namespace, addon.pod_security, addon.images) == ("x", "baseline", ())


def test_addons_come_by_name_and_other_files_are_none_of_them(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path, name)
    (tmp_path / "addons" / "addon.schema.json").write_text("{}")
    (tmp_path / "addons" / ".git").mkdir()
    assert list(catalog(tmp_path).addons) == ["a", "b", "c"]


def test_a_folder_that_is_not_there_holds_no_addon(tmp_path: Path) -> None:
    assert load_catalog(tmp_path / "addons", images=IMAGES).addons == {}


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    home = write(tmp_path, main__yaml__j2='{{ file("link") }}')
    (tmp_path / "secret").write_text("x")
    (home / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError) as caught:
        catalog(tmp_path)
    assert caught.value.details == (
        'addons/x/main.yaml.j2:1:1 template: "link" leads out of the addon\'s folder. '
        "Put the file into the folder."
    )


def test_a_file_without_the_suffix_is_no_template(tmp_path: Path) -> None:
    home = write(tmp_path, main__yaml__j2="")
    text = (home / "addon.yaml").read_text().replace("main.yaml.j2", "crds.yaml")
    (home / "addon.yaml").write_text(text)
    (home / "crds.yaml").write_text("a: {{ not a template }}")
    assert catalog(tmp_path).addons["x"].templates == ("crds.yaml",)


def test_the_whole_error_is_this(tmp_path: Path) -> None:
    write(tmp_path, more="memory: 1Mi\nwant: x\n")
    with pytest.raises(InputError) as caught:
        catalog(tmp_path)
    assert caught.value.brief == "2 problems in addons"
    assert caught.value.remedy == "Nothing was started."
    assert caught.value.exit_code == 2
    assert caught.value.details.startswith(
        'addons/x/addon.yaml:7:1 memory: "memory" is there already (line 5). Keep one of the two.\n'
        'addons/x/addon.yaml:8:1 want: "want" is not a key of an addon. '
    )
