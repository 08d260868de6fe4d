"""The commands. Each parses, calls ``lab``, prints; what they do is in ``lab``."""

from __future__ import annotations

from invoke.context import Context

from lab.cli import task

LAB = {
    "topology": "a name in topologies/, or the path of a file",
    "name": "name of the lab, for a second one of the same topology",
}
YES = {"yes": "agree to everything, ask nothing"}
JSON = {"json": "print JSON, for scripts"}
MAKING = {
    "images": "where images come from: auto, registry or source",
    "only": "addons to install, comma-separated, with all that they need (mesh: none)",
    "without": "addons to leave out, comma-separated, with all that need them",
    "isolated": "let nothing that runs in the lab send packets off this machine",
}


@task(
    help={**LAB, **YES, **MAKING, "recreate": "replace clusters that the topology now describes differently"}
)
def up(
    c: Context,
    topology: str = "hub-spoke",
    name: str = "",
    images: str = "auto",
    only: str = "",
    without: str = "",
    isolated: bool = False,
    recreate: bool = False,
    yes: bool = False,
) -> None:
    """Make the lab, or finish making it, and prove that it works."""
    from lab import commands

    commands.up(
        topology,
        name=name,
        images=images,
        only=only,
        without=without,
        isolated=isolated,
        recreate=recreate,
        yes=yes,
    )


@task(help={**LAB, **MAKING, **JSON})
def plan(
    c: Context,
    topology: str = "hub-spoke",
    name: str = "",
    images: str = "auto",
    only: str = "",
    without: str = "",
    isolated: bool = False,
    json: bool = False,
) -> None:
    """Show what `up` would do, and what is done already. Changes nothing."""
    from lab import commands

    commands.plan(
        topology, name=name, images=images, only=only, without=without, isolated=isolated, json=json
    )


@task(help={**LAB, **JSON})
def doctor(c: Context, topology: str = "hub-spoke", name: str = "", json: bool = False) -> None:
    """Examine this machine: what was found, what is needed, what to do."""
    from lab import commands

    commands.doctor(topology, name=name, json=json)


@task(help={**LAB, **JSON, "watch": "show it again every two seconds, until Ctrl-C"})
def status(
    c: Context, topology: str = "hub-spoke", name: str = "", watch: bool = False, json: bool = False
) -> None:
    """Show clusters, nodes, the mesh and memory."""
    from lab import commands

    commands.status(topology, name=name, watch=watch, json=json)


@task(help={**LAB, **JSON})
def verify(c: Context, topology: str = "hub-spoke", name: str = "", json: bool = False) -> None:
    """Prove the data path between all clusters, and that every addon works."""
    from lab import commands

    commands.verify(topology, name=name, json=json)


@task(
    help={
        **LAB,
        **JSON,
        "fault": "what happens to the target: kill, stop, pause, partition, isolate or component",
        "target": "the cluster that goes away (the management cluster); with component [CLUSTER/]ADDON",
        "hold": "how long it stays away, as 90s or 12m (the profile's)",
        "profile": "how long the parts take: quick, standard or article",
        "contract": "contracts to judge, comma-separated (all)",
        "matrix": "one fault after the other, kill to partition, and a table of what came of each",
    }
)
def degrade(
    c: Context,
    topology: str = "hub-spoke",
    name: str = "",
    fault: str = "kill",
    target: str = "",
    hold: str = "",
    profile: str = "standard",
    contract: str = "",
    matrix: bool = False,
    json: bool = False,
) -> None:
    """Take a cluster away, and say of each promise whether it held."""
    from lab import degrading

    degrading.degrade(
        topology,
        name=name,
        fault=fault,
        target=target,
        hold=hold,
        profile=profile,
        contract=contract,
        matrix=matrix,
        json=json,
    )


@task(
    help={
        **JSON,
        "run": "the experiment's folder, or the last part of it (the newest)",
        "compare": "another experiment to put beside it",
        "all": "list every experiment there is",
    }
)
def report(c: Context, run: str = "", compare: str = "", all: bool = False, json: bool = False) -> None:
    """Judge an experiment again from its history, and write its reports anew."""
    from lab import degrading

    degrading.report(run=run, compare=compare, every=all, json=json)


@task(help={**LAB, "merge": "add the lab's contexts to your own kubeconfig; your current context stays"})
def kubeconfig(c: Context, topology: str = "hub-spoke", name: str = "", merge: bool = False) -> None:
    """Print the lab's kubeconfig: one context for each cluster, LAB-CLUSTER."""
    from lab import commands

    commands.kubeconfig(topology, name=name, merge=merge)


@task(help={**LAB, "output": "the archive to write"})
def gather(c: Context, topology: str = "hub-spoke", name: str = "", output: str = "") -> None:
    """Collect what is needed to understand a failure into one archive, secrets removed."""
    from lab import commands

    commands.gather(topology, name=name, output=output)


@task(
    help={
        **LAB,
        **JSON,
        "images": MAKING["images"],
        "build": "bring what is missing, and make no lab; goes on where an earlier one ended",
        "yes": "with --build: install what making images needs of this machine, without asking",
    }
)
def images(
    c: Context,
    topology: str = "hub-spoke",
    name: str = "",
    images: str = "auto",
    build: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """List the images of a lab: what is here, what is missing, how long it takes."""
    from lab import commands

    commands.images(topology, name=name, images=images, build=build, yes=yes, json=json)


@task(help={**JSON, "topology": "show also where they are in it: a name in topologies/, or a path"})
def addons(c: Context, topology: str = "", json: bool = False) -> None:
    """List the addons: what each is for, where it goes, what it needs."""
    from lab import commands

    commands.addons(topology, json=json)


@task(
    name="open",
    help={
        **LAB,
        **JSON,
        "what": "what to open, as grafana or argocd; a name that is not there gets a list of those that are",
        "cluster": "the cluster, where several have it",
        "port": "local port; any that is free unless given",
        "show-password": "print the password, too",
    },
)
def open_(
    c: Context,
    what: str,
    topology: str = "hub-spoke",
    name: str = "",
    cluster: str = "",
    port: int = 0,
    show_password: bool = False,
    json: bool = False,
) -> None:
    """Give what an addon serves an address on this machine, until Ctrl-C."""
    from lab import commands

    commands.open_(
        what, topology, name=name, cluster=cluster, port=port, show_password=show_password, json=json
    )


@task(help={**LAB, **YES})
def down(c: Context, topology: str = "hub-spoke", name: str = "", yes: bool = False) -> None:
    """Remove the lab, and nothing else."""
    from lab import commands

    commands.down(topology, name=name, yes=yes)


@task(
    help={
        "tier": "auto (by what is cached), unit (no cluster), cold (one pair), warm (all but long)",
        "long": "also the tests that take many minutes",
        "yes": "ask nothing",
    }
)
def test(c: Context, tier: str = "auto", long: bool = False, yes: bool = False) -> None:
    """Check style and types, then run the tests: fast ones first, real clusters last."""
    from lab import commands

    commands.test(tier=tier, long=long, yes=yes)
