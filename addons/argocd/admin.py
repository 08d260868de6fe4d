"""Gives Argo CD's admin the lab's password, once: whoever changed it since keeps their own.

``admin.py PASSWORD MADE``. Argo CD knows a password by its bcrypt hash only, and has the command that makes
one. An init container has run it on the file PASSWORD; MADE is what it printed. This writes the hash where
Argo CD looks.
"""

import base64
import hashlib
import http.client
import json
import os
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ANNOTATION = "lab/admin"
TIMEOUT_S = 15.0


def ask(method: str, change: object = None) -> dict[str, Any]:
    """Read the Secret that Argo CD keeps its accounts in, or merge ``change`` into it."""
    namespace = (ACCOUNT / "namespace").read_text(encoding="utf-8")
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    # Python 3.13 and later want more of an authority's certificate than Kubernetes' own may have.
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection(
        os.environ["KUBERNETES_SERVICE_HOST"],
        int(os.environ["KUBERNETES_SERVICE_PORT"]),
        timeout=TIMEOUT_S,
        context=trusted,
    )
    connection.request(
        method,
        f"/api/v1/namespaces/{namespace}/secrets/argocd-secret",
        json.dumps(change) if change else None,
        {
            "Authorization": "Bearer " + (ACCOUNT / "token").read_text(encoding="utf-8"),
            "Content-Type": "application/merge-patch+json",
        },
    )
    response = connection.getresponse()
    if response.status != http.HTTPStatus.OK:
        sys.exit(f"{method}: {response.status} {response.reason}")
    answer: dict[str, Any] = json.load(response)
    connection.close()
    return answer


def encoded(text: str) -> str:
    """As the data of a Secret are written."""
    return base64.b64encode(text.encode()).decode()


if __name__ == "__main__":
    password, made = (Path(each).read_text(encoding="utf-8").strip() for each in sys.argv[1:])
    # Says which password was given, and not what it is: nobody guesses 192 bits.
    given = hashlib.sha256(password.encode()).hexdigest()
    secret = ask("GET")
    known = secret["metadata"].get("annotations", {}).get(ANNOTATION)
    if known != given or "admin.password" not in secret["data"]:
        # Before the hash stands the prompt, "Password: ".
        hashed = made[made.index("$2") :]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = {"admin.password": encoded(hashed), "admin.passwordMtime": encoded(now)}
        ask("PATCH", {"metadata": {"annotations": {ANNOTATION: given}}, "data": data})
