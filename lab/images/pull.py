"""One image out of its registry, or out of that registry's mirror, by digest and through the engine.

The engine pulls: with its own logins (``docker login``), its own proxies and its own trust; nothing
of these passes through here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from threading import Event
from typing import Final

from lab.clients import docker, process
from lab.errors import Interrupted
from lab.images.base import Say
from lab.images.location import Location
from lab.images.trouble import PullStopped, Trouble, failure, told

ATTEMPTS: Final = 3
"""How often a pull is begun before a registry that stops half way is given up. The engine tries every
layer five times itself before, each time from where it stopped."""

_PAUSE_S: Final = 5.0
"""Between two attempts; twice as long before the third."""

_LAYER: Final = re.compile(r"(?P<layer>[0-9a-f]{12}): (?P<state>.+)")
_LAYER_DONE: Final = frozenset({"Already exists", "Download complete", "Pull complete"})


def pull(
    location: Location,
    digest: str,
    *,
    architecture: str,
    timeout: float,
    say: Say,
    cancelled: Event | None = None,
) -> docker.Image:
    """The image with that ``digest`` in the engine's store, pulled from ``location`` if it was not there.

    ``architecture`` is Go's name of what it must be for. ``timeout`` is in seconds, for all attempts
    together. Raises :class:`lab.images.trouble.PullFailed`, :class:`lab.clients.docker.EngineUnreachable`,
    or :class:`Interrupted` once ``cancelled`` is set.
    """
    reference = f"{location.name}@{digest}"
    deadline = time.monotonic() + timeout
    image = docker.image(reference) or _pull(
        location, reference, deadline=deadline, say=say, cancelled=cancelled
    )
    digests = sorted({pinned.partition("@")[2] for pinned in image.digests})
    if digest not in digests:
        details = f"expected {digest}\nfound    {', '.join(digests) or 'none'}"
        raise told(Trouble.MISMATCH, location, reference=reference, details=details)
    if image.architecture != architecture:
        details = f"it is for {image.architecture or 'an unknown one'}, this machine is {architecture}"
        raise told(Trouble.ARCHITECTURE, location, reference=reference, details=details)
    return image


def _pull(
    location: Location, reference: str, *, deadline: float, say: Say, cancelled: Event | None
) -> docker.Image:
    attempt = 1
    while True:
        progress = _Progress(say)
        left = max(deadline - time.monotonic(), 1.0)
        try:
            return docker.pull(reference, on_progress=progress.line, timeout=left, cancelled=cancelled)
        except process.CommandError as error:
            failed = failure(location, error, reference=reference, begun=progress.begun)
            pause = _PAUSE_S * attempt
            out_of_time = time.monotonic() + pause > deadline
            if not isinstance(failed, PullStopped) or attempt == ATTEMPTS or out_of_time:
                raise failed from error
        attempt += 1
        say(f"{failed.brief}; trying again ({attempt} of {ATTEMPTS})")
        _rest(pause, cancelled)


class _Progress:
    """Counts the layers in what ``docker pull`` prints."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._done: dict[str, bool] = {}
        self._said = ""

    @property
    def begun(self) -> bool:
        return bool(self._done)

    def line(self, text: str) -> None:
        if (match := _LAYER.fullmatch(text.strip())) is None:
            return
        # "Download complete" counts, as long as nothing later takes it back: unpacking is quick.
        self._done[match["layer"]] = self._done.get(match["layer"], False) or match["state"] in _LAYER_DONE
        if (words := f"pulled {sum(self._done.values())} of {len(self._done)} layers") != self._said:
            self._said = words
            self._say(words)


def _rest(seconds: float, cancelled: Event | None) -> None:
    if cancelled is None:
        time.sleep(seconds)
    elif cancelled.wait(seconds):
        raise Interrupted("interrupted between two attempts to pull an image")
