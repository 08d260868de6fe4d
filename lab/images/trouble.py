"""Why an image could not be pulled: what engines and registries say, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from lab.clients import process
from lab.errors import ProvisionError, TemporaryError
from lab.images.location import Location


class Trouble(StrEnum):
    """Why an image could not be pulled."""

    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    REFUSED = "refused"
    MISSING = "missing"
    MISMATCH = "mismatch"
    ARCHITECTURE = "architecture"
    STOPPED = "stopped"
    SLOW = "slow"
    RATE_LIMIT = "rate limit"
    DISK_FULL = "disk full"
    OTHER = "other"


class PullFailed(ProvisionError):
    """An image could not be had from its registry; ``trouble`` says in which way."""

    def __init__(self, trouble: Trouble, brief: str, *, details: str = "", remedy: str = "") -> None:
        super().__init__(brief, details=details, remedy=remedy)
        self.trouble = trouble


class PullStopped(PullFailed, TemporaryError):
    """The registry stopped half way; it is tried again."""


def failure(
    location: Location, error: process.CommandError, *, reference: str, begun: bool = False
) -> PullFailed:
    """What the engine's ``error`` means. ``begun``: the registry had answered, layers were coming."""
    return told(_meant(error, begun=begun), location, reference=reference, details=error.details)


def told(trouble: Trouble, location: Location, *, reference: str, details: str) -> PullFailed:
    """The error for ``trouble`` with the image ``reference`` from ``location``."""
    brief, remedy = (_OF_A_MIRROR if location.mirror else {}).get(trouble) or _WORDS[trouble]
    words = {
        "host": location.shown,
        "login": location.host,
        "registry": location.registry,
        "repository": location.repository,
        "reference": reference,
        "mirror": f"LAB_MIRRORS={location.registry}=HOST[:PORT]",
    }
    kind = PullStopped if trouble is Trouble.STOPPED else PullFailed
    return kind(trouble, brief.format(**words), details=details, remedy=remedy.format(**words))


def _meant(error: process.CommandError, *, begun: bool) -> Trouble:
    if error.exit_code_of_command is None:
        return Trouble.SLOW
    # The first line of the output is the command, whose words prove nothing.
    said = error.output.partition("\n")[2].lower()
    for trouble, signs in _SIGNS:
        if any(sign in said for sign in signs):
            return Trouble.STOPPED if trouble is Trouble.UNREACHABLE and begun else trouble
    return Trouble.OTHER


_SIGNS: Final[tuple[tuple[Trouble, tuple[str, ...]], ...]] = (
    (Trouble.RATE_LIMIT, ("toomanyrequests", "too many requests", "rate limit")),
    (Trouble.DISK_FULL, ("no space left on device", "disk quota exceeded")),
    (
        Trouble.MISMATCH,
        (
            "verification failed for digest",
            "layer verification failed",
            "config verification failed",
            "unexpected commit digest",
        ),
    ),
    (Trouble.ARCHITECTURE, ("no matching manifest", "no match for platform")),
    (Trouble.UNTRUSTED, ("x509:", "tls: failed to verify", "gave http response to https client")),
    (
        Trouble.MISSING,
        ("manifest unknown", "manifest_unknown", "name unknown", "name_unknown", "not found"),
    ),
    (
        Trouble.REFUSED,
        ("unauthorized", "denied", "forbidden", "no basic auth credentials", "authentication required"),
    ),
    (
        Trouble.STOPPED,
        (
            "unexpected eof",
            ": eof",
            "connection reset by peer",
            "broken pipe",
            "tls handshake timeout",
            "http2: ",
            "http status: 5",
            "500 internal server error",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway time",
        ),
    ),
    (
        Trouble.UNREACHABLE,
        (
            "connection refused",
            "no such host",
            "no route to host",
            "network is unreachable",
            "server misbehaving",
            "name resolution",
            "i/o timeout",
            "deadline exceeded",
            "request canceled",
            "proxyconnect",
        ),
    ),
)
"""What Docker (20.10 to 29, with either image store) says, in lower case; the most certain first."""

_WORDS: Final = {
    Trouble.UNREACHABLE: (
        "{host} cannot be reached",
        (
            "Check the network, and the engine's own proxy settings (docker info shows them). If your "
            "company has a mirror, name it: {mirror}. Else make the images on this machine: --images "
            "source."
        ),
    ),
    Trouble.UNTRUSTED: (
        "the container engine does not trust {host}",
        (
            "Give the engine the certificate of whoever signed for it "
            "(/etc/docker/certs.d/{login}/ca.crt); a registry without TLS must stand under insecure-"
            "registries in the engine's configuration."
        ),
    ),
    Trouble.REFUSED: (
        "{host} refuses {repository}",
        (
            "Log in with the container engine: docker login {login}. Its logins are used, none are kept "
            "here. Some registries refuse in the same words what they do not have."
        ),
    ),
    Trouble.MISSING: (
        "{host} does not have {reference}",
        (
            "It may have been removed there. Name a mirror that still has it ({mirror}), or make the "
            "images on this machine: --images source."
        ),
    ),
    Trouble.MISMATCH: (
        "{host} sent something else than {reference}",
        (
            "Nothing of it is used. Whatever stands between here and the registry may change what passes:"
            " try another network, or a mirror ({mirror})."
        ),
    ),
    Trouble.ARCHITECTURE: (
        "{reference} is not for this machine's architecture",
        "It is not published for it. Make the images on this machine: --images source.",
    ),
    Trouble.STOPPED: (
        "{host} stopped half way",
        "Run this again; or use a mirror nearby ({mirror}), or a bundle (--images FILE).",
    ),
    Trouble.SLOW: (
        "{reference} did not come in time",
        "Use a faster network, a mirror nearby ({mirror}), or a bundle (--images FILE).",
    ),
    Trouble.RATE_LIMIT: (
        "{host} allows no more pulls for now",
        (
            "Wait an hour, log in with docker login, or use a mirror: {mirror}. A classroom behind one "
            "address needs a mirror or a bundle (--images FILE)."
        ),
    ),
    Trouble.DISK_FULL: (
        "the disk is full: {reference} does not fit",
        (
            "Free some space where the container engine keeps its images (docker info: Docker Root Dir; "
            "docker system df says what takes it) and in LAB_CACHE."
        ),
    ),
    Trouble.OTHER: ("{reference} could not be pulled", "Try it by hand: docker pull {reference}"),
}
"""Brief and remedy."""

_OF_A_MIRROR: Final = {
    Trouble.UNREACHABLE: (
        "{host} cannot be reached",
        "Start the mirror, or take it out of LAB_MIRRORS. Without it: --images source makes the images here.",
    ),
    Trouble.MISSING: (
        "{host} does not have {reference}",
        (
            "The mirror must pass on what {registry} has (a pull-through cache), or be given this image "
            "with its digest unchanged (crane copy, skopeo copy --all)."
        ),
    ),
    Trouble.MISMATCH: (
        "{host} sent something else than {reference}",
        "Nothing of it is used. Find out what that mirror holds, or take it out of LAB_MIRRORS.",
    ),
    Trouble.ARCHITECTURE: (
        "{reference} is not for this machine's architecture",
        "The mirror may hold a single platform: it needs the multi-platform index as it was published.",
    ),
}
"""The same where a mirror is in between."""
