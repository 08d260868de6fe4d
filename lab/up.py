"""``up`` and ``plan``: from a topology to a lab that was seen to work. The story, on one screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from lab import actions, console, installed, observe, ready, state
from lab.catalog.trial import require_renderable
from lab.degrade import faults
from lab.engine import journal, progress
from lab.engine.run import run
from lab.errors import HostError
from lab.evidence import evidence
from lab.mesh import ca
from lab.plan.resolve import resolve
from lab.plan.step import Plan
from lab.settings import Settings
from lab.supply import Supply, supply
from lab.survey.survey import survey
from lab.workspace import Workspace, open_workspace

WORKERS = 16
"""Steps at once: they mostly wait, for containers and for pods."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, as words of the command line."""

    topology: str
    name: str | None = None
    images: str = "auto"
    only: str = ""
    without: str = ""
    isolated: bool = False
    yes: bool = False
    recreate: bool = False


def up(settings: Settings, request: Request) -> Plan:
    """Make the lab, or finish making it; return the plan as it was before.

    Raises the errors of whatever went wrong, each with the command that continues.
    """
    workspace = open_workspace(settings, request.topology, name=request.name, isolated=request.isolated)
    with state.locked(settings, workspace.lab):
        # The host first: nothing below works without a container engine.
        ready.make_ready(workspace, assume_yes=request.yes)
        # Read again: with an engine running, its networks count as taken, too.
        workspace = open_workspace(settings, request.topology, name=request.name, isolated=request.isolated)
        made_of = _supply(workspace, request)
        if mended := faults.settle(workspace, remedy=f"Remove the lab: ./invoke down{workspace.arguments}"):
            console.note(f"An earlier experiment was cut off; undone now: {mended}.")
        workspace = survey(workspace, made_of.placed, source=made_of.source.name)
        plan = _plan(workspace, made_of)
        maker = actions.Maker(workspace, made_of, made_of.placed, recreate=request.recreate, prove=plan.prove)
        maker.require_same()
        _require_consent(plan, made_of, assume_yes=request.yes)
        ready.make_builder_ready(plan, is_built=made_of.is_built, assume_yes=request.yes)
        # What is refused above leaves nothing behind.
        workspace.folder.keep(workspace.topology.kept)
        # Made before the steps that need it run side by side.
        ca.authority(workspace.folder.ca, lab=workspace.lab)
        workspace.folder.make_seed()
        _remember_what_to_prove(workspace, plan)
        with journal.Journal(journal.new_path(workspace.folder.journals, "up")) as record:
            run(
                plan,
                maker.actions(),
                progress=progress.for_stream(),
                journal=record,
                workers=WORKERS,
                evidence=partial(evidence, workspace),
                continue_with=f"./invoke up{workspace.arguments}",
                undo_with=f"./invoke down{workspace.arguments}",
            )
        # What lay in a cluster that was not up before.
        if swept := faults.sweep(workspace):
            console.note(f"Of an earlier experiment: {swept}.")
        return plan


def plan(settings: Settings, request: Request) -> Plan:
    """What :func:`up` would do now. Changes nothing, and works without a container engine."""
    workspace = open_workspace(settings, request.topology, name=request.name, isolated=request.isolated)
    made_of = _supply(workspace, request)
    return _plan(survey(workspace, made_of.placed, source=made_of.source.name), made_of)


def words(text: str) -> tuple[str, ...]:
    """The names in a list that is separated by commas."""
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def _supply(workspace: Workspace, request: Request) -> Supply:
    wanted = installed.placed(workspace, only=words(request.only), without=words(request.without))
    require_renderable(workspace.topology, wanted)
    return supply(workspace.settings, workspace.topology, images=request.images, wanted=wanted)


def _plan(workspace: Workspace, made_of: Supply) -> Plan:
    seen = observe.observe(
        workspace,
        node_image=made_of.node_image,
        placed=made_of.placed,
        staying={each.place for each in installed.placed(workspace)},
    )
    durations = journal.last_durations(workspace.folder.journals)
    made = resolve(
        workspace.topology, seen, bring=made_of.steps(), placed=made_of.placed, durations=durations
    )
    return replace(made, left_out=made_of.left_out)


def _remember_what_to_prove(workspace: Workspace, plan: Plan) -> None:
    """Write down what this run may change, so that it is proved even if this run never comes to it."""
    if plan.prove is None:
        workspace.folder.write("verified", "")
    elif plan.prove:
        # What is not asked for this time may still be owed from an earlier run.
        owed = dict.fromkeys((*workspace.folder.read("to-prove").split(), *plan.prove))
        workspace.folder.write("to-prove", " ".join(owed))


def _require_consent(plan: Plan, made_of: Supply, *, assume_yes: bool) -> None:
    """Building from source takes long and a lot of disk: nobody should be surprised by that."""
    building = [step for step in plan.pending if step.kind in {"image-part", "tool"}]
    programs = [step for step in building if step.id.startswith("images/program/")]
    if not (made_of.is_built and programs):
        return
    rest = replace(
        plan, steps=tuple(replace(step, done=True) if step in building else step for step in plan.steps)
    )
    seconds = made_of.takes_s(building) + (rest.estimate_s or 0.0)
    console.note(
        f"No container registry can be used, so {len(programs)} programs are built from source, once: with "
        f"that it takes about {console.duration(seconds)} on two cores until the lab is up."
    )
    if not console.confirm("Build them now?", assume_yes=assume_yes):
        raise HostError(
            "images must be built, and nobody agreed to it",
            remedy="Run it again with --yes, or say where images are: --images registry (see LAB_MIRRORS).",
        )
