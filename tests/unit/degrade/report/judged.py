"""What came of the experiment in :mod:`tests.unit.degrade.report.made`, as a judge would tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.degrade.verdict import ClusterVerdict, Finding, Verdict, together
from tests.unit.degrade.report.made import CLAIMS

LOST = "4 of 2599 requests to app1 were lost (timed out), the longest outage 0.5 s"
CHANGED = "it changed 40 s after the fault, from 9f86d081884c to e3b0c44298fc"
UNKNOWN = "denied was not sampled for 14 s of hold: 84 % of it is covered, and 95 % must be"
AWAY = "18 of 18 samples failed"


def finding(
    says: str,
    seen: str,
    measured: Mapping[str, Any] | None = None,
    *,
    ok: bool | None = True,
    proof: bool = False,
) -> Finding:
    """A finding, so by default."""
    return Finding(says=says, ok=ok, proof=proof, seen=seen, measured=measured or {})


def on(contract: str, cluster: str, word: Any, reason: str, *findings: Finding) -> ClusterVerdict:
    """A verdict on one cluster."""
    return ClusterVerdict(contract=contract, cluster=cluster, word=word, reason=reason, findings=findings)


def verdicts() -> list[Verdict]:
    """All of them: two claims that do not hold, one of which it cannot be told, a control as it must be."""
    found = [verdict for cluster in ("app1", "app2") for verdict in _on_cluster(cluster)]
    found.append(on("C8", "app1", "skipped", "the topology has no Prometheus to compare with"))
    return [
        together(
            name,
            CLAIMS[name],
            [each for each in found if each.contract == name],
            control_of="C6" if name == "C6-ten-tries" else "",
        )
        for name in dict.fromkeys(each.contract for each in found)
    ]


def _on_cluster(cluster: str) -> list[ClusterVerdict]:
    app1 = cluster == "app1"
    other = "app2" if app1 else "app1"
    between = {f"between-{other}_new": _flow(lost=0 if app1 else 4), f"between-{other}_kept": _flow()}
    return [
        on(
            "C1",
            cluster,
            "pass" if app1 else "fail",
            "" if app1 else LOST,
            finding(
                "no request within the cluster is lost",
                "0 of 5198 lost",
                {"inside_new": _flow(), "inside_kept": _flow()},
            ),
            finding(
                "no request between application clusters is lost",
                "0 of 5198 lost" if app1 else LOST,
                between,
                ok=app1,
            ),
            finding("rollouts end", "26 of 26 ended"),
        ),
        on(
            "C2",
            cluster,
            "pass",
            "",
            finding("Thanos is away", AWAY, proof=True),
            finding("samples are taken again", "after 33.2 s", {"thanos_returned_s": 33.2}),
            finding("every sample is there", "acts.complete.value == 1", {"complete": 1}),
        ),
        on(
            "C3",
            cluster,
            "fail" if app1 else "pass",
            CHANGED if app1 else "",
            finding("Vault is away", AWAY, proof=True),
            finding(
                "the Secret is the same byte for byte",
                CHANGED if app1 else "130 samples, always 9f86d081884c",
                {"secret_samples": 130, "secret_value": "9f86d081884c"},
                ok=not app1,
            ),
            finding("External Secrets is in step again", "after 35.8 s", {"sync_returned_s": 35.8}),
            finding("a new pod can mount it", "mount was done after 3.2 s", {"mount": 3.2}),
        ),
        on(
            "C4",
            cluster,
            "inconclusive" if app1 else "pass",
            UNKNOWN if app1 else "",
            finding("Kyverno denies it, by the policy's name", "49 were denied", ok=None if app1 else True),
        ),
        *(_lines(name, cluster, missing) for name, missing in (("C6", 0), ("C6-ten-tries", 412))),
    ]


def _lines(contract: str, cluster: str, missing: int) -> ClusterVerdict:
    return on(
        contract,
        cluster,
        "fail" if missing else "pass",
        f"{missing} lines are missing" if missing else "",
        finding("Loki is away", AWAY, proof=True),
        finding("lines are taken again", "after 31.9 s", {"loki_returned_s": 31.9}),
        finding(
            "no line is missing",
            f"{missing} are",
            {"lines": {"missing": missing, "twice": 0}},
            ok=not missing,
        ),
    )


def _flow(*, lost: int = 0) -> dict[str, Any]:
    outage = 0.5 if lost else 0
    return {"requests": 2599, "lost": lost, "longest_outage_s": outage, "p50_ms": 1.31, "p99_ms": 8.42}
