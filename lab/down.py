"""``down``: removes all that carries the lab's label, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lab import kubeconfig, state
from lab.clients import docker
from lab.detach import detach
from lab.host import sandbox, tools
from lab.images.source.tool import build_tool
from lab.providers import PROVIDERS
from lab.providers.base import Provider
from lab.settings import LABEL, Settings
from lab.topology.traits import TRAITS


def down(settings: Settings, lab: str) -> list[str]:
    """Remove the lab; return what was removed, in words. Removing what is not there is no error.

    What belongs to it is found by label, not by its topology: that may have changed since, or be gone.
    Raises :class:`lab.errors.HostError` while another command changes the lab.
    """
    folder = state.folder(settings, lab)
    with state.locked(settings, lab, last=True):
        removed: list[str] = []
        providers = {name: make(settings=settings, lab=lab) for name, make in PROVIDERS.items()}
        # Those that stay come first: while one of them does not answer, the lab is whole.
        staying = [provider for name, provider in providers.items() if not TRAITS[name].makes]
        removed += _leave(settings, lab, [cluster for each in staying for cluster in each.clusters()])
        for provider in providers.values():
            clusters = _delete_clusters(provider, lab)
            removed += [f"cluster {cluster}" for cluster in clusters if provider not in staying]
        label = f"{LABEL}={lab}"
        for container in docker.containers(labels={LABEL: lab}):
            docker.remove_container(container.name)
            removed.append(f"container {container.name}")
        for volume in docker.volumes(label):
            docker.remove_volume(volume.name)
            removed.append(f"volume {volume.name}")
        for provider in providers.values():
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
    return clusters


def _leave(settings: Settings, lab: str, clusters: list[str]) -> list[str]:
    """Take the lab off ``clusters``, which others made."""
    if not clusters:
        return []
    helm = tools.tool("helm", settings, build=build_tool)
    off = partial(detach, state.folder(settings, lab), lab, helm=helm, timeouts=settings.timeouts)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(off, clusters))
    return [f"all of it from {cluster}, which stays" for cluster in clusters]
