"""``down``: removes all that carries the lab's label, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab import kubeconfig, state
from lab.clients import docker
from lab.host import sandbox
from lab.providers import PROVIDERS
from lab.providers.base import Provider
from lab.settings import LABEL, Settings


def down(settings: Settings, lab: str) -> list[str]:
    """Remove the lab; return what was removed, in words. Removing what is not there is no error.

    What belongs to it is found by label, not by its topology: that may have changed since, or be gone.
    Raises :class:`lab.errors.HostError` while another command changes the lab.
    """
    folder = state.folder(settings, lab)
    with state.locked(settings, lab, last=True):
        removed = []
        providers = [make(settings=settings, lab=lab) for make in PROVIDERS.values()]
        for provider in providers:
            removed += _delete_clusters(provider, lab)
        label = f"{LABEL}={lab}"
        for container in docker.containers(labels={LABEL: lab}):
            docker.remove_container(container.name)
            removed.append(f"container {container.name}")
        for volume in docker.volumes(label):
            docker.remove_volume(volume.name)
            removed.append(f"volume {volume.name}")
        for provider in providers:
            removed += provider.release(lab)
        if sandbox.available() and sandbox.release(lab):
            removed.append("its firewall rules")
        removed += kubeconfig.forget(settings, lab)
        if folder.path.exists():
            folder.remove()
            removed.append("its kubeconfigs, CA and journals")
        return removed


def _delete_clusters(provider: Provider, lab: str) -> list[str]:
    clusters = provider.clusters()
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda cluster: provider.delete(lab, cluster), clusters))
    return [f"cluster {cluster}" for cluster in clusters]
