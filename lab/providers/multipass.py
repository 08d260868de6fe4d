"""Clusters of virtual machines, made by Multipass and kubeadm.

Multipass has no labels: a machine is ours when it has our name and the lab's record claims it; one of that
name without a claim is a stranger's. Its addresses come from DHCP, and drift. So each machine has another
one, of the lab's node network, which it keeps: that is what clusters and mesh know it by. What depends on the
drifting one, the machines' routes to each other and the kubeconfig, :meth:`Multipass.start` renews.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from threading import Event, Lock
from typing import IO, Any, Final, Literal

import jinja2
import yaml

from lab.clients import multipass
from lab.clients.process import DEFAULT_TIMEOUT_S, CommandError
from lab.errors import HostError, LabError, ProvisionError
from lab.host import machines
from lab.host.doctor import Check
from lab.plan.step import Budget
from lab.providers import claims, files, pod_security
from lab.providers.base import ClusterState, NodeState
from lab.settings import LABEL, Settings
from lab.topology.model import Cluster, Topology
from lab.topology.traits import USUAL

IMAGE: Final = "24.04"
"""The Ubuntu that machines run: the LTS release that every supported Multipass knows."""

_ARCHIVE: Final = "/home/ubuntu/machine.tar"
_ADMIN: Final = "/etc/kubernetes/admin.conf"

_INITIALISED: Final = (
    "cloud-init status --wait --long || [ $? -eq 2 ] || "
    "{ tail -n 20 /var/log/cloud-init-output.log >&2; exit 1; }"
)
"""Multipass only waits until cloud-init has ended, well or not. 2: it went through, with warnings
(https://docs.cloud-init.io/en/latest/explanation/return_codes.html)."""

_introducing: Final = Lock()


@dataclass(frozen=True, kw_only=True)
class Multipass:
    """The multipass provider."""

    settings: Settings
    lab: str
    archive: Path = Path()
    """The packed node image, which machines are filled with; needed only to create clusters."""

    @property
    def bridge(self) -> str:
        """See :attr:`lab.providers.base.Provider.bridge`: none, since others' machines are on it as well."""
        return ""

    def checks(self, needed: Budget) -> tuple[Check, ...]:
        """See :meth:`lab.providers.base.Provider.checks`."""
        found = machines.observe(IMAGE if needed.memory_mib else "")
        return machines.examine(found, image=IMAGE, needed=needed)

    def observe(self, topology: Topology) -> dict[str, ClusterState]:
        """See :meth:`lab.providers.base.Provider.observe`."""
        addresses, there = claims.read(self._folder).addresses, multipass.machines()
        # One in the trash is none: creating removes it for good.
        kept = {name: each for name, each in there.items() if each.state != "Deleted"}
        found = [(each, sorted(kept.keys() & self._require_ours(each, there))) for each in topology.clusters]
        running = [name for _, names in found for name in names if there[name].state == "Running"]
        with ThreadPoolExecutor(max_workers=8) as pool:
            since = dict(zip(running, pool.map(_since, running), strict=True))

        def node(name: str) -> NodeState:
            return NodeState(
                name=name,
                role="worker" if re.search("-worker[0-9]*$", name) else "control-plane",
                running=name in since,
                address=addresses[name] if name in since else "",
                since=since.get(name, there[name].state),
            )

        return {
            cluster.name: ClusterState(tuple(map(node, names)), endpoint=self._endpoint(cluster))
            for cluster, names in found
            if names
        }

    def prepare(self, topology: Topology) -> None:
        """See :meth:`lab.providers.base.Provider.prepare`: every machine is given its lasting address."""
        names = [name for cluster in topology.clusters for name in self._names(cluster)]
        with claims.changed(self._folder) as ours:
            taken = set(ours.addresses.values())
            # The first is a gateway's by custom. That there are enough was checked with the topology.
            free = [str(each) for each in topology.network.node_cidr.hosts() if str(each) not in taken][1:]
            new = [name for name in names if name not in ours.addresses]
            ours.addresses.update(zip(new, free, strict=False))

    def create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        """See :meth:`lab.providers.base.Provider.create`. Where it fails, nothing is left of the cluster."""
        self.delete(self.lab, cluster.name)
        kubeconfig.unlink(missing_ok=True)
        self._require_ours(cluster, multipass.machines())
        names = self._names(cluster)
        with claims.changed(self._folder) as ours:
            ours.owners.update(dict.fromkeys(names, cluster.name))
        values = {
            "lab": self.lab,
            "cluster": cluster,
            "endpoint": self._endpoint(cluster),
            "addresses": ours.addresses,
            "control_planes": names[: cluster.nodes.control_plane],
        }
        try:
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(lambda name: self._fill(cluster, name, values, cancelled), names))
            self._introduce()
            self._write(kubeconfig, cluster, self._form(names, values, cancelled))
        except (ProvisionError, HostError):
            # After an interruption nobody waits: there, the next up or down removes what is claimed.
            with suppress(LabError):
                self.delete(self.lab, cluster.name)
            raise

    def start(self, cluster: Cluster) -> None:
        """See :meth:`lab.providers.base.Provider.start`."""
        there = self._there(cluster.name)
        if idle := [name for name, each in there.items() if each.state in ("Stopped", "Suspended")]:
            multipass.start(idle, timeout=self.settings.timeouts.cluster_create)
        self._introduce()
        kubeconfig = files.kubeconfig(self.settings, self.lab, cluster.name)
        if kubeconfig.exists():
            self._write(kubeconfig, cluster, kubeconfig.read_text())

    def halt(self, cluster: Cluster, how: Literal["kill", "stop", "pause"]) -> None:
        """See :meth:`lab.providers.base.Provider.halt`."""
        act: Mapping[str, Callable[[str], None]] = {
            "kill": partial(multipass.stop, force=True),
            "stop": multipass.stop,
            "pause": multipass.suspend,
        }
        # One command each: with several names, Multipass does one after the other.
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(act[how], self._running(cluster.name)))

    def run_on(
        self,
        node: str,
        command: tuple[str, ...],
        *,
        input: str | IO[bytes] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> str:
        """See :meth:`lab.providers.base.Provider.run_on`."""
        return multipass.execute(node, command, input=input, timeout=timeout)

    def memory(self, topology: Topology) -> dict[str, int]:
        """See :meth:`lab.providers.base.Provider.memory`."""
        running = {cluster.name: self._running(cluster.name) for cluster in topology.clusters}
        return {cluster: sum(multipass.memory(names).values()) for cluster, names in running.items() if names}

    def clusters(self) -> list[str]:
        """See :meth:`lab.providers.base.Provider.clusters`: those with machines that we claimed."""
        return sorted(set(claims.read(self._folder).owners.values()))

    def delete(self, lab: str, cluster: str) -> None:
        """See :meth:`lab.providers.base.Provider.delete`."""
        if there := list(self._there(cluster)):
            multipass.delete(there)
        self._disown(claims.read(self._folder).of(cluster))

    def release(self, lab: str) -> list[str]:
        """See :meth:`lab.providers.base.Provider.release`: what is claimed goes with the lab's folder."""
        return []

    def _names(self, cluster: Cluster) -> list[str]:
        """The names of the machines of ``cluster``, as kind calls its nodes; control planes first."""
        counts = (("control-plane", cluster.nodes.control_plane), ("worker", cluster.nodes.workers))
        return [
            f"{self.lab}-{cluster.name}-{role}{number if number > 1 else ''}"
            for role, count in counts
            for number in range(1, count + 1)
        ]

    def _endpoint(self, cluster: Cluster) -> str:
        """Host name of the API server, as nodes know it: the first's, or one for all control planes."""
        return f"{self.lab}-{cluster.name}-{'api' if cluster.nodes.control_plane > 1 else 'control-plane'}"

    @property
    def _folder(self) -> Path:
        return self.settings.lab(self.lab)

    def _there(self, cluster: str) -> dict[str, multipass.Machine]:
        """The machines of ``cluster`` that are ours and there."""
        claimed = claims.read(self._folder).of(cluster)
        there = multipass.machines() if claimed else {}
        return {name: there[name] for name in claimed if name in there}

    def _running(self, cluster: str) -> list[str]:
        return [name for name, each in self._there(cluster).items() if each.state == "Running"]

    def _require_ours(self, cluster: Cluster, there: Mapping[str, multipass.Machine]) -> list[str]:
        """The machines with names of ``cluster``; raises where one is not ours."""
        pattern = re.compile(rf"{self.lab}-{cluster.name}-(control-plane|worker)[0-9]*")
        names, ours = [name for name in there if pattern.fullmatch(name)], claims.read(self._folder).owners
        if foreign := [name for name in names if name not in ours]:
            raise HostError(
                f"there is a machine {foreign[0]} that this lab did not make; it was left alone",
                remedy="Give the lab another name (--name NAME), or remove it: "
                f"multipass delete --purge {foreign[0]}",
            )
        return names

    def _disown(self, names: list[str]) -> None:
        if names:
            with claims.changed(self._folder) as ours:
                for name in names:
                    ours.owners.pop(name, None)

    def _fill(self, cluster: Cluster, name: str, values: Mapping[str, Any], cancelled: Event | None) -> None:
        """Launch a machine, and put into it what makes it a node."""
        run = partial(multipass.execute, name, cancelled=cancelled)
        create, carry = self.settings.timeouts.cluster_create, self.settings.timeouts.image_transfer
        user_data = filled("machine", node=name, **values)
        try:
            multipass.launch(
                name,
                image=IMAGE,
                **asdict(cluster.traits.size or USUAL),
                user_data=user_data,
                timeout=create,
                cancelled=cancelled,
            )
        except CommandError as error:
            if "already exists" in error.output:
                self._disown([name])
            raise
        run(("sh", "-c", _INITIALISED), what="cloud-init", timeout=create)
        multipass.transfer(self.archive, name, _ARCHIVE, timeout=carry, cancelled=cancelled)
        run(("lab-fill", _ARCHIVE), what="unpacking", timeout=carry)

    def _introduce(self) -> None:
        """Tell every machine of the lab that runs where the others are now."""
        # Clusters are made and started side by side, and who tells last must have looked last.
        with _introducing:
            ours, there = claims.read(self._folder), multipass.machines()
            running = [name for name in ours.owners if name in there and there[name].state == "Running"]
            for name in running:
                ways = [f"{ours.addresses[each]} {there[each].address}\n" for each in running if each != name]
                # One that is still being made hears of the others when it is.
                with suppress(ProvisionError):
                    multipass.execute(name, ("lab-network", "routes"), input="".join(ways), timeout=30)

    def _form(self, names: list[str], values: Mapping[str, Any], cancelled: Event | None) -> str:
        """Make a cluster of the machines; return kubeadm's kubeconfig."""
        first, *others = names
        several, key = len(values["control_planes"]) > 1, secrets.token_hex(32)
        version = multipass.execute(first, ("kubeadm", "version", "--output=short")).strip()

        def kubeadm(name: str, *words: str, join: Mapping[str, str] | None = None) -> None:
            configuration = filled(
                "kubeadm", node=name, join=join, version=version, certificate_key=key, **values
            )
            multipass.execute(
                name,
                ("lab-kubeadm", *words),
                what=f"kubeadm {words[0]}",
                input=configuration,
                timeout=self.settings.timeouts.cluster_create,
                cancelled=cancelled,
            )

        kubeadm(first, "init", *(["--upload-certs"] if several else []))
        # One after the other: each control plane becomes a member of the others' store.
        for name in others:
            told = multipass.execute(
                first, ("kubeadm", "token", "create", "--ttl=1h", "--print-join-command")
            )
            found = re.search(r"--token (?P<token>\S+).*(?P<pin>sha256:[0-9a-f]{64})", told)
            if found is None:
                raise ProvisionError(f"kubeadm in {first} does not say how to join")
            kubeadm(name, "join", join=found.groupdict())
        storage = "/kind/manifests/default-storage.yaml"
        multipass.execute(first, ("kubectl", f"--kubeconfig={_ADMIN}", "apply", f"--filename={storage}"))
        return multipass.execute(first, ("cat", _ADMIN))

    def _write(self, path: Path, cluster: Cluster, text: str) -> None:
        """Write the kubeconfig ``text`` with the address at which the API server is reached now.

        Its certificate is asked for by name: addresses that Multipass gives change, and are not in it.
        """
        there = self._there(cluster.name)
        servers = self._names(cluster)[: cluster.nodes.control_plane]
        address = next((there[name].address for name in servers if name in there and there[name].address), "")
        if not address:
            raise ProvisionError(f"no control plane of {cluster.name} has an address")
        config = files.renamed(yaml.safe_load(text), f"{self.lab}-{cluster.name}")
        server = {"server": f"https://{address}:6443", "tls-server-name": self._endpoint(cluster)}
        config["clusters"][0]["cluster"].update(server)
        files.write(path, config)


def filled(template: Literal["machine", "kubeadm"], **values: Any) -> str:
    """cloud-init's user data, or kubeadm's configuration: the template with ``values`` in it."""
    text = resources.files("lab.providers").joinpath(f"{template}.yaml.j2").read_text(encoding="utf-8")
    made = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(
        label=LABEL,
        admission=yaml.safe_dump(pod_security.admission()),
        admission_path=pod_security.PATH,
        admission_folder=pod_security.PATH.rpartition("/")[0],
        **values,
    )
    return f"{made}\n"


def _since(name: str) -> str:
    """Which machine it is, and when it booted; empty while it does not answer."""
    booted = "cat /etc/machine-id; systemctl show --property=UserspaceTimestamp --value"
    with suppress(ProvisionError):
        return " ".join(multipass.execute(name, ("sh", "-c", booted), timeout=30).split())
    return ""
