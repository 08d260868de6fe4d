"""A contract: a claim about life without another cluster, and what shows whether it holds. Data only.

A contract is told by the addon (or the mesh) that makes the claim. What is sampled are `series` (steps that
are repeated, through the clusters' API servers) and `flows` (requests that pods make many times a second);
`acts` happen once. `judgements` say what of that makes the claim true; they are read from an experiment's
history afterwards, by :mod:`lab.degrade.judge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    # An addon has contracts, and its steps are theirs.
    from lab.catalog.addon import Step

Phase = Literal["baseline", "inject", "hold", "recover", "settle"]
Manner = Literal["new", "kept"]
Rule = Literal["answers", "silent", "same", "returns", "holds"]

PHASES: Final[tuple[Phase, ...]] = ("baseline", "inject", "hold", "recover", "settle")
"""In their order. inject: from the fault until it is seen; recover: from its undoing until all is back."""

OTHERS: Final = "others"
SELF: Final = "self"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Steps that are repeated all the time. A sample is ok when every step held.

    ``every`` and ``timeout`` are in seconds. ``value`` is an expression over the last step's ``status`` and
    ``result``: what is kept of a sample.
    """

    id: str
    summary: str
    every: float
    timeout: float
    steps: tuple[Step, ...]
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Requests that a pod of each cluster makes all the time, on new and on kept connections.

    ``to`` is ``self``, ``others`` (each cluster that is not away, a flow each) or empty, where ``service``
    says it all. ``service`` names a Service: a template, which knows ``to`` where that is ``others``.
    ``every`` is in seconds.
    """

    id: str
    summary: str
    service: str
    namespace: str
    port: int
    to: Literal["self", "others", ""] = ""
    every: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that is done once, ``after`` seconds of the phase ``during``; steps as of a check.

    Those of the baseline are done before it is timed. What acts apply stays until the experiment ends.
    """

    id: str
    summary: str
    during: Phase
    after: float
    timeout: float
    steps: tuple[Step, ...]
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One thing that must be so.

    answers   at most ``lost`` samples of ``of`` fail in ``phases`` (without the first ``after`` seconds of
              them), and there are ``least`` or more
    silent    samples of ``of`` fail in ``phases``: nearly all
    same      ``of`` has one value, from baseline to settle
    returns   ``of`` is ok again ``within`` seconds of the fault's undoing, for half a minute at least; with
              ``once``, the id of another series, of that one's return
    holds     ``expression`` is true: it knows ``acts``, ``series``, ``flows`` and ``phases``

    ``of`` is the id of a series or a flow. Where ``after`` depends on the lab, ``later`` is an expression for
    it, over ``options`` and ``mesh``; else that is empty. With ``proof``, what is not so makes the verdict
    inconclusive, not a failure: the fault was not real, or what the claim rests on was never put to the test.
    """

    rule: Rule
    says: str
    of: str = ""
    phases: tuple[Phase, ...] = ()
    lost: int = 0
    least: int = 1
    after: float = 0
    later: str = ""
    within: float = 0
    once: str = ""
    expression: str = ""
    proof: bool = False


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One claim.

    ``away`` is the role whose loss it is about, or ``any``; ``each`` holds roles on whose clusters it is
    judged, or ``any``; empty, it is judged where the addon is.

    ``fails`` says of a negative control why it must fail; ``control_of`` names the contract that it belongs
    to. ``needs`` are addons without which it cannot be judged; ``when`` is an expression over the lab and the
    fault (:data:`lab.catalog.templates.IN_WHEN`), or empty, and ``otherwise`` says why it is not judged where
    that is not true. ``endures`` is an expression over ``acts`` of the baseline, or empty: for how many
    seconds of an outage the claim is made.
    """

    id: str
    claim: str
    away: str
    each: tuple[str, ...]
    needs: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    flows: tuple[Flow, ...] = ()
    acts: tuple[Act, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    control_of: str = ""
    fails: str = ""
    when: str = ""
    otherwise: str = ""
    endures: str = ""
