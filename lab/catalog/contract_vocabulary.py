"""Every key of a contract: of ``contracts`` in an ``addon.yaml``, and of the mesh's own file of them.

That file has the version ``lab.contracts/v1``. As with ``vocabulary``: add with care, never rename.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lab.catalog.contract import OTHERS, PHASES, SELF
from lab.catalog.step_vocabulary import (
    ADDON_NAME,
    EXPRESSION,
    LABEL,
    NAME,
    PLACES,
    PORT,
    SENTENCE,
    STEP,
    TEMPLATED,
)
from lab.document.format import Format, Kind
from lab.document.shapes import Block, Boolean, Choice, Duration, Field, Integer, Sequence, Text
from lab.topology.vocabulary import NAME_LONGEST

VERSION: Final = "lab.contracts/v1"

MESH_NAMESPACE: Final = "lab-degrade"
"""Of what the mesh's contracts name without a namespace."""

RULES: Final = ("answers", "silent", "same", "returns", "holds")

EVERY_S: Final = 5
ACT_TIMEOUT_S: Final = 60
PER_SECOND: Final = 10
MOST_PER_SECOND: Final = 50
LEAST: Final = 1

_MOST: Final = 10**9

_id = Text(
    expected="an id of letters, digits and dashes that begins with a capital",
    sample="C3",
    pattern="[A-Z][A-Za-z0-9-]*",
    longest=NAME_LONGEST,
)
_phase = Choice(PHASES)
_thing = replace(NAME, sample="secret")
_own_id = Field(
    "id",
    _thing,
    "What judgements and the history call it; nothing else of the contract is called so.",
    required=True,
    examples=("secret",),
)
_summary = Field("summary", SENTENCE, "What it looks at, for whoever reads the report.", required=True)
_steps = Field("steps", Sequence(STEP), "What is done, in order; one verb each, as in checks.", required=True)
_value = Field(
    "value",
    EXPRESSION,
    "A Jinja2 expression over the last step's `status` and `result`: what is kept of it.",
    examples=("result.data.password | b64decode | sha256",),
)

_series = Block(
    "a series",
    (
        _own_id,
        _summary,
        Field("every", Duration(), "Time from one sample to the next.", default=f"{EVERY_S}s"),
        Field("timeout", Duration(), "Time for one sample. Left out, as long as `every`."),
        _steps,
        _value,
    ),
)

_flow = Block(
    "a flow",
    (
        _own_id,
        _summary,
        Field(
            "service",
            TEMPLATED,
            "The service that is asked. With `to: others` it knows `to`, the other cluster's name.",
            required=True,
            examples=("echo", "echo-{{ to }}"),
        ),
        Field("namespace", LABEL, "The service's namespace. Left out, the addon's own."),
        Field("port", PORT, "The service's port.", required=True),
        Field(
            "to",
            Choice((SELF, OTHERS)),
            "Whom it leads to: `self`, or `others`, a flow to each other cluster that is not away. Left out, "
            "`service` says it all.",
        ),
        Field(
            "per_second",
            Integer(1, MOST_PER_SECOND),
            "Requests a second, on new connections and as many on kept ones.",
            default=PER_SECOND,
        ),
    ),
)

_act = Block(
    "an act",
    (
        _own_id,
        _summary,
        Field("during", _phase, "The phase in which it is done.", required=True),
        Field("after", Duration(), "Time from the beginning of that phase.", default="0s"),
        Field("timeout", Duration(), "Time for all of it.", default=f"{ACT_TIMEOUT_S}s"),
        _steps,
        _value,
    ),
)

_judgement = Block(
    "a judgement",
    (
        Field("says", SENTENCE, "What must be so, for whoever reads the report.", required=True),
        Field(
            "answers",
            _thing,
            "A series or a flow that goes on answering: in `phases` no more than `lost` samples fail, and "
            "there are `least`.",
        ),
        Field(
            "silent", _thing, "A series or a flow that does not answer: in `phases` nearly all samples fail."
        ),
        Field(
            "same", _thing, "A series, the `value` of which stays the same from the first phase to the last."
        ),
        Field(
            "returns",
            _thing,
            "A series that is well again `within` a time of the fault's undoing, for half a minute at least.",
            needs="within",
        ),
        Field(
            "holds",
            EXPRESSION,
            "A Jinja2 expression that is true of what was seen: of `acts`, `series`, `flows` and `phases`.",
            examples=("acts.refresh.ok",),
        ),
        Field(
            "phases",
            Sequence(_phase),
            "With answers and silent, the phases to look at. Left out, all of them; for silent, and with "
            "`after`, hold.",
        ),
        Field(
            "lost", Integer(0, _MOST), "With answers, how many samples may fail.", default=0, needs="answers"
        ),
        Field(
            "least",
            Integer(1, _MOST),
            "With answers, how many samples there must be for it to mean anything.",
            default=LEAST,
            needs="answers",
        ),
        Field(
            "after",
            EXPRESSION,
            "With answers, how much of the beginning of `phases` is not looked at: a time, or an expression "
            "over `options` and `mesh` that is a number of seconds.",
            needs="answers",
            examples=("30s", "mesh.drop_after + 15"),
        ),
        Field("within", Duration(), "With returns, the time until it is well again.", needs="returns"),
        Field(
            "once",
            _thing,
            "With returns, another series on which this one waits: the time is counted from when that is "
            "well again. Left out, from the fault's undoing.",
            needs="returns",
            examples=("store",),
        ),
        Field(
            "proof",
            Boolean(),
            "It is not of the claim, but of what makes it mean something: that the fault was real, that what "
            "the claim rests on was put to the test. Where it is not so, nothing can be told.",
            default=False,
        ),
    ),
    one_of=RULES,
)

CONTRACT: Final = Block(
    "a contract",
    (
        Field(
            "id",
            _id,
            "What it is called; no other contract is called so.",
            required=True,
            examples=("C3",),
        ),
        Field("claim", SENTENCE, "What is claimed, in a sentence.", required=True),
        Field(
            "away",
            NAME,
            "The role without whose clusters it is claimed, or `any`.",
            required=True,
            examples=("mgmt", "any"),
        ),
        Field("each", PLACES, "Roles on each of whose clusters it is judged. Left out, where the addon is."),
        Field(
            "needs",
            Sequence(ADDON_NAME),
            "Addons without which it is not judged. Left out, those that the addon needs.",
        ),
        Field(
            "when",
            EXPRESSION,
            "A Jinja2 expression over `options`, `mesh` (kind, stale_backends, drop_after), `fault`, "
            "`component`, `cluster` (name, role) and `away`: where it is not true, the contract is not "
            "judged.",
            examples=("options.control", 'component == "" and mesh.stale_backends == "keep"'),
        ),
        Field(
            "otherwise",
            SENTENCE,
            "Why it is not judged where `when` is not true, for whoever reads that it was skipped.",
            examples=("the topology asks for no second agent",),
        ),
        Field(
            "endures",
            EXPRESSION,
            "A Jinja2 expression over `acts` of the baseline: how many seconds of outage it is claimed for. "
            "That this one is to be longer is said before anything is broken.",
            examples=("acts.buffer.value.seconds",),
        ),
        Field(
            "control_of",
            _id,
            "Of a negative control: the contract that must fail here. It is as it should be when it fails.",
            needs="fails",
        ),
        Field("fails", SENTENCE, "Of a negative control: why it must fail.", needs="control_of"),
        Field("series", Sequence(_series), "Steps that are repeated all the time."),
        Field("flows", Sequence(_flow), "Requests that pods make many times a second, all the time."),
        Field("acts", Sequence(_act), "What is done once, in one of the phases."),
        Field(
            "judgements",
            Sequence(_judgement),
            "What makes the claim true; each is one of answers, silent, same, returns and holds.",
            required=True,
        ),
    ),
)

CONTRACTS: Final = Block(
    "a file of contracts",
    (
        Field("version", Choice((VERSION,)), f"Version of this vocabulary: {VERSION}.", required=True),
        Field("contracts", Sequence(CONTRACT), "What is claimed, and what shows it.", required=True),
    ),
)

FORMAT: Final = Format(
    Kind(
        noun="file of contracts",
        most_bytes=64 * 1024,
        most_values=5_000,
        most_levels=24,
        begin="Begin with version and contracts.",
        shrink="Put what is long into files beside it.",
        template="Write a word before the colon, and put {{ templates }} in quotes.",
    ),
    VERSION,
    CONTRACTS,
)
