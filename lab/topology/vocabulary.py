"""Every key of a topology file, version ``lab/v1``: add to it with care, never rename.

This is the only list of keys, defaults and limits. The loader reads files by it, the JSON Schema for
editors is written from it, and the descriptions are what a person sees while typing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lab.document.format import Format, Kind
from lab.document.shapes import (
    Anything,
    Block,
    Choice,
    Duration,
    Either,
    Field,
    Integer,
    Network,
    Sequence,
    Table,
    Text,
)
from lab.topology.traits import TRAITS, USUAL

VERSION: Final = "lab/v1"

PROVIDERS: Final = tuple(TRAITS)

# cilium/cilium pkg/clustermesh/types/types.go: at most 32 characters, lower case alphanumeric, dashes
# between. Roles and lab names follow the same rule: they become labels and parts of host names.
NAME_PATTERN: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAME_LONGEST: Final = 32

# cilium/cilium pkg/clustermesh/types/option.go: "supported values are [255, 511]". More ids leave fewer
# bits for security identities.
CLUSTER_LIMITS: Final = (255, 511)

# The default of kube-apiserver's --service-node-port-range.
NODE_PORTS: Final = (30000, 32767)

# etcd's FAQ, "What is maximum cluster size?": no more than seven members.
MOST_CONTROL_PLANES: Final = 7

# A pod CIDR of 10.0.0.0/12 holds this many /24s: more nodes than that no host of ours can carry.
MOST_WORKERS: Final = 4096 - MOST_CONTROL_PLANES

_name = Text(
    expected="a name of lower-case letters, digits and inner dashes",
    sample="app",
    pattern=NAME_PATTERN,
    longest=NAME_LONGEST,
)
_addon = replace(_name, sample="an-addon")
_size = Text(expected="a size such as 10G or 512M", sample="10G", pattern=r"[0-9]+(\.[0-9]+)?[KMG]")

_provider = Field(
    "provider",
    Choice(PROVIDERS),
    "What makes the cluster: kind (nodes are containers), multipass (nodes are virtual machines), existing "
    "(the cluster is already there, reached by a kubeconfig context).",
    default="kind",
)
_kubernetes = Field(
    "kubernetes",
    Text(
        expected="a Kubernetes version",
        sample='"1.35"',
        pattern=r"[0-9]+\.[0-9]+(\.[0-9]+)?",
    ),
    'Kubernetes version, in quotes: a minor one ("1.35": its newest known patch) or an exact one ("1.35.8").',
    default="1.35",
    examples=("1.35", "1.35.8"),
)
_nodes = Field(
    "nodes",
    Block(
        "nodes",
        (
            Field(
                "control_plane",
                Integer(1, MOST_CONTROL_PLANES),
                "Number of control-plane nodes. Three survive the loss of one; two do not.",
                default=1,
            ),
            Field(
                "workers",
                Integer(0, MOST_WORKERS),
                "Number of worker nodes. With none, workloads run on the control-plane nodes.",
                default=0,
            ),
        ),
    ),
    "How many nodes of which sort.",
)
_provider_blocks = (
    Field(
        "kind",
        Block(
            "kind's settings",
            (
                Field(
                    "image",
                    Text(expected="an image reference", sample="kindest/node:v1.35.8", pattern=r"\S+"),
                    "Node image to use in place of the lab's own, of the version that `kubernetes` asks for. "
                    "Nothing is preloaded into it: what it does not hold, its nodes must be able to pull.",
                    examples=("kindest/node:v1.35.8",),
                ),
                Field(
                    "api_port",
                    Integer(1024, 65535),
                    "Port of the API server on 127.0.0.1. Left out, a free one is taken.",
                ),
            ),
        ),
        "Settings of the kind provider.",
    ),
    Field(
        "multipass",
        Block(
            "multipass's settings",
            (
                Field("memory", _size, "Memory of each virtual machine.", default=USUAL.memory),
                Field("cpus", Integer(1, 256), "Virtual CPUs of each virtual machine.", default=USUAL.cpus),
                Field("disk", _size, "Disk of each virtual machine.", default=USUAL.disk),
            ),
        ),
        "Settings of the multipass provider.",
    ),
    Field(
        "existing",
        Block(
            "existing's settings",
            (
                Field(
                    "context",
                    Text(expected="the name of a kubeconfig context", sample="kind-kind", pattern=r"\S+"),
                    "The kubeconfig context that reaches the cluster.",
                ),
                Field(
                    "kubeconfig",
                    Text(expected="the path of a kubeconfig", sample="~/.kube/config", pattern=r"\S+"),
                    "The file that has the context. Left out, what KUBECONFIG names, or ~/.kube/config.",
                    examples=("~/.kube/config",),
                ),
                Field(
                    "nodes",
                    Choice(("docker",)),
                    "docker: the nodes are containers of this machine's engine, as kind makes them, and the "
                    "lab may bring images into them and count packets on them. Left out, nothing is done on "
                    "nodes, and their kubelets pull images by digest.",
                ),
                Field(
                    "faults",
                    Choice(("component", "all")),
                    "What experiments may do to it. Left out, take addons of the lab away, and cut its pods "
                    "off with a network policy; component: the former alone; all: also kill, stop, freeze "
                    "and cut off its nodes, for which `nodes` must say what they are.",
                ),
            ),
        ),
        "Settings of the existing provider.",
    ),
)

_cluster = Block(
    "a cluster",
    (
        Field(
            "role",
            _name,
            "What the cluster is for; addons go by it. `mgmt` serves the platform, `app` runs workloads.",
            required=True,
            examples=("mgmt", "app"),
        ),
        _provider,
        _kubernetes,
        _nodes,
        Field(
            "id",
            Integer(1, max(CLUSTER_LIMITS)),
            "Cilium's number of the cluster, unique in the mesh. Left out, it is allocated.",
        ),
        Field(
            "pod_cidr",
            Network(),
            "Network of the pods: private, overlapping nothing, a /24 a node. Left out, it is allocated.",
            examples=("10.100.0.0/16",),
        ),
        Field(
            "service_cidr",
            Network(),
            "Network of the services: private, overlapping nothing, /12 to /28. Left out, it is allocated.",
            examples=("10.150.0.0/16",),
        ),
        Field(
            "mesh_port",
            Integer(*NODE_PORTS),
            "NodePort of the mesh API server, different in each cluster. Left out, it is allocated.",
        ),
        *_provider_blocks,
        Field(
            "count",
            Integer(1, max(CLUSTER_LIMITS)),
            "Makes this entry that many equal clusters, named after `prefix`: edge-001, edge-002, ...",
            needs="prefix",
        ),
        Field("prefix", _name, "First part of the names of the clusters that `count` makes.", needs="count"),
    ),
)

TOPOLOGY: Final = Block(
    "a topology",
    (
        Field(
            "version",
            Choice((VERSION,)),
            f"Version of this vocabulary: {VERSION}.",
            required=True,
        ),
        Field(
            "name",
            _name,
            "Name of the topology, and of its lab unless --name says otherwise.",
            required=True,
            examples=("hub-spoke",),
        ),
        Field(
            "defaults",
            Block("defaults", (_provider, _kubernetes, _nodes, *_provider_blocks)),
            "What every cluster has unless it says otherwise itself.",
        ),
        Field(
            "network",
            Block(
                "network",
                (
                    Field(
                        "egress",
                        Choice(("allow", "deny")),
                        "Whether the lab's nodes and pods may reach anything outside the lab.",
                        default="allow",
                    ),
                    Field(
                        "node_cidr",
                        Network(),
                        "Subnet of the lab's container network, for its nodes. Left out, it is allocated.",
                        examples=("10.200.0.0/24",),
                    ),
                ),
            ),
            "The network that all clusters of the lab share.",
        ),
        Field(
            "mesh",
            Block(
                "mesh",
                (
                    Field(
                        "kind",
                        Choice(("cilium", "none")),
                        "cilium joins all clusters in one Cluster Mesh; none leaves them apart.",
                        default="cilium",
                    ),
                    Field(
                        "tunnel",
                        Choice(("vxlan", "geneve")),
                        "How pod traffic crosses between nodes.",
                        default="vxlan",
                    ),
                    Field(
                        "stale_backends",
                        Either(
                            Choice(("keep", "prefer_local")),
                            Block(
                                "stale_backends",
                                (
                                    Field(
                                        "drop_after",
                                        Duration(),
                                        "Drop a silent cluster's backends this long after Cilium noticed, "
                                        "which takes it one to two and a half minutes; such as 60s.",
                                        required=True,
                                        examples=("60s",),
                                    ),
                                ),
                            ),
                        ),
                        "What becomes of a dead cluster's service backends: keep (Cilium's default), "
                        "prefer_local (global services that the lab makes use their own cluster first "
                        "unless they say otherwise), or {drop_after: 60s}.",
                        default="keep",
                    ),
                    Field(
                        "max_clusters",
                        Integer(min(CLUSTER_LIMITS), max(CLUSTER_LIMITS), only=CLUSTER_LIMITS),
                        "How many clusters the mesh is sized for; fixed once a lab is up.",
                        default=255,
                    ),
                ),
            ),
            "How the clusters are joined.",
        ),
        Field(
            "clusters",
            Table(_name, _cluster),
            "The clusters, by name.",
            required=True,
        ),
        Field(
            "addons",
            Sequence(
                Block(
                    "an addon",
                    (
                        Field(
                            "use",
                            _addon,
                            "Which addon: the name of a folder in addons/.",
                            required=True,
                        ),
                        Field(
                            "on",
                            Either(_name, Sequence(_name)),
                            "Where: a role, a cluster, or a list of them. Left out, the addon's own choice.",
                        ),
                        Field("with", Anything(), "Options of the addon."),
                    ),
                )
            ),
            "What is installed on the clusters, and where.",
        ),
    ),
)


FORMAT: Final = Format(
    Kind(
        noun="topology",
        # The largest that can mean something (511 clusters, each with every key) is about 100 KiB, some
        # 20,000 values, and five levels deep.
        most_bytes=256 * 1024,
        most_values=40_000,
        most_levels=16,
        begin="Begin with version, name and clusters; topologies/pair.yaml is the shortest example.",
        shrink="Use {count: ..., prefix: ...} for many equal clusters.",
        share="Put what clusters share under defaults.",
        template="Write a word before the colon. A topology is data: {{ }} templates are not filled in.",
    ),
    VERSION,
    TOPOLOGY,
)


def default(*path: str) -> str | int:
    """Return the default of the field at ``path``, such as ``default("mesh", "tunnel")``.

    Raises KeyError where there is no such field and ValueError where it has no default: both are
    mistakes in the program, not in a topology.
    """
    block = TOPOLOGY
    for part in path[:-1]:
        shape = block.find(part).shape
        if not isinstance(shape, Block):
            raise KeyError(part)
        block = shape
    found = block.find(path[-1]).default
    if found is None:
        raise ValueError(f"{'.'.join(path)} has no default")
    return found
