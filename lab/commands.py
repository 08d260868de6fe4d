"""What the commands print: one function for each, between ``tasks.py`` and the modules that do the work."""

from __future__ import annotations

import time
from contextlib import suppress

from lab import console
from lab.errors import CheckFailed, HostError, InputError
from lab.settings import PROJECT, Settings, from_environment


def up(
    topology: str,
    *,
    name: str,
    images: str,
    only: str,
    without: str,
    isolated: bool,
    recreate: bool,
    yes: bool,
) -> None:
    """Make the lab, then say what there is now and what to do with it."""
    from lab import up as story
    from lab.workspace import naming

    started = time.monotonic()
    request = story.Request(
        topology=topology,
        name=name or None,
        images=images,
        only=only,
        without=without,
        isolated=isolated,
        recreate=recreate,
        yes=yes,
    )
    plan = story.up(from_environment(), request)
    took = console.duration(time.monotonic() - started)
    for addon, why in plan.left_out.items():
        console.note(f"{addon} is left out: {why}.")
    if not plan.pending:
        console.out(f"{plan.lab} is up already: nothing to do ({took}).")
        return
    contexts = ", ".join(f"{plan.lab}-{cluster.name}" for cluster in plan.clusters)
    arguments = naming(topology, name)
    addons = {step.id.split("/")[1] for step in plan.steps if step.kind == "addon"}
    having = f", {len(addons)} addon{'s' if len(addons) > 1 else ''}" if addons else ""
    console.out(f"{plan.lab} is up: {len(plan.clusters)} clusters in one mesh{having}, in {took}.")
    console.out(f"Contexts: {contexts}")
    first = f"{plan.lab}-{plan.clusters[0].name}"
    console.out(
        f"Use them: ./invoke kubeconfig{arguments} > lab.yaml; "
        f"kubectl --kubeconfig lab.yaml --context {first} get nodes"
    )
    console.out(f"Look: ./invoke status{arguments}   Remove: ./invoke down{arguments}")


def plan(
    topology: str, *, name: str, images: str, only: str, without: str, isolated: bool, json: bool
) -> None:
    """Print the plan as a tree per cluster, or as JSON."""
    from lab import up as story

    request = story.Request(
        topology=topology,
        name=name or None,
        images=images,
        only=only,
        without=without,
        isolated=isolated,
    )
    made = story.plan(from_environment(), request)
    if json:
        console.out_json(made.as_json())
        return
    from lab.planned import show

    show(made)


def doctor(topology: str, *, name: str, json: bool) -> None:
    """Print every check. Raises :class:`HostError` when one does not hold."""
    from lab import ready

    checks = ready.examine(from_environment(), topology, name=name or None)
    if json:
        console.out_json({"checks": [check.as_json() for check in checks]})
    else:
        rows = [("ok" if check.ok else "NO", check.id, check.found, check.needed) for check in checks]
        console.table(("", "check", "found", "needed"), rows)
        for check in checks:
            if check.remedy and (not check.ok or check.fix is None):
                console.out(f"{check.id}: {check.remedy}")
    failed = [check.id for check in checks if not check.ok]
    if failed:
        raise HostError(
            f"this host is not ready: {', '.join(failed)}",
            remedy="./invoke up --yes, as root on Debian or Ubuntu, sets up what can be set up."
            if any(check.fix for check in checks)
            else "",
        )


def status(topology: str, *, name: str, watch: bool, json: bool) -> None:
    """Print what there is of the lab."""
    from lab import status as looking
    from lab.status_view import show

    settings = from_environment()
    while True:
        seen = looking.look(settings, topology, name=name or None)
        if json:
            console.out_json(seen.as_json())
        else:
            show(seen, clear=watch)
        if not watch:
            return
        time.sleep(2)


def verify(topology: str, *, name: str, json: bool) -> None:
    """Run every check of the mesh and of addons. Raises :class:`CheckFailed` when one does not hold."""
    from lab import verify as proof
    from lab.workspace import naming

    results = proof.verify(from_environment(), topology, name=name or None, quiet=json)
    if json:
        fields = ("id", "ok", "seconds", "evidence")
        console.out_json(
            {"checks": [{field: getattr(result, field) for field in fields} for result in results]}
        )
    failed = sum(not result.ok for result in results)
    if failed:
        raise CheckFailed(
            f"{failed} of {len(results)} checks did not hold",
            remedy=f"See what the clusters say: ./invoke gather{naming(topology, name)}",
        )
    if not json:
        console.out(f"{len(results)} checks hold.")


def kubeconfig(topology: str, *, name: str, merge: bool) -> None:
    """Print the lab's kubeconfig, or merge it into the user's."""
    from lab import kubeconfig as configs

    if merge:
        path, contexts = configs.merge(from_environment(), topology, name=name or None)
        console.out(f"{path} now has {', '.join(contexts)}; its current context was left alone.")
    else:
        console.out(configs.text(from_environment(), topology, name=name or None))


def gather(topology: str, *, name: str, output: str) -> None:
    """Write the archive, and say where it is."""
    from lab import gather as collecting

    console.out(str(collecting.gather(from_environment(), topology, name=name or None, output=output)))


def images(topology: str, *, name: str, images: str, build: bool, yes: bool, json: bool) -> None:
    """List what a lab is made of; with ``build``, bring all of it here first.

    ``yes``: what making images needs of this machine is installed unasked.
    """
    from lab.installed import placed
    from lab.supply import supply
    from lab.workspace import open_workspace

    settings = from_environment()
    workspace = open_workspace(settings, topology, name=name or None)
    made_of = supply(settings, workspace.topology, images=images, wanted=placed(workspace))
    if build:
        from lab.bringing import bring

        bring(made_of, arguments=workspace.arguments, assume_yes=yes)
    steps = made_of.steps()
    if json:
        console.out_json(
            {
                "source": made_of.source.name,
                "parts": [
                    {
                        "id": step.id,
                        "done": step.done,
                        "took_s": made_of.times.last(step.id),
                        "estimate_s": step.estimate_s,
                    }
                    for step in steps
                ],
                "left_out": dict(made_of.left_out),
            }
        )
        return
    rows = []
    for step in steps:
        took = made_of.times.last(step.id)
        if took is not None:
            time = console.duration(took)
        else:
            time = f"(about {console.duration(step.estimate_s)})" if step.estimate_s else ""
        rows.append(("here" if step.done else "missing", step.summary, time))
    console.table(("", f"source: {made_of.source.name}", "took last time"), rows)
    missing = [step for step in steps if not step.done]
    console.out(
        f"{len(missing)} of {len(steps)} missing; bringing them takes about "
        f"{console.duration(made_of.takes_s(missing))} on two cores."
        if missing
        else f"All {len(steps)} are here."
    )
    for addon, why in made_of.left_out.items():
        console.out(f"{addon} is left out: {why}.")


def addons(topology: str, *, json: bool) -> None:
    """List the addons that there are; with ``topology``, on which of its clusters each is."""
    from lab import addons as listing

    found = listing.catalog(from_environment())
    clusters = listing.clusters_of(topology, found) if topology else None
    if json:
        console.out_json({"addons": [listing.as_json(addon, clusters) for addon in found.addons.values()]})
    elif found.addons:
        listing.show(found, clusters)
    else:
        console.out("There is no addon in addons/.")


def open_(
    what: str, topology: str, *, name: str, cluster: str, port: int, show_password: bool, json: bool
) -> None:
    """Say where something is and how to log in, and serve it until Ctrl-C."""
    from lab import opened

    if what.startswith("-"):
        # Invoke takes whatever comes first for the name.
        raise InputError(f"open {what}: what to open comes first", remedy="./invoke --help open says more.")
    door = opened.find(from_environment(), what, topology, name=name or None, cluster=cluster)
    password = door.password if show_password else None
    # Ctrl-C is how it ends, and no failure.
    with suppress(KeyboardInterrupt), door.forwarder(port=port) as forwarder:
        # By name: a Gateway serves names, not addresses.
        url = f"http://localhost:{forwarder.port}{door.url.path}"
        if json:
            login = {"user": door.url.user or None, "password": password}
            console.out_json({"name": what, "cluster": door.cluster, "url": url, **login})
        else:
            console.out(f"{what} on {door.cluster}: {url}")
            if door.url.user:
                hidden = (
                    f"print its password with ./invoke open {what}{door.workspace.arguments} --show-password"
                )
                console.out(
                    f"Log in as {door.url.user}; " + (f"password: {password}" if password else hidden)
                )
            console.note("Ctrl-C ends it.")
        forwarder.serve_forever()


def down(topology: str, *, name: str, yes: bool) -> None:
    """Remove the lab, and say what was removed."""
    from lab import down as removing

    settings = from_environment()
    lab = name or _name_of(topology)
    if not console.confirm(f"Remove the lab {lab}, with everything in it?", assume_yes=yes or not _asks()):
        return
    started = time.monotonic()
    removed = removing.down(settings, lab)
    for what in removed:
        console.note(f"removed {what}")
    took = console.duration(time.monotonic() - started)
    console.out(f"{lab} is gone ({took})." if removed else f"There is no lab {lab}: nothing to remove.")


def test(*, tier: str, long: bool, yes: bool) -> None:
    """Run the project's own tests; real clusters as far as their images are here."""
    from lab import testing

    testing.run_tests(
        tier=tier, long=long, assume_yes=yes, cached=lambda: _everything_cached(from_environment())
    )


def _everything_cached(settings: Settings) -> bool:
    from lab.installed import placed
    from lab.supply import everything_cached
    from lab.workspace import open_workspace

    workspace = open_workspace(settings, "hub-spoke", name="test")
    return everything_cached(settings, workspace.topology, wanted=placed(workspace))


def _name_of(topology: str) -> str:
    """The lab's name that a topology declares."""
    from lab.topology.read import read_topology

    return read_topology(topology, folder=PROJECT / "topologies").name


def _asks() -> bool:
    import sys

    return sys.stdin.isatty()
