"""Every key of an ``addon.yaml``, version ``lab.addon/v1``: add to it with care, never rename.

With ``step_vocabulary`` and ``contract_vocabulary`` this is the only list of keys, defaults and limits.
The loader reads files by it, the JSON Schema for editors is written from it, and the descriptions are what
a person sees while typing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lab.catalog.contract_vocabulary import CONTRACT
from lab.catalog.step_vocabulary import (
    ADDON_NAME,
    FILE,
    LABEL,
    NAME,
    OBJECT,
    PLACES,
    PORT,
    SENTENCE,
    STEP,
)
from lab.document.format import Format, Kind
from lab.document.shapes import (
    Block,
    Boolean,
    Choice,
    Duration,
    Field,
    Free,
    Integer,
    Sequence,
    Table,
    Text,
)
from lab.topology.vocabulary import NAME_PATTERN

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

CHECK_TIMEOUT_S: Final = 60

# Of an option that is a number and does not say otherwise.
LOWEST: Final = 0
HIGHEST: Final = 10**9

SIZE: Final = Text(expected="a size such as 128Mi or 1Gi", sample="128Mi", pattern=SIZE_PATTERN)
TEXT: Final = Text(expected="text", sample='"some text"', pattern=r"[\s\S]*")

# An option is written as `options.NAME` in templates.
_option_name = Text(
    expected="a name of lower-case letters, digits and underscores", sample="tries", pattern="[a-z][a-z0-9_]*"
)
_word = Text(expected="a word", sample="Program", pattern=r"\S(.*\S)?")

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
        Field("summary", SENTENCE, "What it does.", required=True),
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
            NAME,
            "Last part of the check's name, ADDON/CLUSTER/ID.",
            required=True,
            examples=("secret",),
        ),
        Field("summary", SENTENCE, "What it proves, for a user.", required=True),
        Field(
            "each",
            PLACES,
            "Roles on each of whose clusters it is made, or `any`. Left out, where the addon is.",
        ),
        Field("timeout", Duration(), "Time for the whole check.", default=f"{CHECK_TIMEOUT_S}s"),
        Field("steps", Sequence(STEP), "What is done, in order; one verb each.", required=True),
    ),
)

_url = Block(
    "a URL",
    (
        Field("name", NAME, "What `open` calls it.", required=True, examples=("ui",)),
        Field("service", LABEL, "The service behind it.", required=True),
        Field("port", PORT, "The service's port.", required=True),
        Field("namespace", LABEL, "The service's namespace. Left out, the addon's own."),
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
        Field("summary", SENTENCE, "What it is for, in one line.", required=True),
        Field("upstream", _upstream, "The program that it installs. Left out where that is part of the lab."),
        Field(
            "on",
            PLACES,
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
            "needs",
            Sequence(ADDON_NAME),
            "Addons that must be in the lab and ready first, here or elsewhere.",
        ),
        Field("after", Sequence(ADDON_NAME), "Addons that must be ready first if they are in the lab."),
        Field(
            "excludes",
            Sequence(ADDON_NAME),
            "Addons that cannot be on the same cluster: they do the same work.",
        ),
        Field(
            "namespace",
            LABEL,
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
            Sequence(FILE),
            "Files with objects, applied in order where the addon is. Those that end in .j2 are Jinja2 "
            "templates, others are taken as they are.",
            required=True,
        ),
        Field(
            "elsewhere",
            Sequence(FILE),
            "The same, applied on every other cluster of the lab: a global Service, so that it is reached.",
        ),
        Field(
            "ready",
            Sequence(
                Block(
                    "a workload",
                    (
                        Field("kind", Choice(WORKLOADS), "Kind of the workload.", required=True),
                        Field("name", OBJECT, "Its name.", required=True),
                        Field("namespace", LABEL, "Its namespace. Left out, the addon's own."),
                    ),
                )
            ),
            "The workloads that must be ready before it is.",
        ),
        Field("checks", Sequence(_check), "What proves that it works for a user."),
        Field(
            "contracts",
            Sequence(CONTRACT),
            "What is claimed of it while another cluster is away, and what shows whether that is so.",
        ),
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
