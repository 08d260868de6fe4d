"""The proof that the mesh carries traffic: asked from inside every cluster, of every other one.

For every ordered pair: pod to pod, a global service that is seen to answer from the other cluster,
a policy that is seen to block what is otherwise there, and the tunnel's packets between their nodes.
Every question carries a nonce that the answer must repeat, with the name of the cluster that answers.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import permutations
from threading import Event
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from lab.clients.kube import Kube
from lab.clients.wait import wait_until
from lab.errors import TemporaryError
from lab.mesh import tunnel
from lab.providers.base import ClusterState, Provider
from lab.result import CheckResult
from lab.topology.model import Topology

NAMESPACE = "lab-check"
IMAGE = "lab.local/python:3"

_OPEN, _SHUT = 8080, 8081
_BURST = 6
"""Requests to the global service at a time: with three clusters, each missing one with probability 0.09."""

_BLOCK_S = 1.5
"""How long a blocked connection is given; an open one answers in milliseconds."""


def manifests(topology: Topology, cluster: str) -> list[dict[str, Any]]:
    """What the checks need in ``cluster``."""
    program = resources.files("lab.mesh").joinpath("probe.py").read_text(encoding="utf-8")
    return rendered(
        "lab.mesh",
        "check.yaml.j2",
        lab=topology.name,
        cluster=cluster,
        clusters=[each.name for each in topology.clusters],
        image=IMAGE,
        program=program,
        digest=hashlib.sha256(program.encode()).hexdigest()[:12],
    )


def rendered(package: str, name: str, **words: object) -> list[dict[str, Any]]:
    """Return the objects of the template ``name`` that lies in a package of ours, given ``words``."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(text)
    return [each for each in yaml.safe_load_all(template.render(words)) if each]


def prepare(topology: Topology, cluster: str, kube: Kube) -> None:
    """Apply what the checks need; does nothing where it stands already."""
    kube.apply(manifests(topology, cluster))


@dataclass(frozen=True)
class _Probe:
    """The probe of a cluster, spoken to through the cluster's API server."""

    cluster: str
    kube: Kube
    pod: str
    address: str

    def ask(self, url: str, *, times: int = 1, timeout: float = 3) -> list[Mapping[str, Any]]:
        """The outcomes of asking ``url`` from this probe."""
        query = {"url": url, "times": str(times), "timeout": str(timeout)}
        answers: list[Mapping[str, Any]] = json.loads(
            self.kube.ask_pod(NAMESPACE, self.pod, port=_OPEN, path="/ask", query=query, timeout=timeout + 10)
        )
        return answers


def _answer(outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a probe answered; nothing where something else did."""
    answer = outcome.get("answer")
    return answer if isinstance(answer, Mapping) else {}


class _Clock:
    """Runs the checks of one ordered pair until they hold or time is up."""

    def __init__(self, *, timeout: float, cancelled: Event) -> None:
        self._started = time.monotonic()
        self._timeout = timeout
        self._cancelled = cancelled

    def until(self, check_id: str, attempt: Callable[[], tuple[bool, str]]) -> CheckResult:
        """The result of ``attempt`` (held, evidence), repeated until it holds."""
        while True:
            try:
                ok, evidence = attempt()
            except TemporaryError as error:
                ok, evidence = False, str(error)
            seconds = time.monotonic() - self._started
            if ok or seconds > self._timeout or self._cancelled.wait(0.3):
                return CheckResult(check_id, ok, round(seconds, 2), evidence)


def run(
    topology: Topology,
    kubes: Mapping[str, Kube],
    *,
    providers: Mapping[str, Provider],
    states: Mapping[str, ClusterState],
    timeout: float,
    on_result: Callable[[CheckResult], None] = lambda _: None,
    cancelled: Event | None = None,
) -> list[CheckResult]:
    """Every check for every ordered pair of clusters, in the order of their ids.

    ``providers`` are those of the clusters on whose nodes packets can be counted. ``timeout`` is in seconds,
    for all of it from the moment that the probes are ready. Raises :class:`lab.clients.wait.TimedOut` when a
    probe does not become ready at all.
    """
    cancelled = cancelled or Event()
    probes = _probes(kubes, timeout=timeout, cancelled=cancelled)
    results: list[CheckResult] = []

    def tell(result: CheckResult) -> None:
        results.append(result)
        on_result(result)

    with tunnel.counted(providers, states, tunnel=topology.mesh.tunnel) as counters:
        clock = _Clock(timeout=timeout, cancelled=cancelled)
        with ThreadPoolExecutor(max_workers=8) as pool:
            pairs = list(permutations(probes.values(), 2))
            jobs = [
                *(partial(_pair, clock, source, target) for source, target in pairs),
                *(partial(_services, clock, source, probes) for source in probes.values()),
            ]
            # A generator does its work where it is read: the list is made in the pool.
            for found in pool.map(lambda job: list(job()), jobs):
                for result in found:
                    tell(result)
        for result in _tunnels(
            clock,
            counters,
            [(a.cluster, b.cluster) for a, b in pairs if b.cluster in providers],
            kind=topology.mesh.tunnel,
        ):
            tell(result)
    return sorted(results, key=lambda result: result.id)


def _probes(kubes: Mapping[str, Kube], *, timeout: float, cancelled: Event) -> dict[str, _Probe]:
    found: dict[str, _Probe] = {}

    def look() -> str | None:
        for cluster, kube in kubes.items():
            if cluster not in found:
                for pod in kube.pods(NAMESPACE, labels="app=probe"):
                    conditions = {
                        each["type"]: each["status"] for each in pod["status"].get("conditions", ())
                    }
                    if conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp"):
                        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
                        found[cluster] = _Probe(cluster, kube, name, address)
        missing = [cluster for cluster in kubes if cluster not in found]
        return f"no ready probe in {', '.join(missing)}" if missing else None

    wait_until("a ready probe in every cluster", look, timeout=timeout, cancelled=cancelled)
    return {cluster: found[cluster] for cluster in kubes}


def _pair(clock: _Clock, source: _Probe, target: _Probe) -> Iterable[CheckResult]:
    """Pod to pod, and the policy, from ``source`` to ``target``."""
    names = f"{source.cluster}/{target.cluster}"

    def pod_to_pod() -> tuple[bool, str]:
        nonce = secrets.token_hex(8)
        [outcome] = source.ask(f"http://{target.address}:{_OPEN}/whoami?nonce={nonce}")
        ok = outcome.get("answer") == {"cluster": target.cluster, "pod": target.pod, "nonce": nonce}
        return ok, _told(outcome, f"{target.address}:{_OPEN}")

    def policy() -> tuple[bool, str]:
        nonce = secrets.token_hex(8)
        [inside] = target.ask(f"http://127.0.0.1:{_SHUT}/whoami?nonce={nonce}")
        if _answer(inside).get("nonce") != nonce:
            return False, f"nothing to block: {_told(inside, f'127.0.0.1:{_SHUT} in {target.cluster}')}"
        [outside] = source.ask(f"http://{target.address}:{_SHUT}/whoami?nonce={nonce}", timeout=_BLOCK_S)
        if "answer" in outside:
            return False, f"not blocked: {_told(outside, f'{target.address}:{_SHUT}')}"
        return (
            True,
            f"{target.address}:{_SHUT} answers inside its pod; from {source.cluster}: {outside['error']}",
        )

    yield clock.until(f"mesh/pod/{names}", pod_to_pod)
    yield clock.until(f"mesh/policy/{names}", policy)


def _services(clock: _Clock, source: _Probe, probes: Mapping[str, _Probe]) -> Iterable[CheckResult]:
    """The global service from ``source``, until it was seen to answer from every other cluster."""
    answered: dict[str, int] = dict.fromkeys(probes, 0)
    failed: list[str] = []
    asked = 0

    def seen(cluster: str) -> Callable[[], tuple[bool, str]]:
        def look() -> tuple[bool, str]:
            nonlocal asked
            if not answered[cluster]:
                nonce = secrets.token_hex(8)
                url = f"http://probe.{NAMESPACE}.svc.cluster.local:{_OPEN}/whoami?nonce={nonce}"
                for outcome in source.ask(url, times=_BURST):
                    asked += 1
                    answer = _answer(outcome)
                    if answer.get("nonce") == nonce:
                        answered[answer["cluster"]] = answered.get(answer["cluster"], 0) + 1
                    else:
                        failed.append(_told(outcome, "the service"))
            counts = ", ".join(f"{name} {count}" for name, count in answered.items())
            told = f"{asked} asked; answered by {counts}" + (
                f"; last failure: {failed[-1]}" if failed else ""
            )
            return answered[cluster] > 0, told

        return look

    for target in probes:
        if target != source.cluster:
            yield clock.until(f"mesh/service/{source.cluster}/{target}", seen(target))


def _tunnels(
    clock: _Clock, counters: tunnel.Counters, pairs: Iterable[tuple[str, str]], *, kind: str
) -> Iterable[CheckResult]:
    packets: dict[tuple[str, str], int] = {}

    def seen(source: str, target: str) -> tuple[bool, str]:
        if not packets.get((source, target)):
            packets.update(counters.packets())
        count = packets.get((source, target), 0)
        return count > 0, f"{count} packets from nodes of {source} to UDP {tunnel.PORTS[kind]} of {target}'s"

    for source, target in pairs:
        yield clock.until(f"mesh/tunnel/{source}/{target}", partial(seen, source, target))


def _told(outcome: Mapping[str, Any], what: str) -> str:
    if "answer" in outcome:
        return f"{what} answered {json.dumps(outcome['answer'])} in {outcome['seconds'] * 1000:.0f} ms"
    return f"{what}: {outcome.get('error')} after {outcome['seconds']:.1f} s"
