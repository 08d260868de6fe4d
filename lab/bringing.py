"""``images --build``: everything that a lab is made of, brought here before anybody waits for it."""

from __future__ import annotations

from lab import ready
from lab.engine import journal, progress
from lab.engine.run import Context, run
from lab.plan.step import Budget, Plan, Step
from lab.supply import Supply

_WORKERS = 16
"""Steps at once. How many programs are built side by side is the source's to say."""


def bring(made_of: Supply, *, arguments: str, assume_yes: bool) -> Plan:
    """Bring what is missing; return the plan as it was before. Resumes where an earlier one ended.

    ``arguments`` is what named the lab on the command line. Raises the errors of whatever went wrong;
    :class:`lab.errors.HostError` before anything is brought where this machine cannot make images.
    """
    topology = made_of.topology
    plan = Plan(
        lab=topology.name,
        topology=topology.declared_name,
        steps=made_of.steps(),
        budget=Budget(memory_mib=0, disk_mib=0, cpus=0),
        left_out=made_of.left_out,
    )

    ready.make_builder_ready(plan, is_built=made_of.is_built, assume_yes=assume_yes)

    def act(step: Step, context: Context) -> None:
        made_of.bring(step.id, say=context.say, cancelled=context.cancelled)

    journals = made_of.settings.state / "journals"
    with journal.Journal(journal.new_path(journals, "images")) as record:
        run(
            plan,
            {"image-part": act, "tool": act},
            progress=progress.for_stream(),
            journal=record,
            workers=_WORKERS,
            continue_with=f"./invoke images --build{arguments}",
            undo_with="",
        )
    return plan
