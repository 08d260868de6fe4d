"""Every key of an ``addon.yaml``, version ``lab.addon/v1``: add to it with care, never rename.

This is the only list of keys, defaults and limits. The loader reads files by it, the JSON Schema for
editors is written from it, and the descriptions are what a person sees while typing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lab.document.format import Format, Kind
from lab.document.shapes import (
    Anything,
    Block,
    Boolean,
    Choice,
    Duration,
    Either,
    Field,
    Free,
    Integer,
    Sequence,
    Table,
    Text,
)
from lab.topology.vocabulary import NAME_LONGEST, NAME_PATTERN

VERSION: Final = "lab.addon/v1"

ANY: Final = "any"
"""In place of a role: every cluster."""

OPTION_TYPES: Final = ("duration", "integer", "choice", "size", "text", "boolean")

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/, less what nobody writes
# of memory and disks: exponents and thousandths.
SIZE_PATTERN: Final = r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?"

# https://kubernetes.io/docs/concepts/security/pod-security-standards/
POD_SECURITY: Final = ("privileged", "baseline", "restricted")

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job")

VERBS: Final = ("request", "apply", "get", "exec", "delete")

CHECK_TIMEOUT_S: Final = 60

# Of an option that is a number and does not say otherwise.
LOWEST: Final = 0
HIGHEST: Final = 10**9

SIZE: Final = Text(expected="a size such as 128Mi or 1Gi", sample="128Mi", pattern=SIZE_PATTERN)
TEXT: Final = Text(expected="text", sample='"some text"', pattern=r"[\s\S]*")

_name = Text(
    expected="a name of lower-case letters, digits and inner dashes",
    sample="app",
    pattern=NAME_PATTERN,
    longest=NAME_LONGEST,
)
_addon = replace(_name, sample="an-addon")
# An option is written as `options.NAME` in templates.
_option_name = Text(
    expected="a name of lower-case letters, digits and underscores", sample="tries", pattern="[a-z][a-z0-9_]*"
)
# RFC 1123, as Kubernetes has it: a subdomain for most objects, a label for namespaces and services.
_object = Text(
    expected="the name of a Kubernetes object",
    sample="server",
    pattern=r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
    longest=253,
)
_label = replace(_object, pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?", longest=63)
_sentence = Text(expected="a sentence", sample="What it does.")
_word = Text(expected="a word", sample="Program", pattern=r"\S(.*\S)?")
_file = Text(expected="a file of the addon's folder", sample="server.yaml.j2")
_templated = Text(expected="text", sample='"{{ cluster.name }}"', pattern=r"[\s\S]+")
_expression = Text(expected="an expression", sample="status == 200", pattern=r"[\s\S]+")
_places = Either(_name, Sequence(_name))
_port = Integer(1, 65535)

_on = Field(
    "on",
    replace(_templated, expected="a role, any, or a cluster's name as a {{ template }}", sample="mgmt"),
    "Where: a role, `any`, or a cluster's name as a template. Left out, the cluster that is checked.",
    examples=("mgmt", "{{ cluster.name }}"),
)
_namespace = Field(
    "namespace",
    replace(_templated, sample="default"),
    "Namespace. Left out, the addon's own.",
    examples=("default",),
)
_template = Field("template", _file, "A template of the addon's folder.", required=True)


def _verb(name: str, doc: str, *fields: Field) -> Field:
    return Field(name, Block(name, fields), doc)


_step = Block(
    "a step",
    (
        _verb(
            "request",
            "Ask a service over HTTP, through the cluster's API server. Gives `status` and `result`.",
            _on,
            Field("service", _templated, "The service's name.", required=True),
            _namespace,
            Field("port", _port, "The service's port.", required=True),
            Field(
                "method",
                Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")),
                "HTTP method.",
                default="GET",
            ),
            Field("path", replace(_templated, sample="/"), "Path, with the query.", default="/"),
            Field("headers", Anything(), "Headers: text by name."),
            Field("body", Free("{}"), "Body: text as it is, anything else as JSON."),
        ),
        _verb(
            "apply",
            "Apply the objects of a template. Gives `status` and `result`, the API server's answer.",
            _template,
            _on,
            Field("dry_run", Boolean(), "Have the API server decide, and change nothing.", default=False),
        ),
        _verb(
            "get",
            "Read from the Kubernetes API. Gives `status` and `result`.",
            Field(
                "path",
                replace(_templated, sample="/api/v1/nodes"),
                "Path of the API.",
                required=True,
                examples=("/api/v1/namespaces/default/secrets/x",),
            ),
            _on,
        ),
        _verb(
            "exec",
            "Run a command in one pod. Gives `result`, its output.",
            Field(
                "labels", _templated, "Label selector of the pod.", required=True, examples=("app=server",)
            ),
            Field("command", Sequence(_templated), "The command, word by word.", required=True),
            _namespace,
            Field("container", _templated, "The container, where the pod has several."),
            _on,
        ),
        _verb("delete", "Delete the objects of a template, if they are there.", _template, _on),
        Field(
            "expect",
            _expression,
            "A Jinja2 expression that must be true, or the check has failed.",
            examples=("status == 200",),
        ),
        Field(
            "until",
            _expression,
            "A Jinja2 expression: the step is repeated until it is true, or the check's time is up.",
            examples=("result.status.phase == 'Running'",),
        ),
    ),
    one_of=VERBS,
    at_most_one_of=("expect", "until"),
)

_upstream = Block(
    "upstream",
    (
        Field("name", _word, "What it is called.", required=True, examples=("Prometheus",)),
        Field(
            "version",
            replace(_word, expected="a version", sample='"1.21"'),
            "Version, in quotes where it would be a number.",
            required=True,
            examples=("1.21.0",),
        ),
        Field(
            "from",
            Text(
                expected="an https address",
                sample="https://example.org/program",
                pattern=r"https://\S+",
            ),
            "Where it comes from.",
            required=True,
        ),
        Field(
            "licence",
            replace(_word, expected="an SPDX expression", sample="Apache-2.0"),
            "Its licence, as an SPDX expression.",
            required=True,
            examples=("Apache-2.0",),
        ),
        Field(
            "sha256",
            Text(expected="64 hexadecimal digits", sample="0" * 64, pattern="[0-9a-f]{64}"),
            "Digest of what was taken from there, where the folder holds a copy.",
        ),
    ),
)

_option = Block(
    "an option",
    (
        Field(
            "type",
            Choice(OPTION_TYPES),
            "What it is: duration (90s, 6h; seconds in templates), integer, choice (one of `values`), size "
            "(128Mi), text or boolean.",
            required=True,
        ),
        Field("default", Free("6h"), "What it is unless the topology says otherwise.", required=True),
        Field("summary", _sentence, "What it does.", required=True),
        Field("values", Sequence(_word), "The words to choose from; with type choice."),
        Field(
            "lowest",
            Integer(-HIGHEST, HIGHEST),
            "The least that is allowed; with type integer.",
            default=LOWEST,
        ),
        Field(
            "highest",
            Integer(-HIGHEST, HIGHEST),
            "The most that is allowed; with type integer.",
            default=HIGHEST,
        ),
    ),
)

_definitions = Block(
    "definitions",
    (
        Field(
            "from",
            Text(expected="PROGRAM/NAME", sample="gateway-api/crds", pattern=r"[^/\s]+/[^/\s]+"),
            "What a program of lab/images/programs.yaml keeps of its module: PROGRAM/NAME.",
            required=True,
            examples=("gateway-api/crds",),
        ),
        Field(
            "only",
            Sequence(replace(_word, expected="the name of a file without .yaml", sample="gateways")),
            "Files of that folder, without .yaml. Left out, all of them.",
        ),
    ),
)

_check = Block(
    "a check",
    (
        Field(
            "id",
            _name,
            "Last part of the check's name, ADDON/CLUSTER/ID.",
            required=True,
            examples=("secret",),
        ),
        Field("summary", _sentence, "What it proves, for a user.", required=True),
        Field(
            "each",
            _places,
            "Roles on each of whose clusters it is made, or `any`. Left out, where the addon is.",
        ),
        Field("timeout", Duration(), "Time for the whole check.", default=f"{CHECK_TIMEOUT_S}s"),
        Field("steps", Sequence(_step), "What is done, in order; one verb each.", required=True),
    ),
)

_url = Block(
    "a URL",
    (
        Field("name", _name, "What `open` calls it.", required=True, examples=("ui",)),
        Field("service", _label, "The service behind it.", required=True),
        Field("port", _port, "The service's port.", required=True),
        Field("namespace", _label, "The service's namespace. Left out, the addon's own."),
        Field("path", Text(expected="a path", sample="/", pattern=r"/\S*"), "Path to open.", default="/"),
        Field("user", _word, "Whom to log in as.", examples=("admin",)),
        Field(
            "password",
            Text(
                expected="the name of a secret, after `secret: `",
                sample='"secret: admin"',
                pattern=f"secret: {NAME_PATTERN}",
            ),
            'What to log in with: "secret: NAME", as `secret("NAME")` in the addon\'s templates.',
            examples=("secret: root-token",),
        ),
    ),
)


ADDON: Final = Block(
    "an addon",
    (
        Field("version", Choice((VERSION,)), f"Version of this vocabulary: {VERSION}.", required=True),
        Field("summary", _sentence, "What it is for, in one line.", required=True),
        Field("upstream", _upstream, "The program that it installs. Left out where that is part of the lab."),
        Field(
            "on",
            _places,
            "Where it goes unless the topology says otherwise: a role, a list of roles, or `any`.",
            required=True,
            examples=("mgmt", "app", ANY),
        ),
        Field(
            "single",
            Boolean(),
            "It serves the whole lab from one cluster, and cannot be on two: each would know a part only.",
            default=False,
        ),
        Field(
            "needs", Sequence(_addon), "Addons that must be in the lab and ready first, here or elsewhere."
        ),
        Field("after", Sequence(_addon), "Addons that must be ready first if they are in the lab."),
        Field(
            "excludes", Sequence(_addon), "Addons that cannot be on the same cluster: they do the same work."
        ),
        Field(
            "namespace",
            _label,
            "Namespace of its objects that name none; made by us. Left out, the addon's name.",
        ),
        Field(
            "pod_security",
            Choice(POD_SECURITY),
            "Pod Security level that its namespace enforces.",
            default="baseline",
        ),
        Field("memory", SIZE, "What it requests on each cluster where it is.", required=True),
        Field(
            "images",
            Sequence(
                Text(expected="an image reference", sample="docker.io/library/python:3.14.7", pattern=r"\S+")
            ),
            "References of lab/images/images.yaml that its pods use.",
        ),
        Field("options", Table(_option_name, _option), "What a topology may set in `with`, by name."),
        Field(
            "definitions",
            Sequence(_definitions),
            "What upstream's own files define (kinds, mostly), applied before the templates as it is.",
        ),
        Field(
            "templates",
            Sequence(_file),
            "Files with objects, applied in order where the addon is. Those that end in .j2 are Jinja2 "
            "templates, others are taken as they are.",
            required=True,
        ),
        Field(
            "elsewhere",
            Sequence(_file),
            "The same, applied on every other cluster of the lab: a global Service, so that it is reached.",
        ),
        Field(
            "ready",
            Sequence(
                Block(
                    "a workload",
                    (
                        Field("kind", Choice(WORKLOADS), "Kind of the workload.", required=True),
                        Field("name", _object, "Its name.", required=True),
                        Field("namespace", _label, "Its namespace. Left out, the addon's own."),
                    ),
                )
            ),
            "The workloads that must be ready before it is.",
        ),
        Field("checks", Sequence(_check), "What proves that it works for a user."),
        Field("urls", Sequence(_url), "What `open` can open."),
    ),
)

FORMAT: Final = Format(
    Kind(
        noun="addon",
        most_bytes=64 * 1024,
        most_values=5_000,
        most_levels=24,
        begin="Begin with version, summary, on, memory and templates.",
        shrink="Put what is long into files of the addon's folder.",
        template="Write a word before the colon, and put {{ templates }} in quotes.",
    ),
    VERSION,
    ADDON,
)
