"""Shows a plan: a tree for each cluster, what is done already, and what it takes of the machine."""

from __future__ import annotations

from lab import console
from lab.plan.step import Plan, Step


def show(plan: Plan) -> None:
    """Print ``plan`` for a person, on stdout."""
    title = f"lab {plan.lab}" + (f" (topology {plan.topology})" if plan.topology != plan.lab else "")
    parts = [step for step in plan.steps if step.cluster is None and step.id != "lab/verify"]
    console.tree(title, {_told(step): {} for step in _worth_showing(parts)})
    for cluster in plan.clusters:
        steps = [step for step in plan.steps if step.cluster == cluster.name]
        console.tree(
            f"{cluster.name} ({cluster.role}, id {cluster.id}, "
            f"pods {cluster.pod_cidr}, services {cluster.service_cidr})",
            {_told(step): {} for step in steps},
        )
    console.tree("then", {_told(plan.by_id["lab/verify"]): {}} if "lab/verify" in plan.by_id else {})
    for name, why in plan.left_out.items():
        console.out(f"{name} is left out: {why}.")
    budget = plan.budget
    console.out(
        f"It takes {budget.memory_mib / 1024:.1f} GiB of memory, {budget.disk_mib / 1024:.1f} GiB of disk "
        f"and {budget.cpus:g} CPUs."
    )
    if not plan.pending:
        console.out("Nothing to do.")
    elif plan.estimate_s is not None:
        console.out(
            f"{len(plan.pending)} of {len(plan.steps)} steps to do, "
            f"at least {console.duration(plan.estimate_s)}."
        )
    else:
        console.out(f"{len(plan.pending)} of {len(plan.steps)} steps to do.")


def _worth_showing(steps: list[Step]) -> list[Step]:
    """Parts that are here already are many, and of no interest: one line stands for them."""
    done = [step for step in steps if step.done and step.kind in {"image-part", "tool"}]
    shown = [step for step in steps if step not in done]
    if done:
        shown.insert(
            0, Step("images/here", "tool", summary=f"{len(done)} images, programs and tools", done=True)
        )
    return shown


def _told(step: Step) -> str:
    if step.done:
        return f"{step.summary}: done"
    return step.summary + (f" (about {console.duration(step.estimate_s)})" if step.estimate_s else "")
