"""Putting right what the doctor found wrong, as far as it can be and may be done for the user.

Nothing is changed unasked: with ``--yes``, or after a question on a terminal, and only by root.
Else the user is told, all at once, what to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lab.clients import process
from lab.errors import HostError, ProvisionError
from lab.host import container_engine, network, sandbox
from lab.host.doctor import INOTIFY_INSTANCES, INOTIFY_WATCHES, Check, Fix
from lab.host.facts import Facts
from lab.settings import Settings

SYSCTL_FILE = Path("/etc/sysctl.d/60-multicluster-lab.conf")

INOTIFY = {
    "fs.inotify.max_user_instances": INOTIFY_INSTANCES,
    "fs.inotify.max_user_watches": INOTIFY_WATCHES,
}


def fixes(
    settings: Settings, facts: Facts, *, on_line: Callable[[str], None] | None = None
) -> Mapping[str, Fix]:
    """What could be done on this host, by the id of the check that it puts right.

    ``on_line`` gets the package manager's output. On systems that are set up in another way than
    Debian's there are fewer.
    """
    found: dict[str, Fix] = {}
    debian = process.find("apt-get") is not None

    def set_up() -> None:
        container_engine.set_up(settings, before_start=_before_start(settings), on_line=on_line)

    if facts.engine_is_here and facts.engine.condition is container_engine.Condition.ABSENT and debian:
        packages = " ".join(container_engine.missing_packages())
        found["engine"] = Fix(
            description="install Docker Engine and start it",
            command=f"apt-get update && apt-get install --no-install-recommends {packages}",
            apply=set_up,
        )
    if facts.engine_is_here and facts.engine.condition is container_engine.Condition.STOPPED:
        by_systemd = "systemctl enable --now docker"
        found["engine"] = Fix(
            description="start Docker Engine",
            command=by_systemd if facts.system.systemd else "dockerd &",
            apply=set_up,
        )
    if facts.engine_is_here and debian:
        found["capabilities"] = Fix(
            description=f"put a shim in front of runc, in {container_engine.DAEMON_JSON}",
            command=f"install -D -m 755 lab/host/runc-shim.sh {container_engine.SHIM}, and name it as "
            f'"default-runtime" in {container_engine.DAEMON_JSON}',
            apply=set_up,
        )
    if facts.engine_is_here:
        found["inotify"] = Fix(
            description=f"raise the limits of inotify, also in {SYSCTL_FILE}",
            command="sysctl -w " + " ".join(f"{name}={value}" for name, value in INOTIFY.items()),
            apply=raise_inotify,
        )
    return found


def make_ready(
    examine: Callable[[], Iterable[Check]],
    *,
    root: bool,
    assume_yes: bool,
    ask: Callable[[str], bool] | None = None,
    on_fix: Callable[[Fix], None] | None = None,
) -> tuple[Check, ...]:
    """Examine, fix what fails, examine again; return the checks, all of them ok.

    ``ask`` puts a question to the user, None where there is nobody to ask; ``on_fix`` is told of
    each fix before it is applied. Raises :class:`HostError` with every check that does not hold and
    its remedy, before anything is changed if one of them cannot be fixed.
    """
    failed = _failed(checks := tuple(examine()))
    if not failed:
        return checks
    plan = [check.fix for check in failed if check.fix is not None]
    if len(plan) < len(failed) or not root or not _agreed(plan, assume_yes=assume_yes, ask=ask):
        raise _not_ready(failed)
    # One deed can put several checks right: the engine's set-up includes the shim.
    for fix in {fix.apply: fix for fix in plan}.values():
        if on_fix is not None:
            on_fix(fix)
        try:
            fix.apply()
        except ProvisionError as error:
            raise HostError(
                f"could not {fix.description}", details=str(error), remedy=f"By hand: {fix.command}"
            ) from error
    # While the engine was away not everything could be examined; what comes to light is not fixed
    # behind the user's back, unless all was agreed to.
    failed = _failed(checks := tuple(examine()))
    if failed:
        raise _not_ready(failed)
    return checks


def raise_inotify() -> None:
    """Raise the limits now, and for after the next reboot; larger ones are kept."""
    lines = []
    for name, wanted in INOTIFY.items():
        current = int(Path("/proc/sys", name.replace(".", "/")).read_text())
        if current < wanted:
            process.run(["sysctl", "-w", f"{name}={wanted}"])
        lines.append(f"{name} = {max(current, wanted)}\n")
    SYSCTL_FILE.parent.mkdir(parents=True, exist_ok=True)
    SYSCTL_FILE.write_text(
        "# Several Kubernetes nodes on one machine share these limits (multicluster-lab).\n" + "".join(lines)
    )


def _before_start(settings: Settings) -> Callable[[], None] | None:
    """Where labs are to be isolated, an engine that we start is, before its first container is."""
    if not settings.isolated:
        return None

    def block() -> None:
        for interface in network.default_interfaces():
            sandbox.block_forwarding(interface)

    return block


def _failed(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def _agreed(plan: list[Fix], *, assume_yes: bool, ask: Callable[[str], bool] | None) -> bool:
    if assume_yes:
        return True
    if ask is None:
        return False
    deeds = "; ".join(dict.fromkeys(fix.description for fix in plan))
    return ask(f"This host needs some preparation: {deeds}. Do it now?")


def _not_ready(failed: list[Check]) -> HostError:
    details = "\n".join(f"{check.id}: found {check.found}; needed: {check.needed}" for check in failed)
    remedies = [f"{check.id}: {_advice(check)}" for check in failed]
    if all(check.fix is not None for check in failed):
        remedies.append("Or as root, with --yes, let this be done for you.")
    return HostError("this host is not ready for the lab", details=details, remedy="\n".join(remedies))


def _advice(check: Check) -> str:
    return check.fix.command if check.fix is not None else check.remedy
