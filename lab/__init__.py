"""Several real Kubernetes clusters on one machine, joined, and broken on purpose."""

__version__ = "0.1.0"
