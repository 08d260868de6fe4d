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
    ) -> None:
        """Install or upgrade ``release``, without waiting for its pods.

        ``labels`` are put on the release's record in the cluster. ``timeout`` is in seconds.
        Raises :class:`lab.clients.process.CommandError`.
        """
        self._run(
            "upgrade",
            release,
            chart,
            "--install",
            f"--namespace={namespace}",
            "--values=-",
            "--history-max=3",
            # The API server checks what it is given; for this it would make its whole schema first.
            "--disable-openapi-validation",
            f"--labels={','.join(f'{name}={value}' for name, value in labels.items())}",
            timeout=timeout,
            cancelled=cancelled,
            input=json.dumps(values),
        )

    def _run(self, *words: str | Path, timeout: float, cancelled: Event | None, input: str) -> str:
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
