"""Pod Security on every namespace of a cluster, enforced by its API server from the first pod on.

A namespace that says nothing gets level ``baseline``; one that carries a label of its own
(``pod-security.kubernetes.io/enforce``) gets that. Exempt is what the cluster itself consists of:
Cilium's agents in kube-system, and the pods with which local-path-storage prepares a volume's folder.
"""

from __future__ import annotations

from typing import Any

PATH = "/etc/kubernetes/lab/pod-security.yaml"
"""Where the configuration lies on control-plane nodes."""

LEVEL = "baseline"
EXEMPT = ("kube-system", "local-path-storage")


def admission() -> dict[str, Any]:
    """The API server's admission configuration.

    Source: kubernetes.io, "Enforce Pod Security Standards by Configuring the Built-in Admission Controller".
    """
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": {"enforce": LEVEL, "enforce-version": "latest"},
                    "exemptions": {"namespaces": list(EXEMPT)},
                },
            }
        ],
    }


def api_server(version: str) -> dict[str, Any]:
    """kubeadm's ClusterConfiguration that has the API server of ``version`` (as 1.35) read it.

    From 1.36 on kind writes kubeadm's v1beta4, in which arguments are a list.
    """
    folder = PATH.rpartition("/")[0]
    major, minor, *_ = map(int, version.split("."))
    argument = {"admission-control-config-file": PATH}
    listed = [{"name": name, "value": value} for name, value in argument.items()]
    return {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": listed if (major, minor) >= (1, 36) else argument,
            "extraVolumes": [
                {
                    "name": "lab",
                    "hostPath": folder,
                    "mountPath": folder,
                    "readOnly": True,
                    "pathType": "Directory",
                }
            ],
        },
    }
