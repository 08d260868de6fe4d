"""The only door to the container engine, and the only module that imports python-on-whales.

Short commands go through python-on-whales. It has no time limits of its own, reads one object per
process (and again for every attribute older than 10 ms, ``CACHE_VALIDITY_PERIOD``), and puts the
values of environment variables on the command line; so what may take long, answers for many
objects at once, reads stdin or carries secrets is asked of the same ``docker`` executable through
``lab.clients.docker_cli``. Whichever it is: what comes out is a small value of ours, and what goes
wrong is an :class:`EngineUnreachable` (exit code 3) or a :class:`ProvisionError` (4).

Every function may be called from several threads. ``timeout`` is in seconds everywhere.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, TypeVar

from lab.clients import process
from lab.clients.docker_cli import (
    LONG_S,
    SHORT_S,
    EngineUnreachable,
    Reason,
    converted,
    env_arguments,
    inspected,
    label_arguments,
    label_filters,
    run,
)
from lab.clients.docker_images import commit, image, images, load, pull, remove_image, save, tag
from lab.clients.docker_objects import (
    Container,
    Engine,
    EngineNetwork,
    Image,
    Volume,
    container_from,
    engine_from,
    network_from,
    volume_from,
)
from lab.errors import ProvisionError

if TYPE_CHECKING:
    from python_on_whales import DockerClient

__all__ = [
    "Container",
    "Engine",
    "EngineNetwork",
    "EngineUnreachable",
    "Image",
    "Reason",
    "Volume",
    "commit",
    "container",
    "containers",
    "copy_to",
    "create_network",
    "engine",
    "execute",
    "image",
    "images",
    "kill_container",
    "load",
    "logs",
    "networks",
    "pause_container",
    "pull",
    "remove_container",
    "remove_image",
    "remove_network",
    "remove_volume",
    "run_container",
    "save",
    "start_container",
    "stop_container",
    "tag",
    "unpause_container",
    "volumes",
]

_ID = re.compile(r"[0-9a-f]{12,64}")

T = TypeVar("T")


@functools.cache
def _client() -> DockerClient:
    from python_on_whales import DockerClient

    return DockerClient()


def _call(what: str, act: Callable[[DockerClient], T], *, timeout: float = SHORT_S) -> T:
    """Have python-on-whales do ``act``, but wait for it no longer than ``timeout`` seconds.

    A command that hangs is left to a daemon thread, which ends with it or with us.
    """
    from python_on_whales import ClientNotFoundError
    from python_on_whales.exceptions import DockerException

    outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            outcome.put((act(_client()), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again below, where it is waited for
            outcome.put((None, error))

    Thread(target=work, name=f"docker {what}", daemon=True).start()
    try:
        result, error = outcome.get(timeout=timeout)
    except Empty:
        raise ProvisionError(
            f"docker {what} did not end within {timeout:g} s",
            remedy="The engine may hang: look at its log, and at 'docker info'.",
        ) from None
    if isinstance(error, ClientNotFoundError):
        raise EngineUnreachable(Reason.ABSENT) from error
    if isinstance(error, DockerException):
        raise converted(what, error.stderr or error.stdout or "") from error
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # without an error it is act's own


def _remove(there: Callable[[], bool], act: Callable[[], None]) -> None:
    """Have ``act`` remove what is ``there``; that somebody else did it meanwhile is no failure."""
    if not there():
        return
    try:
        act()
    except ProvisionError:
        if there():
            raise


def engine(*, timeout: float = SHORT_S) -> Engine:
    """The engine that answers, as it describes itself. Raises :class:`EngineUnreachable`."""
    info = json.loads(run("info", "--format", "{{json .}}", timeout=timeout).stdout)
    # A client older than 23 puts the refusal into a field and ends with 0.
    if not info.get("ServerVersion"):
        raise converted(
            "info", "\n".join(info.get("ServerErrors") or ["Cannot connect to the Docker daemon"])
        )
    return engine_from(info)


# ---- networks and volumes


def networks(label: str | None = None) -> list[EngineNetwork]:
    """All networks, or those with ``label`` (``name`` or ``name=value``)."""
    listing = ["--no-trunc", *([f"--filter=label={label}"] if label else [])]
    return [network_from(item) for item in inspected("network", listing)]


def create_network(
    name: str, *, subnet: str, labels: Mapping[str, str], bridge: str | None = None, mtu: int | None = None
) -> EngineNetwork:
    """Make a bridge network of the IPv4 ``subnet``.

    ``bridge`` names the host's interface, 15 characters at most, so that firewall rules can be
    made before the network is. Raises :class:`ProvisionError`, also when the name or the subnet is
    taken: Docker would make a second network of the same name, kind would then refuse both.
    """
    if any(network.name == name for network in networks()):
        raise ProvisionError(
            f"a container network called {name} exists already", remedy=f"Remove it: docker network rm {name}"
        )
    options = []
    if bridge is not None:
        options.append(f"com.docker.network.bridge.name={bridge}")
    if mtu is not None:
        options.append(f"com.docker.network.driver.mtu={mtu}")
    _call(
        f"network create {name}",
        lambda client: client.network.create(
            name, driver="bridge", subnet=subnet, labels=dict(labels), options=options
        ),
    )
    return next(network for network in networks() if network.name == name)


def remove_network(name: str) -> None:
    """Remove the network ``name``, if it exists. Raises :class:`ProvisionError` while it is in use."""
    _remove(
        lambda: any(network.name == name for network in networks()),
        lambda: _call(f"network rm {name}", lambda client: client.network.remove(name)),
    )


def volumes(label: str | None = None) -> list[Volume]:
    """All volumes, or those with ``label`` (``name`` or ``name=value``)."""
    listing = [f"--filter=label={label}"] if label else []
    return [volume_from(item) for item in inspected("volume", listing)]


def remove_volume(name: str) -> None:
    """Remove the volume ``name``, if it exists. Raises :class:`ProvisionError` while it is in use."""
    _remove(
        lambda: any(volume.name == name for volume in volumes()),
        lambda: _call(f"volume rm {name}", lambda client: client.volume.remove(name)),
    )


# ---- containers


def containers(*, labels: Mapping[str, str | None] | None = None, all: bool = True) -> list[Container]:
    """Containers with all of ``labels`` (None: any value), newest first; ``all=False``: running ones."""
    listing = ["--no-trunc", *(["--all"] if all else []), *label_filters(labels or {})]
    return [container_from(item) for item in inspected("container", listing)]


def container(name: str) -> Container | None:
    """The container called exactly ``name`` (or with that id), if there is one."""
    by_name = ["--no-trunc", "--all", f"--filter=name=^/?{re.escape(name)}$"]
    found = inspected("container", by_name)
    if not found and _ID.fullmatch(name):
        found = inspected("container", ["--no-trunc", "--all", f"--filter=id={name}"])
    return container_from(found[0]) if found else None


def start_container(name: str) -> None:
    """Start the stopped container ``name``; one that runs is left alone."""
    _call(f"start {name}", lambda client: client.container.start(name))


def stop_container(name: str, *, grace: int = 10) -> None:
    """Ask ``name`` to end, and kill it after ``grace`` seconds; one that is stopped is left alone."""
    # python-on-whales 0.81 drops a whole number of seconds, and a timedelta it writes as Docker cannot read.
    run("stop", "-t", str(grace), name, timeout=SHORT_S + grace)


def kill_container(name: str, *, signal: str = "KILL") -> None:
    """Send ``signal`` to the first process of ``name``; it is an error if that is not running."""
    _call(f"kill {name}", lambda client: client.container.kill(name, signal=signal))


def pause_container(name: str) -> None:
    """Freeze all processes of ``name``: alive for the engine, silent for everybody else."""
    _call(f"pause {name}", lambda client: client.container.pause(name))


def unpause_container(name: str) -> None:
    """Undo :func:`pause_container`."""
    _call(f"unpause {name}", lambda client: client.container.unpause(name))


def remove_container(name: str, *, force: bool = True) -> None:
    """Remove ``name`` with its anonymous volumes, if it exists; ``force`` also if it runs."""

    def there() -> bool:
        found = container(name)
        # One that is being removed already, by --rm or by somebody else, refuses to be removed again.
        return found is not None and found.status != "removing"

    _remove(
        there,
        lambda: _call(f"rm {name}", lambda client: client.container.remove(name, force=force, volumes=True)),
    )


def run_container(
    image: str,
    *,
    name: str | None = None,
    command: Sequence[str] = (),
    entrypoint: str | None = None,
    labels: Mapping[str, str] | None = None,
    network: str = "none",
    address: str | None = None,
    privileged: bool = False,
    volumes: Sequence[str] = (),
    tmpfs: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    publish: Sequence[str] = (),
    hostname: str | None = None,
    stop_signal: str | None = None,
    cgroupns: str | None = None,
    restart: str | None = None,
    detach: bool = True,
    remove: bool = False,
    timeout: float | None = None,
) -> str:
    """Run ``command`` in a new container of ``image``, which must be in the store: nothing is pulled.

    Returns the container's id with ``detach``, else what it wrote to stdout. ``network`` is
    ``none`` unless it is given; ``address`` is an IPv4 address in it. ``volumes`` are
    ``source:target[:options]`` (or ``target`` alone: an anonymous volume), ``publish`` are
    ``127.0.0.1:host:container``. Values of ``env`` reach it through no argument. Raises
    :class:`process.CommandError`, a :class:`ProvisionError`: with the command's exit code, its
    container kept for :func:`logs`; or, its container removed, when it could not start or did not end
    within ``timeout``.
    """
    name = name or f"lab-{uuid.uuid4().hex[:12]}"
    words = ["run", "--pull=never", f"--name={name}", f"--network={network}", *label_arguments(labels or {})]
    for option, value in (
        ("entrypoint", entrypoint),
        ("ip", address),
        ("hostname", hostname),
        ("stop-signal", stop_signal),
        ("cgroupns", cgroupns),
        ("restart", restart),
    ):
        if value is not None:
            words.append(f"--{option}={value}")
    for option, values in (("volume", volumes), ("tmpfs", tmpfs), ("publish", publish)):
        words += [f"--{option}={value}" for value in values]
    variables, passed = env_arguments(env or {})
    words += variables
    for option, wanted in (("privileged", privileged), ("detach", detach), ("rm", remove)):
        if wanted:
            words.append(f"--{option}")
    limit = timeout if timeout is not None else SHORT_S if detach else LONG_S
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        id_file = Path(folder) / "id"
        try:
            result = run(*words, f"--cidfile={id_file}", image, *command, timeout=limit, env=passed)
        except BaseException as error:
            ended = isinstance(error, process.CommandError) and error.exit_code_of_command is not None
            # By its id: a run that failed because the name is taken has no container of its own.
            if id_file.exists() and (detach or not ended):
                remove_container(id_file.read_text())
            raise
    return result.stdout.rstrip("\n")


def execute(
    container: str,
    command: Sequence[str],
    *,
    input: str | bytes | IO[bytes] | None = None,
    timeout: float = SHORT_S,
    env: Mapping[str, str] | None = None,
    privileged: bool = False,
) -> str:
    """Run ``command`` in the running ``container`` and return its stdout.

    Values of ``env`` reach it through no argument. On a time-out the docker client is ended; the
    command inside may go on (Docker has no way to end it). Raises :class:`process.CommandError`, a
    :class:`ProvisionError`, with the exit code.
    """
    words = [
        "exec",
        *(["--interactive"] if input is not None else []),
        *(["--privileged"] if privileged else []),
    ]
    variables, passed = env_arguments(env or {})
    return run(*words, *variables, container, *command, timeout=timeout, input=input, env=passed).stdout


def copy_to(container: str, source: Path, target: str) -> None:
    """Copy the file or folder ``source`` into ``container`` at ``target``, as ``docker cp`` names it."""
    _call(f"cp to {container}", lambda client: client.copy(source, (container, target)), timeout=LONG_S)


def logs(container: str, *, tail: int = 200) -> str:
    """The last ``tail`` lines that ``container`` wrote: its stdout, then its stderr."""
    result = run("logs", f"--tail={tail}", container)
    return result.stdout + result.stderr
