"""From what a file says of contracts to each :class:`Contract`, and what is wrong with one by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from lab.catalog.contract import OTHERS, PHASES, Act, Contract, Flow, Judgement, Series
from lab.catalog.contract_vocabulary import (
    ACT_TIMEOUT_S,
    CONTRACT,
    EVERY_S,
    LEAST,
    PER_SECOND,
    RULES,
)
from lab.catalog.declare_parts import Texts, one_of, steps, templates_in, twice, whole, words
from lab.catalog.templates import (
    IN_AFTER,
    IN_CONTRACT_EXPRESSIONS,
    IN_CONTRACTS,
    IN_SERVICES,
    IN_WHEN,
    KNOWN_OF,
    expression_paths,
)
from lab.document.load import Document
from lab.document.position import Path, Problem, listed
from lab.document.scalars import Unfit, duration

_THINGS: Final = ("series", "flows", "acts")
"""What has an id in a contract; of all of these together each has another one."""

_OF_ALL: Final = {
    "answers": ("series", "flow"),
    "silent": ("series", "flow"),
    "same": ("series",),
    "returns": ("series",),
}
"""What a rule that names something can be of."""

_WITH_PHASES: Final = ("answers", "silent")

_MANNERS: Final = ("new", "kept")

_FIGURES: Final = {
    "acts": ("ok", "value", "seconds", "error"),
    "series": ("first", "last", "least", "most", "count", "failed"),
    "flows": ("requests", "lost"),
    "phases": ("seconds",),
}
"""What ``holds`` knows, and the figures that it finds at the end of each path."""


def contracts(entries: Iterable[Any], *, namespace: str, needs: tuple[str, ...]) -> tuple[Contract, ...]:
    """Make the contracts of a list of them; ``namespace`` and ``needs`` are of those that state none."""
    return tuple(
        Contract(
            id=values.get("id", ""),
            claim=values.get("claim", ""),
            away=values.get("away", ""),
            each=words(values.get("each", ())),
            needs=words(values.get("needs", needs)),
            series=tuple(_series(one, namespace) for one in whole(values.get("series", ()))),
            flows=tuple(_flow(one, namespace) for one in whole(values.get("flows", ()))),
            acts=tuple(_act(one, namespace) for one in whole(values.get("acts", ()))),
            judgements=tuple(_judgement(one) for one in whole(values.get("judgements", ()))),
            control_of=values.get("control_of", ""),
            fails=values.get("fails", ""),
            when=values.get("when", ""),
            otherwise=values.get("otherwise", ""),
            endures=values.get("endures", ""),
        )
        for values in whole(entries)
    )


def _series(values: Mapping[str, Any], namespace: str) -> Series:
    every = float(values.get("every", EVERY_S))
    return Series(
        id=values.get("id", ""),
        summary=values.get("summary", ""),
        every=every,
        timeout=float(values.get("timeout", every)),
        steps=steps(values.get("steps", ()), namespace),
        value=values.get("value", ""),
    )


def _flow(values: Mapping[str, Any], namespace: str) -> Flow:
    return Flow(
        id=values.get("id", ""),
        summary=values.get("summary", ""),
        service=values.get("service", ""),
        namespace=values.get("namespace", namespace),
        port=values.get("port", 0),
        to=values.get("to", ""),
        every=1 / values.get("per_second", PER_SECOND),
    )


def _act(values: Mapping[str, Any], namespace: str) -> Act:
    return Act(
        id=values.get("id", ""),
        summary=values.get("summary", ""),
        during=values.get("during", PHASES[0]),
        after=float(values.get("after", 0)),
        timeout=float(values.get("timeout", ACT_TIMEOUT_S)),
        steps=steps(values.get("steps", ()), namespace),
        value=values.get("value", ""),
    )


def _judgement(values: Mapping[str, Any]) -> Judgement:
    rule = next((each for each in RULES if each in values), "holds")
    after = values.get("after", "")
    seconds = _seconds(after)
    return Judgement(
        rule=rule,  # type: ignore[arg-type]
        says=values.get("says", ""),
        of=values.get(rule, "") if rule in _OF_ALL else "",
        phases=words(values.get("phases", ("hold",) if after else ())),  # type: ignore[arg-type]
        lost=values.get("lost", 0),
        least=values.get("least", LEAST),
        after=float(seconds or 0),
        later=after if seconds is None else "",
        within=float(values.get("within", 0)),
        once=values.get("once", ""),
        expression=values.get("holds", ""),
        proof=values.get("proof", False),
    )


def _seconds(after: str) -> int | None:
    """The seconds that ``after`` says; None where it is an expression."""
    try:
        return duration(after) if after else 0
    except Unfit:
        return None


def templates_of_contracts(entries: Iterable[Any]) -> Iterator[tuple[Path, str]]:
    """Yield the place and the name of every template that steps of contracts name."""
    for number, contract in enumerate(entries):
        for key in ("series", "acts"):
            for place, one in enumerate((contract or {}).get(key, ())):
                path: Path = ("contracts", number, key, place, "steps")
                yield from templates_in(path, (one or {}).get("steps", ()))


def contract_problems(document: Document, texts: Texts) -> Iterator[Problem]:
    """Say what is wrong with the contracts of a document, each by itself and as far as it was readable."""
    entries = document.values.get("contracts", ())
    yield from twice(
        document,
        [(("contracts", number, "id"), (each or {}).get("id")) for number, each in enumerate(entries)],
    )
    for number, each in enumerate(entries):
        if each is not None:
            yield from _Written(document, ("contracts", number), each, texts).problems()


def control_problems(documents: Collection[Document], known: Collection[str]) -> Iterator[Problem]:
    """Find negative controls of contracts that are not among the ids ``known``."""
    for document in documents:
        for number, contract in enumerate(document.values.get("contracts", ())):
            wanted = (contract or {}).get("control_of")
            if wanted is not None and wanted not in known:
                path = ("contracts", number, "control_of")
                others = [each for each in known if each != contract.get("id")]
                remedy = one_of(wanted, others, none="Name the contract that must fail.")
                yield Problem(document.at(path), path, f'there is no contract "{wanted}"', remedy)


@dataclass(frozen=True)
class _Written:
    """One contract as it is written at ``path``."""

    document: Document
    path: Path
    values: Mapping[str, Any]
    texts: Texts

    def problems(self) -> Iterator[Problem]:
        yield from self._repeats()
        yield from self._times()
        yield from self._texts()
        entries = self.values.get("judgements", ())
        for number, each in enumerate(entries):
            if each is not None:
                yield from self._judgement((*self.path, "judgements", number), each)
        if entries and all(each and each.get("proof") for each in entries):
            at = (*self.path, "judgements")
            message = "every judgement is a proof, and none is of the claim"
            yield self._problem(at, message, "Add what makes the claim true, without proof.", key=True)

    def _entries(self, key: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        for number, each in enumerate(self.values.get(key, ())):
            yield (*self.path, key, number), each or {}

    def _ids(self, key: str) -> list[str]:
        return [each["id"] for _, each in self._entries(key) if "id" in each]

    @cached_property
    def _complete(self) -> bool:
        """Whether all ids could be read: if not, one that is missed is perhaps there."""
        for path in self.document.broken:
            if path[:-1] == self.path and (path[-1] in _THINGS or path[-1] not in CONTRACT.names):
                return False
        return all("id" in each for key in _THINGS for _, each in self._entries(key))

    def _repeats(self) -> Iterator[Problem]:
        ids = [((*path, "id"), each.get("id")) for key in _THINGS for path, each in self._entries(key)]
        yield from twice(self.document, ids)
        for _, flow in self._entries("flows"):
            start = f"{flow.get('id')}-"
            for path, name in ids:
                if flow.get("to") == OTHERS and name and name.startswith(start):
                    cluster = name.removeprefix(start)
                    message = f'"{name}" is what the flow "{flow["id"]}" to a cluster "{cluster}" is called'
                    yield self._problem(path, message, "Choose another id.")
        lists = [(self.path, self.values, key) for key in ("each", "needs")]
        lists += [(path, each, "phases") for path, each in self._entries("judgements")]
        for path, values, key in lists:
            if isinstance(names := values.get(key), list):
                yield from twice(self.document, [((*path, key, n), name) for n, name in enumerate(names)])
        if self.values.get("control_of") and self.values["control_of"] == self.values.get("id"):
            message = f"{self.values['id']} is a control of itself"
            yield self._problem((*self.path, "control_of"), message, "Name the contract that must fail.")

    def _times(self) -> Iterator[Problem]:
        for key, time in (
            ("series", "every"),
            ("series", "timeout"),
            ("acts", "timeout"),
            ("judgements", "within"),
        ):
            for path, each in self._entries(key):
                if each.get(time) == 0:
                    yield self._problem((*path, time), "0s is no time at all", "Write 1s or more.")

    def _texts(self) -> Iterator[Problem]:
        yield from self._of_lab(self.path, self.values, "when", known=IN_WHEN)
        if "endures" in self.values:
            yield from self._endures((*self.path, "endures"), self.values["endures"])
        for key in ("series", "acts"):
            for path, each in self._entries(key):
                yield from self.texts.steps(
                    (*path, "steps"),
                    each.get("steps", ()),
                    known=IN_CONTRACTS,
                    in_expressions=IN_CONTRACT_EXPRESSIONS,
                )
                if "value" in each:
                    yield from self.texts.expression(
                        (*path, "value"), each["value"], known=IN_CONTRACT_EXPRESSIONS
                    )
        for path, each in self._entries("flows"):
            known = (*IN_SERVICES, "to") if each.get("to") == OTHERS else IN_SERVICES
            yield from self.texts.text((*path, "service"), each.get("service", ""), known=known)

    def _of_lab(
        self, path: Path, values: Mapping[str, Any], key: str, *, known: Sequence[str]
    ) -> Iterator[Problem]:
        """Look into an expression that is made out when the lab is known, if there is one."""
        if key not in values:
            return
        here = (*path, key)
        faults = list(self.texts.expression(here, values[key], known=known))
        yield from faults
        for root, *parts in () if faults else expression_paths(values[key]):
            has = KNOWN_OF.get(root, ())
            if has and parts[0] not in has:
                yield self._problem(here, f'{root} has no "{parts[0]}"', one_of(parts[0], has, none=""))

    def _endures(self, path: Path, expression: str) -> Iterator[Problem]:
        """Find what is not known before anything is broken: only what acts of the baseline saw is."""
        faults = list(self.texts.expression(path, expression, known=("acts",)))
        yield from faults or self._expression(path, expression)
        acts = {path[1] for path in expression_paths(expression) if path[0] == "acts" and path[1:]}
        for _, act in () if faults else self._entries("acts"):
            if act.get("id") in acts and act.get("during", PHASES[0]) != PHASES[0]:
                message = f'"{act["id"]}" is done during {act["during"]}, and this is told before'
                yield self._problem(path, message, f"Name an act of the {PHASES[0]}.")

    def _judgement(self, path: Path, values: Mapping[str, Any]) -> Iterator[Problem]:
        rule = next((each for each in RULES if each in values), None)
        if _seconds(values.get("after", "")) is None:
            yield from self._of_lab(path, values, "after", known=IN_AFTER)
        if rule is None:
            return
        if "phases" in values and rule not in _WITH_PHASES:
            message = f"phases means nothing with {rule}"
            remedy = f"Remove it: only {listed(_WITH_PHASES)} have phases."
            yield self._problem((*path, "phases"), message, remedy, key=True)
        here = (*path, rule)
        if rule == "holds":
            faults = list(self.texts.expression(here, values[rule], known=tuple(_FIGURES)))
            yield from faults or self._expression(here, values[rule])
        elif self._complete:
            yield from self._of(here, rule, values[rule])
            if "once" in values and rule == "returns":
                yield from self._once((*path, "once"), values)

    def _once(self, path: Path, values: Mapping[str, Any]) -> Iterator[Problem]:
        """Find what something waits on that is no series, or is the very thing."""
        if values["once"] == values["returns"]:
            yield self._problem(path, f"{values['once']} waits on itself", "Name another series.")
        else:
            yield from self._of(path, "returns", values["once"])

    def _of(self, path: Path, rule: str, id: str) -> Iterator[Problem]:
        """Find a judgement of what is not there, or of what it cannot be of."""
        kind = next((key for key in _THINGS if id in self._ids(key)), None)
        wanted = _OF_ALL[rule]
        if kind is None:
            known = self._ids("series") + (self._ids("flows") if "flow" in wanted else [])
            yield self._problem(
                path, f'there is no {" or ".join(wanted)} "{id}"', one_of(id, known, none="Add one.")
            )
        elif kind == "acts":
            message = f'{rule} is of a {" or a ".join(wanted)}, and "{id}" is an act'
            yield self._problem(path, message, "Judge it with holds, for instance acts.ID.ok.")
        elif kind == "flows" and "flow" not in wanted:
            yield self._problem(
                path, f'{rule} is of a {" or a ".join(wanted)}, and "{id}" is a flow', "Name a series."
            )
        elif rule == "same" and not any(
            each.get("id") == id and "value" in each for _, each in self._entries("series")
        ):
            message = f'same is of what is kept of "{id}", and that has no value'
            yield self._problem(path, message, "Give the series a value.")

    def _expression(self, path: Path, expression: str) -> Iterator[Problem]:
        """Find what is named outright and not there: ``acts.x``, ``series.x.hold.lst``, ``phases.holt``."""
        # A flow to others is one to each of them, FLOW-CLUSTER, and their names are not known here.
        flows = [(each["id"], each.get("to")) for _, each in self._entries("flows") if "id" in each]
        led = tuple(f"{name}-" for name, to in flows if to == OTHERS)
        levels: dict[str, tuple[tuple[str, Sequence[str]], ...]] = {
            "acts": (("act", self._ids("acts")),),
            "series": (("series", self._ids("series")), ("phase", PHASES)),
            "flows": (
                ("flow", [name for name, to in flows if to != OTHERS]),
                ("manner", _MANNERS),
                ("phase", PHASES),
            ),
            "phases": (("phase", PHASES),),
        }
        for root, *parts in expression_paths(expression):
            if root not in levels or len(parts) > len(levels[root]) + 1:
                continue
            noun, known = (*levels[root], ("figure", _FIGURES[root]))[len(parts) - 1]
            word = parts[-1]
            is_known = word in known or (noun == "flow" and word.startswith(led))
            # Ids are known only where all could be read.
            if not is_known and (self._complete or noun not in ("act", "series", "flow")):
                remedy = one_of(word, known, none="Add it.")
                if f"{word}-" in led:
                    remedy = "It leads to each other cluster: judge it with answers."
                yield self._problem(path, f'there is no {noun} "{word}"', remedy)

    def _problem(self, path: Path, message: str, remedy: str, *, key: bool = False) -> Problem:
        return Problem(self.document.key_at(path) if key else self.document.at(path), path, message, remedy)
