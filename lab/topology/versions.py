"""Which Kubernetes versions a lab can run, and why those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CILIUM: Final = "1.19"


@dataclass(frozen=True)
class Minor:
    """A minor version of Kubernetes.

    ``newest`` is the patch that kind's node image has. ``tested`` tells whether Cilium runs its
    end-to-end tests on it; if not, it rests on Kubernetes' own compatibility, as Cilium words it.
    """

    name: str
    newest: str
    tested: bool


# newest: the node images that kind v0.33.0 publishes (its release notes).
# tested: cilium/cilium v1.19.3 Documentation/network/kubernetes/compatibility.rst, "1.32, 1.33, 1.34, 1.35";
# newer ones "depend on the forward / backward compatibility offered by Kubernetes". 1.34 and older are left
# out: kubelets before 1.35 differ in how they take cgroup v1 hosts, and one way is enough to keep working.
MINORS: Final = {
    minor.name: minor
    for minor in (
        Minor("1.35", newest="1.35.8", tested=True),
        Minor("1.36", newest="1.36.4", tested=False),
        Minor("1.37", newest="1.37.0", tested=False),
    )
}


# As above, "tested": what Cilium's own tests run on, for clusters whose kubelets are not ours to configure.
OLDEST_THERE: Final = (1, 32)


def minor_of(version: str) -> str:
    """Return the minor version of ``1.35`` or ``1.35.8``: ``1.35``."""
    return ".".join(version.split(".")[:2])


def is_supported(version: str) -> bool:
    """Tell whether a lab can run ``version``, a minor (``1.35``) or an exact (``1.35.8``) version.

    Any patch of a known minor will do: a node image for it may be the user's own.
    """
    return minor_of(version) in MINORS


def may_be_there(version: str) -> bool:
    """Tell whether a cluster that others made may have ``version``, as ``1.34.2``."""
    newest = max(tuple(map(int, name.split("."))) for name in MINORS)
    return OLDEST_THERE <= tuple(map(int, minor_of(version).split("."))) <= newest
