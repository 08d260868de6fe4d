"""What comes across the border of one cluster: asked by a pod on either side of it, of one on the other.

Asked is whoever answers for an experiment (``prober.yaml.j2``); the probe of ``verify``, which every cluster
has, asks. So it is seen what a policy does to packets, whatever an API says of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lab.clients.kube import Kube
from lab.degrade.probers import NAMESPACE
from lab.degrade.scope import DOMAIN
from lab.errors import LabError
from lab.mesh import check

_ANSWER_S: Final = 2.0
"""What an answer is waited for; where nothing is in the way it takes milliseconds."""


def shut(kubes: Mapping[str, Kube], cluster: str) -> str | None:
    """What does not come across the border of ``cluster``; None where everything does."""
    return _first(kubes, cluster, answered=False, told="{} does not reach {}")


def still_open(kubes: Mapping[str, Kube], cluster: str) -> str | None:
    """What comes across the border of ``cluster`` even so; None where nothing does."""
    return _first(kubes, cluster, answered=True, told="{} still reaches {}")


def _first(kubes: Mapping[str, Kube], cluster: str, *, answered: bool, told: str) -> str | None:
    """The first pair of which it is so; or who could not be asked, of whom nothing is known."""
    others = [name for name in kubes if name != cluster]
    pairs = [*((cluster, other) for other in others), *((other, cluster) for other in others)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        try:
            found = list(pool.map(lambda pair: _reaches(kubes[pair[0]], pair[1]), pairs))
        except (LabError, ValueError) as error:
            return f"not every pod could be asked: {error}"
    return next(
        (told.format(*pair) for pair, reaches in zip(pairs, found, strict=True) if reaches is answered), None
    )


def _reaches(kube: Kube, cluster: str) -> bool:
    """Whether the probe of the cluster with the API ``kube`` gets an answer from ``cluster``."""
    [outcome] = json.loads(
        kube.request(
            "GET",
            f"/api/v1/namespaces/{check.NAMESPACE}/services/probe:8080/proxy/ask",
            query={
                "url": f"http://echo-{cluster}.{NAMESPACE}.svc.{DOMAIN}:8080/",
                "timeout": f"{_ANSWER_S:g}",
            },
            timeout=_ANSWER_S + 10,
        )
    )
    answer = outcome.get("answer")
    return isinstance(answer, Mapping) and answer.get("cluster") == cluster
