"""The only door to Helm. Values go through stdin, since they hold the mesh's private keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from lab.clients import process


@dataclass(frozen=True)
class Helm:
    """Helm, speaking to one cluster; ``home`` is a folder for its own files."""

    binary: Path
    kubeconfig: Path
    home: Path

    def upgrade(
        self,
        release: str,
        chart: Path | str,
        *,
        namespace: str,
        values: Mapping[str, Any],
        labels: Mapping[str, str],
        timeout: float,
        cancelled: Event | None = None,
        reuse: bool = False,
    ) -> None:
        """Install or upgrade ``release``, without waiting for its pods.

        ``labels`` are put on the release's record in the cluster. ``timeout`` is in seconds. With ``reuse`` a
        release that is there keeps the values that it has, and all of its history.
        Raises :class:`lab.clients.process.CommandError`.
        """
        self._run(
            "upgrade",
            release,
            chart,
            "--install",
            f"--namespace={namespace}",
            "--values=-",
            *(("--reuse-values", "--history-max=0") if reuse else ("--history-max=3",)),
            # The API server checks what it is given; for this it would make its whole schema first.
            "--disable-openapi-validation",
            f"--labels={','.join(f'{name}={value}' for name, value in labels.items())}",
            timeout=timeout,
            cancelled=cancelled,
            input=json.dumps(values),
        )

    def uninstall(self, release: str, *, namespace: str, timeout: float) -> None:
        """Remove ``release``, its history too, and wait until what it made is gone, ``timeout`` seconds."""
        self._run(
            "uninstall",
            release,
            f"--namespace={namespace}",
            "--ignore-not-found",
            "--wait",
            f"--timeout={timeout:.0f}s",
            timeout=timeout + 30,
        )

    def rollback(self, release: str, revision: int, *, namespace: str, timeout: float) -> None:
        """Make ``release`` what it was at ``revision``, keeping its whole history; ``timeout`` in seconds."""
        self._run(
            "rollback", release, str(revision), f"--namespace={namespace}", "--history-max=0", timeout=timeout
        )

    def _run(
        self, *words: str | Path, timeout: float, cancelled: Event | None = None, input: str | None = None
    ) -> str:
        # Folders of our own: the user's repositories, plugins and registry logins stay out of it.
        env = {
            "KUBECONFIG": str(self.kubeconfig),
            "HELM_CACHE_HOME": str(self.home / "cache"),
            "HELM_CONFIG_HOME": str(self.home / "config"),
            "HELM_DATA_HOME": str(self.home / "data"),
        }
        return process.run(
            [self.binary, *words], env=env, timeout=timeout, cancelled=cancelled, input=input
        ).stdout
