"""The only door to HTTP, and the only module that imports httpx (when it is first needed: 0.1 s).

Proxies (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) and a company's certificates (SSL_CERT_FILE,
SSL_CERT_DIR) are taken from the environment, as httpx does. What may pass by itself becomes an
:class:`Unavailable`, which callers may retry; what an answer says for good becomes a :class:`Refused`.
Neither shows the user name or password that an address may hold.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from lab.errors import HostError, Interrupted, ProvisionError, TemporaryError

if TYPE_CHECKING:
    from httpx import Client, Response

log = logging.getLogger(__name__)

OnProgress = Callable[[int, int | None], None]
"""Is told the bytes that have come, and of how many (None when the server does not say)."""

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 30.0
"""How long a server may take for the next piece of an answer."""

_ATTEMPTS: Final = 3
"""How often a download that breaks off half way is begun."""

_CHUNK: Final = 1 << 18

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that ask to be tried again later (RFC 9110, RFC 6585)."""

_NETWORK_REMEDY: Final = (
    "Check the network. A proxy is taken from HTTPS_PROXY and NO_PROXY, a company's certificates from "
    "SSL_CERT_FILE."
)


class Unavailable(TemporaryError):
    """Nobody answered, the answer broke off, or it asked to try again later."""


class Refused(ProvisionError):
    """The server answered with an error; ``status`` is its code."""

    def __init__(self, brief: str, *, status: int, details: str = "", remedy: str = "") -> None:
        super().__init__(brief, details=details, remedy=remedy)
        self.status = status


class ChecksumMismatch(ProvisionError):
    """What came is not what was asked for."""


def obstacle(url: str, *, timeout: float = 3.0, accept: Collection[int] = (200,)) -> str | None:
    """What keeps ``url`` from answering with one of the ``accept`` codes, in a few words; None: nothing.

    Reads no more than the head of the answer. ``timeout`` is in seconds, for each of its steps.
    """
    try:
        with _open(url, timeout=timeout) as response:
            if response.status_code in accept:
                return None
            return f"it answered {response.status_code} {response.reason_phrase}".rstrip()
    except Unavailable as error:
        return error.details
    except HostError as error:
        return error.brief


def reachable(url: str, *, timeout: float = 3.0, accept: Collection[int] = (200,)) -> bool:
    """Whether ``url`` answers with one of the ``accept`` codes; see :func:`obstacle`."""
    return obstacle(url, timeout=timeout, accept=accept) is None


def get_json(url: str, *, timeout: float = _SILENCE_S, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON that ``url`` answers with. ``timeout`` is in seconds, for each step of the transfer.

    Raises :class:`Unavailable`, :class:`Refused`, or :class:`ProvisionError` when it is not JSON.
    """
    with _open(url, timeout=timeout, headers=headers) as response:
        _require_success(response)
        text = response.read()
        try:
            return response.json()
        except ValueError as error:
            raise ProvisionError(
                f"{_shown(url)} did not answer with JSON",
                details=text[:200].decode(errors="replace"),
                remedy="Something between here and there may answer in its place: a proxy, a login page.",
            ) from error


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    on_progress: OnProgress | None = None,
    timeout: float = 1800.0,
    cancelled: Event | None = None,
) -> None:
    """Put what ``url`` answers with at ``target``, whole and with the hash ``sha256``, or not at all.

    ``timeout`` is in seconds, for all of it; one that breaks off half way is begun again, three times
    in all. Whoever may download the same file twice at once holds a
    lock (``lab.clients.lock``). Raises :class:`Unavailable`, :class:`Refused`,
    :class:`ChecksumMismatch`, :class:`ProvisionError` when it cannot be written, or
    :class:`Interrupted` once ``cancelled`` is set.
    """
    partial = target.with_name(f"{target.name}.partial")
    deadline = time.monotonic() + timeout
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                found = _stream(url, partial, on_progress=on_progress, deadline=deadline, cancelled=cancelled)
                break
            except Unavailable:
                half_way = partial.exists() and partial.stat().st_size > 0
                if attempt == _ATTEMPTS or not half_way or time.monotonic() > deadline:
                    raise
                log.info("%s broke off, attempt %s of %s", _shown(url), attempt, _ATTEMPTS)
        if found != sha256:
            raise ChecksumMismatch(
                f"what {_shown(url)} sent is not the file that was asked for",
                details=f"sha256 expected {sha256}\n       received {found}",
                remedy="A proxy or a login page may have answered in its place: look at it with curl -sSL.",
            )
        partial.replace(target)
    except OSError as error:
        raise ProvisionError(
            f"{target} cannot be written",
            details=str(error),
            remedy="See that the folder is yours and its disk not full.",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _stream(
    url: str, partial: Path, *, on_progress: OnProgress | None, deadline: float, cancelled: Event | None
) -> str:
    """Write the answer to ``partial``; its SHA-256, in hexadecimal."""
    digest, received = hashlib.sha256(), 0
    with _open(url, timeout=_SILENCE_S) as response, partial.open("wb") as file:
        _require_success(response)
        length = response.headers.get("content-length", "")
        total = int(length) if length.isdigit() else None
        for chunk in response.iter_bytes(_CHUNK):
            if cancelled is not None and cancelled.is_set():
                raise Interrupted(f"interrupted while downloading {_shown(url)}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{_shown(url)} did not come in time",
                    details=f"{received} bytes came",
                    remedy=_NETWORK_REMEDY,
                )
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if on_progress is not None:
                on_progress(received, total)
    return digest.hexdigest()


@contextmanager
def _open(url: str, *, timeout: float, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
    """The answer to GET ``url``, its body not read yet; redirects are followed.

    What httpx raises, here or while the body is read, leaves as :class:`Unavailable`.
    """
    import httpx

    log.debug("GET %s", _shown(url))
    try:
        with _client(timeout) as client, client.stream("GET", url, headers=dict(headers or {})) as response:
            yield response
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"{_shown(url)} does not answer", details=why, remedy=_NETWORK_REMEDY) from error


def _client(timeout: float) -> Client:
    import httpx

    try:
        return httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_S)), follow_redirects=True
        )
    except (ImportError, ValueError, OSError) as error:
        # A SOCKS proxy, an address that is none, a certificate file that is not there.
        raise HostError(
            "the proxy or certificate settings of the environment cannot be used",
            details=str(error),
            remedy="Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error


def _require_success(response: Response) -> None:
    if response.is_success:
        return
    shown = _shown(str(response.url))
    said = f"{response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _PASSING:
        raise Unavailable(f"{shown} is not available now", details=said, remedy="Try again later.")
    raise Refused(
        f"{shown} answered {said}",
        status=response.status_code,
        details=response.read()[:200].decode(errors="replace").strip(),
        remedy="Look at it with curl -sSL: a proxy, a login page or a filter may answer in its place.",
    )


def _shown(url: str) -> str:
    """``url`` without a user name, a password, or a query that may hold a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
