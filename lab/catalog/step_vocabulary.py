"""What a step may say, and the words that the vocabularies of checks and of contracts share."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lab.document.shapes import (
    Anything,
    Block,
    Boolean,
    Choice,
    Either,
    Field,
    Free,
    Integer,
    Sequence,
    Text,
)
from lab.topology.vocabulary import NAME_LONGEST, NAME_PATTERN

VERBS: Final = ("request", "apply", "get", "exec", "delete")

NAME: Final = Text(
    expected="a name of lower-case letters, digits and inner dashes",
    sample="app",
    pattern=NAME_PATTERN,
    longest=NAME_LONGEST,
)
ADDON_NAME: Final = replace(NAME, sample="an-addon")
# RFC 1123, as Kubernetes has it: a subdomain for most objects, a label for namespaces and services.
OBJECT: Final = Text(
    expected="the name of a Kubernetes object",
    sample="server",
    pattern=r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
    longest=253,
)
LABEL: Final = replace(OBJECT, pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?", longest=63)
SENTENCE: Final = Text(expected="a sentence", sample="What it does.")
FILE: Final = Text(expected="a file of the addon's folder", sample="server.yaml.j2")
TEMPLATED: Final = Text(expected="text", sample='"{{ cluster.name }}"', pattern=r"[\s\S]+")
EXPRESSION: Final = Text(expected="an expression", sample="status == 200", pattern=r"[\s\S]+")
PLACES: Final = Either(NAME, Sequence(NAME))
PORT: Final = Integer(1, 65535)

_on = Field(
    "on",
    replace(TEMPLATED, expected="a role, any, or a cluster's name as a {{ template }}", sample="mgmt"),
    "Where: a role, `any`, or a cluster's name as a template. Left out, the cluster that is checked.",
    examples=("mgmt", "{{ cluster.name }}"),
)
_namespace = Field(
    "namespace",
    replace(TEMPLATED, sample="default"),
    "Namespace. Left out, the addon's own.",
    examples=("default",),
)
_template = Field("template", FILE, "A template of the addon's folder.", required=True)


def _verb(name: str, doc: str, *fields: Field) -> Field:
    return Field(name, Block(name, fields), doc)


STEP: Final = Block(
    "a step",
    (
        _verb(
            "request",
            "Ask a service over HTTP, through the cluster's API server. Gives `status` and `result`.",
            _on,
            Field("service", TEMPLATED, "The service's name.", required=True),
            _namespace,
            Field("port", PORT, "The service's port.", required=True),
            Field(
                "method",
                Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")),
                "HTTP method.",
                default="GET",
            ),
            Field("path", replace(TEMPLATED, sample="/"), "Path, with the query.", default="/"),
            Field("headers", Anything(), "Headers: text by name."),
            Field("body", Free("{}"), "Body: text as it is, anything else as JSON."),
        ),
        _verb(
            "apply",
            "Apply the objects of a template. Gives `status` and `result`, the API server's answer.",
            _template,
            _on,
            Field("dry_run", Boolean(), "Have the API server decide, and change nothing.", default=False),
            Field("keep", Boolean(), "Leave it there, whatever comes of the steps.", default=False),
        ),
        _verb(
            "get",
            "Read from the Kubernetes API. Gives `status` and `result`.",
            Field(
                "path",
                replace(TEMPLATED, sample="/api/v1/nodes"),
                "Path of the API.",
                required=True,
                examples=("/api/v1/namespaces/default/secrets/x",),
            ),
            _on,
        ),
        _verb(
            "exec",
            "Run a command in one pod. Gives `result`, its output.",
            Field("labels", TEMPLATED, "Label selector of the pod.", required=True, examples=("app=server",)),
            Field("command", Sequence(TEMPLATED), "The command, word by word.", required=True),
            _namespace,
            Field("container", TEMPLATED, "The container, where the pod has several."),
            _on,
        ),
        _verb("delete", "Delete the objects of a template, if they are there.", _template, _on),
        Field(
            "expect",
            EXPRESSION,
            "A Jinja2 expression that must be true, or the step has failed.",
            examples=("status == 200",),
        ),
        Field(
            "until",
            EXPRESSION,
            "A Jinja2 expression: the step is repeated until it is true, or time is up.",
            examples=("result.status.phase == 'Running'",),
        ),
    ),
    one_of=VERBS,
    at_most_one_of=("expect", "until"),
)
