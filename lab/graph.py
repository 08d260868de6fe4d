"""Orders things that need one another. Knows names only, so that steps, addons and clusters can all use it.

A graph is a mapping from each name to the names that it needs, as in ``{"mesh": ["app1", "app2"], "app1": [],
"app2": []}``. The order of the mapping is the order in which its author wrote things down, and is kept
wherever the needs leave a choice.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Collection, Iterable, Mapping

from lab.errors import InputError

Graph = Mapping[str, Collection[str]]
"""Every name, and what it needs."""


class GraphError(InputError):
    """Needs that cannot be met: something unknown, or a cycle."""


class CycleError(GraphError):
    """Things that need one another in a circle; ``names`` begins and ends with the same one."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"what is needed goes round in a circle: {' -> '.join(names)}",
            details="Each of these needs the next.",
            remedy="Remove one of these needs.",
        )
        self.names = names


def order(graph: Graph) -> tuple[str, ...]:
    """All names, each after everything that it needs.

    Among the orders that do so this is one particular: at each place stands the name, earliest in
    ``graph``, of those whose needs all stand before that place. It follows that

    - the order is a function of the mapping and its order alone; the order of needs plays no part;
    - a mapping that is already in a possible order comes back unchanged;
    - of two names with the same needs, the one written first comes first.

    A name that is needed twice is needed once. Raises :class:`GraphError` for needs that are not in
    ``graph`` (all of them at once) and :class:`CycleError`, which spells it out, for a cycle. Takes
    O((n + m) log n) for n names and m needs; plans of 255 clusters have thousands of each.
    """
    _check_known(graph)
    place = {name: number for number, name in enumerate(graph)}
    names = tuple(graph)
    missing = {name: len(set(needs)) for name, needs in graph.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in graph}
    for name, needs in graph.items():
        for need in set(needs):
            needed_by[need].append(name)

    ready = [place[name] for name, count in missing.items() if count == 0]
    ordered: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        for dependant in needed_by[name]:
            missing[dependant] -= 1
            if missing[dependant] == 0:
                heapq.heappush(ready, place[dependant])
    if len(ordered) < len(names):
        raise CycleError(tuple(_cycle({name: graph[name] for name in names if missing[name]})))
    return tuple(ordered)


def reverse_order(graph: Graph) -> tuple[str, ...]:
    """:func:`order` backwards: each name before everything that it needs, the way to take things down."""
    return order(graph)[::-1]


def closure(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    """``names`` and all that they need, directly or not.

    Raises :class:`GraphError` for a name or a need that is not in ``graph``. Cycles do no harm here.
    """
    found: set[str] = set()
    waiting = list(names)
    unknown = [name for name in waiting if name not in graph]
    if unknown:
        raise GraphError("\n".join(f"there is no {name!r}{nearest(name, graph)}" for name in unknown))
    _check_known(graph)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph[name])
    return frozenset(found)


def nearest(name: str, known: Iterable[str]) -> str:
    """``", did you mean 'x'?"`` for the known name most like ``name``; empty when none is like it."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _check_known(graph: Graph) -> None:
    problems = [
        f"{name} needs {need!r}, which is not there{nearest(need, graph)}"
        for name, needs in graph.items()
        for need in needs
        if need not in graph
    ]
    if problems:
        raise GraphError("\n".join(problems))


def _cycle(graph: Graph) -> list[str]:
    """A cycle, from its earliest name round to that name again.

    Everything in ``graph`` has a need that is again in ``graph``, so any walk along needs comes back
    to where it has been.
    """
    place = {name: number for number, name in enumerate(graph)}
    path: list[str] = []
    name = next(iter(graph))
    while name not in path:
        path.append(name)
        name = min((need for need in graph[name] if need in graph), key=place.__getitem__)
    ring = path[path.index(name) :]
    first = ring.index(min(ring, key=place.__getitem__))
    ring = ring[first:] + ring[:first]
    return [*ring, ring[0]]
