"""A stand-in for Multipass where no virtual machine can be had: its command line, over containers.

What it accepts and answers is what Multipass' documentation and sources say; an option that these do not
have is refused as Multipass refuses it. Read for it, of https://github.com/canonical/multipass (published
under https://documentation.ubuntu.com/multipass/latest/):

- docs/reference/command-line-interface/{launch,list,info,exec,transfer,start,stop,suspend,delete,version,
  find,get,help,networks,purge}.md: options, states in which a command works, examples of output
- docs/reference/instance-states.md, instance-name-format.md: states, names
- include/multipass/cli/return_codes.h, include/multipass/constants.h: exit codes, 5 for a time-out
- src/client/cli/formatter/json_formatter.cpp, format_utils.cpp: JSON, the words for states
- src/client/cli/cmd/{launch,exec,delete}.cpp, src/client/common/client_common.cpp, src/daemon/daemon.cpp,
  src/daemon/base_cloud_init_config.h: error texts; that exec starts a machine that is stopped; vendor data
- issues 1039, 3314, 3485, 5060 (it waits for boot-finished, whatever cloud-init says), 1312 (too little
  memory), 2825 (a name that is taken), 3792 (addresses drift)

A machine is a container of an image made by machine_image.py, with systemd and Debian's cloud-init in it,
which finds its data in a NoCloud seed (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).
Its address is another one after every stop, which with Multipass only may happen.

    MULTIPASS_STANDIN_IMAGE     the machines' image, in the engine's store
    MULTIPASS_STANDIN_DIALECT   1.16 (default), or next: its newest documentation (the version is a guess)
    MULTIPASS_STANDIN_DAEMON    stopped: no daemon answers

Standard library, and the docker command.
"""

from __future__ import annotations

import io
import ipaddress
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = {"1.16": "1.16.1", "next": "1.17.0"}
LABEL = "lab.test/multipass"
NETWORK = "multipass-standin"
BRIDGE = "mpqemubr0"
SUBNET = ipaddress.ip_network("10.97.113.0/24")
IMAGES = {"24.04": ("noble",), "22.04": ("jammy",), "26.04": ("resolute", "lts")}
HOME = "/home/ubuntu"

OK, COMMAND_LINE, COMMAND, DAEMON, TIMEOUT = 0, 1, 2, 3, 5
_WAIT_S = 300.0
"""Multipass' own limit for start-up and initialisation, each."""

_VENDOR_DATA = """\
#cloud-config
users:
- default
manage_etc_hosts: true
"""


class Failure(Exception):
    """Ends the command with this exit code and text on stderr."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Options:
    """The options of a command: long names, with their short one, by whether they take a value."""

    flags: Mapping[str, str]
    values: Mapping[str, str]


def dialect() -> str:
    """The documentation that is followed."""
    return os.environ.get("MULTIPASS_STANDIN_DIALECT", "1.16")


def commands() -> dict[str, Options]:
    """Every command and its options, as ``multipass help COMMAND`` lists them."""
    newer = dialect() == "next"
    launch = {
        "cpus": "c",
        "disk": "d",
        "memory": "m",
        "name": "n",
        "cloud-init": "",
        "network": "",
        "mount": "",
        "timeout": "",
    }
    known = {
        "launch": ({"bridged": ""}, {**launch, **({"zone": ""} if newer else {})}),
        "list": ({"snapshots": ""}, {"format": ""}),
        "info": ({"snapshots": ""}, {"format": ""}),
        "exec": ({"no-map-working-directory": "n"}, {"working-directory": "d"}),
        "transfer": ({"recursive": "r", "parents": "p"}, {}),
        "start": ({"all": ""}, {"timeout": ""}),
        "stop": ({"all": "", "cancel": "c", "force": ""}, {"time": "t"}),
        "suspend": ({"all": ""}, {}),
        "delete": ({"all": "", **({"force": ""} if newer else {"purge": "p"})}, {}),
        "version": ({}, {"format": ""}),
        "find": ({"show-unsupported": "", "force-update": ""}, {"format": ""}),
        "get": ({"raw": "", "keys": ""}, {}),
        "networks": ({}, {"format": ""}),
        "purge": ({}, {}),
        "help": ({}, {}),
    }
    every = {"help": "h", "verbose": "v"}
    return {name: Options({**every, **flags}, values) for name, (flags, values) in known.items()}


def parsed(command: str, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options (flags are empty) and what else there is. Options may stand anywhere before ``--``."""
    known = commands()[command]
    long = {short: name for name, short in {**known.flags, **known.values}.items() if short}
    options: dict[str, str] = {}
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name if word.startswith("--") else long.get(name, name)
        if name in known.flags:
            options[name] = ""
        elif name in known.values:
            if not equals and not rest:
                raise Failure(COMMAND_LINE, f"Missing value after '{word}'.")
            options[name] = value if equals else rest.pop(0)
        else:
            raise Failure(COMMAND_LINE, f"Unknown option '{name}'.")
    return options, others


def docker(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """What ``docker WORDS`` prints."""
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Failure(COMMAND, f"stand-in: docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Machine:
    """A machine, and the container that it is."""

    name: str
    container: str
    state: str
    address: str
    """The one that it is given: by configuration, so known while it is stopped, too."""


def machines() -> dict[str, Machine]:
    """Every machine by name."""
    ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}").split()
    found = {}
    # One that another call removes between these two is none; the rest is told all the same.
    for each in json.loads(docker("inspect", *ids, check=False)) if ids else []:
        name = each["Config"]["Labels"][LABEL]
        network = each["NetworkSettings"]["Networks"].get(NETWORK) or {}
        state = {"running": "Running", "paused": "Suspended"}.get(each["State"]["Status"], "Stopped")
        if each["Name"].startswith("/multipass.deleted-"):
            state = "Deleted"
        address = (network.get("IPAMConfig") or {}).get("IPv4Address", "")
        found[name] = Machine(name, each["Id"], state, address)
    return found


def wanted(command: str, names: Sequence[str], *, deleted: bool = False) -> list[Machine]:
    """The machines that are named; a failure with every name that there is none of."""
    there = machines()
    wrong = [f'instance "{name}" does not exist' for name in names if name not in there]
    wrong += [
        f'instance "{name}" is deleted'
        for name in names
        if name in there and there[name].state == "Deleted" and not deleted
    ]
    if wrong:
        raise failed(command, "The following errors occurred:\n" + "\n".join(wrong))
    return [there[name] for name in names]


def failed(command: str, text: str) -> Failure:
    """A command that the daemon refused or could not do."""
    return Failure(COMMAND, f"{command} failed: {text}")


def as_json(command: str, options: Mapping[str, str], value: Any) -> None:
    """Print ``value``, if that is the format that was asked for: the only one that stands in."""
    form = options.get("format", "table")
    if form not in ("table", "json", "csv", "yaml"):
        raise Failure(COMMAND_LINE, "Invalid format type given.")
    if form != "json":
        raise Failure(COMMAND, f"stand-in: {command} --format {form} is not made up for")
    sys.stdout.write(json.dumps(value, indent=4) + "\n")


def size(text: str) -> int | None:
    """Bytes of a size, or None."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMG]?)i?B?", text, re.IGNORECASE)
    powers = {"": 0, "K": 1, "M": 2, "G": 3}
    return int(float(found[1]) * 1024 ** powers[found[2].upper()]) if found else None


def launch(words: Sequence[str]) -> int:
    """Make a container with the user data in its seed, start it, and wait for cloud-init's end."""
    options, others = parsed("launch", words)
    name, image = options.get("name", ""), others[0] if others else "24.04"
    memory, disk = options.get("memory", "1G"), options.get("disk", "5G")
    if len(others) > 1:
        raise Failure(COMMAND_LINE, "Too many arguments supplied")
    limit = options.get("timeout")
    if limit is not None and not re.fullmatch("[1-9][0-9]*", limit):
        raise Failure(COMMAND_LINE, "error: --timeout value has to be a positive integer")
    user_data = _user_data(options.get("cloud-init"))
    if not name or not re.fullmatch("[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?", name):
        raise failed("launch", f"Invalid arguments supplied\nInvalid instance name supplied: {name}")
    for text, least, what in ((memory, "512M", "memory"), (disk, "1G", "disk")):
        if (size(text) or 0) < (size(least) or 0):
            raise failed("launch", f"Invalid arguments supplied\nInvalid {what} size value supplied: {text}.")
    if name in machines():
        raise failed("launch", f'instance "{name}" already exists')
    if image not in IMAGES and image not in {alias for known in IMAGES.values() for alias in known}:
        raise failed("launch", f'Unable to find an image matching "{image}" in remote "".')
    if (size(memory) or 0) > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        qemu = "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory"
        raise failed(
            "launch", f"The following errors occurred:\n{qemu}\n{name}: shutdown called while starting"
        )
    container = _container(name, memory=size(memory) or 0)
    _seed(
        container,
        {
            "user-data": user_data,
            "vendor-data": _VENDOR_DATA,
            "meta-data": f"instance-id: {name}\nlocal-hostname: {name}\n",
        },
    )
    docker("start", container)
    _wait_for("launch", container, limit, "Timed out waiting for instance launch.")
    sys.stdout.write(f"Launched: {name}\n")
    return OK


def _user_data(source: str | None) -> str:
    if source is None:
        return "#cloud-config\n{}\n"
    if source == "-":
        return sys.stdin.read()
    if source.startswith(("http://", "https://")):
        raise Failure(COMMAND, "stand-in: user data by URL is not made up for")
    if not Path(source).is_file():
        raise Failure(COMMAND_LINE, f"error: No such file: {source}")
    return Path(source).read_text()


def _seed(container: str, files: Mapping[str, str]) -> None:
    """Put ``files`` where cloud-init's NoCloud data source looks, before the first start."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"var/lib/cloud/seed/nocloud/{name}")
            member.size, member.mode = len(text.encode()), 0o600
            archive.addfile(member, io.BytesIO(text.encode()))
    copy = ["docker", "cp", "-", f"{container}:/"]
    subprocess.run(copy, input=packed.getvalue(), check=True)


def _container(name: str, *, memory: int) -> str:
    make_network()
    return docker(
        "create",
        f"--name=multipass-{name}",
        f"--hostname={name}",
        f"--label={LABEL}={name}",
        f"--network={NETWORK}",
        f"--ip={_free_address()}",
        f"--memory={memory}",
        "--privileged",
        "--cgroupns=private",
        "--tmpfs=/run",
        "--tmpfs=/tmp",
        "--volume=/var",
        "--env=container=docker",
        "--stop-signal=SIGRTMIN+3",
        os.environ["MULTIPASS_STANDIN_IMAGE"],
        "/usr/local/sbin/machine-init",
    ).strip()


def make_network() -> None:
    """Have the network that machines are on; its bridge is called as Multipass', where that is not there."""
    if docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$").strip():
        return
    options = [f"--subnet={SUBNET}", f"--label={LABEL}"]
    if not Path("/sys/class/net", BRIDGE).exists():
        options.append(f"--opt=com.docker.network.bridge.name={BRIDGE}")
    # Not an internal one: its rules drop what comes from addresses that the engine did not give. That
    # nothing gets off this machine is machine-init's doing, which takes the default route away.
    docker("network", "create", *options, NETWORK, check=False)


def _free_address(besides: str = "") -> str:
    taken = {each.address for each in machines().values()} | {besides}
    # Where several are launched at once, each begins elsewhere.
    hosts = list(SUBNET.hosts())[9:]
    start = os.getpid() % len(hosts)
    return next(str(each) for each in (*hosts[start:], *hosts[:start]) if str(each) not in taken)


def _wait_for(command: str, container: str, limit: str | None, late: str) -> None:
    """Wait until cloud-init has ended, well or not, as Multipass does."""
    deadline = time.monotonic() + (float(limit) if limit else _WAIT_S)
    there = ["docker", "exec", container, "test", "-e", "/var/lib/cloud/instance/boot-finished"]
    while subprocess.run(there, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            if limit:
                raise Failure(TIMEOUT, late)
            text = "The following errors occurred:\ntimed out waiting for initialization to complete"
            raise failed(command, text)
        time.sleep(1)


def listed(words: Sequence[str]) -> int:
    """Tell of every machine; of a running one, every address that it has, its own first."""
    options, _ = parsed("list", words)
    found = []
    for each in machines().values():
        running = each.state == "Running"
        inside = docker("exec", each.container, "hostname", "-I", check=False).split() if running else []
        others = [address for address in inside if address != each.address and ":" not in address]
        found.append(
            {
                "ipv4": [each.address, *others] if running else [],
                "name": each.name,
                "release": "Ubuntu 24.04 LTS" if running else "Not Available",
                "state": each.state,
            }
        )
    as_json("list", options, {"list": found})
    return OK


def info(words: Sequence[str]) -> int:
    """Tell more of the machines that are named."""
    options, names = parsed("info", words)
    found = {}
    for each in wanted("info", names or list(machines()), deleted=True):
        running = each.state == "Running"
        found[each.name] = {
            "cpu_count": str(os.cpu_count()) if running else "",
            "ipv4": [each.address] if running else [],
            "memory": _memory(each.container) if running else {},
            "mounts": {},
            "release": "Ubuntu 24.04 LTS" if running else "",
            "state": each.state,
        }
    as_json("info", options, {"errors": [], "info": found})
    return OK


def _memory(container: str) -> dict[str, int]:
    # `free` would tell of the host.
    look = """
        cd /sys/fs/cgroup
        if [ -f memory.current ]; then
            cat memory.current; sed -n 's/^inactive_file //p' memory.stat; cat memory.max
        else
            cd memory
            cat memory.usage_in_bytes; sed -n 's/^total_inactive_file //p' memory.stat
            cat memory.limit_in_bytes
        fi"""
    used, cache, total = docker("exec", container, "sh", "-c", look).split()
    return {"used": max(0, int(used) - int(cache)), "total": int(total) if total.isdigit() else 0}


def execute(words: Sequence[str]) -> int:
    """Run a command as the machine's user; a machine that does not run is started first."""
    options, others = parsed("exec", words)
    if len(others) < 2:
        raise Failure(COMMAND_LINE, "Wrong number of arguments")
    if {"working-directory", "no-map-working-directory"} <= options.keys():
        text = "Options --working-directory and --no-map-working-directory clash"
        raise Failure(COMMAND_LINE, text)
    [machine] = wanted("exec", others[:1])
    if machine.state != "Running":
        start([machine.name])
    folder = options.get("working-directory", HOME)
    inside = ["--interactive", "--user=ubuntu", f"--workdir={folder}", f"--env=HOME={HOME}"]
    return subprocess.run(["docker", "exec", *inside, machine.container, *others[1:]], check=False).returncode


def transfer(words: Sequence[str]) -> int:
    """Copy one file from stdin, or to stdout."""
    _, paths = parsed("transfer", words)
    if len(paths) != 2 or "-" not in paths:
        raise Failure(COMMAND, "stand-in: transfer is made up for one file, from or to -")
    source, target = paths
    place = target if source == "-" else source
    name, colon, path = place.partition(":")
    if not colon:
        raise Failure(COMMAND_LINE, "An instance name is needed for either source or destination")
    [machine] = wanted("transfer", [name])
    if machine.state != "Running":
        raise failed("transfer", f'instance "{name}" is not running')
    act = 'cat >"$1"' if source == "-" else 'cat "$1"'
    inside = ["--interactive", "--user=ubuntu", f"--workdir={HOME}"]
    shell = ["sh", "-c", act, "sh", path or "."]
    done = subprocess.run(
        ["docker", "exec", *inside, machine.container, *shell], stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise Failure(COMMAND, "[error] [sftp] remote target does not exist")
    return OK


def start(words: Sequence[str]) -> int:
    """Start what is stopped, under another address, and what is suspended, under its own."""
    options, names = parsed("start", words)
    limit = options.get("timeout")
    for machine in wanted("start", names):
        if machine.state == "Suspended":
            docker("unpause", machine.container)
        elif machine.state == "Stopped":
            docker("network", "disconnect", NETWORK, machine.container, check=False)
            address = _free_address(besides=machine.address)
            docker("network", "connect", f"--ip={address}", NETWORK, machine.container)
            docker("start", machine.container)
            _wait_for("start", machine.container, limit, "Timed out waiting for instance to start.")
    return OK


def stop(words: Sequence[str]) -> int:
    """Shut down what runs; with --force, kill it, whatever state it is in."""
    options, names = parsed("stop", words)
    for machine in wanted("stop", names):
        if machine.state == "Suspended" and "force" in options:
            docker("unpause", machine.container)
        elif machine.state != "Running":
            continue
        docker(*(("kill",) if "force" in options else ("stop", "--time=120")), machine.container)
    return OK


def suspend(words: Sequence[str]) -> int:
    """Freeze what runs."""
    _, names = parsed("suspend", words)
    for machine in wanted("suspend", names):
        if machine.state == "Running":
            docker("pause", machine.container)
    return OK


def delete(words: Sequence[str]) -> int:
    """Remove machines: into the trash, or for good."""
    options, names = parsed("delete", words)
    if not names and "all" not in options:
        raise Failure(COMMAND_LINE, "Name argument or --all is required")
    if dialect() == "next" and "force" not in options and not sys.stdin.isatty():
        raise failed("delete", "Unable to query client for confirmation. Use --force to skip it.")
    for machine in wanted("delete", names, deleted=True):
        if {"purge", "force"} & options.keys():
            docker("rm", "--force", "--volumes", machine.container)
        elif machine.state != "Deleted":
            if machine.state == "Suspended":
                docker("unpause", machine.container)
            docker("stop", "--time=120", machine.container)
            docker("rename", machine.container, f"multipass.deleted-{machine.name}")
    return OK


def purge(words: Sequence[str]) -> int:
    """Empty the trash."""
    parsed("purge", words)
    for machine in machines().values():
        if machine.state == "Deleted":
            docker("rm", "--force", "--volumes", machine.container)
    return OK


def version(words: Sequence[str]) -> int:
    """Tell the version of the client, and of the daemon where one answers."""
    options, _ = parsed("version", words)
    number = VERSION[dialect()]
    if _answers():
        # The daemon makes it when it starts.
        make_network()
    as_json("version", options, {"multipass": number, **({"multipassd": number} if _answers() else {})})
    return OK


def find(words: Sequence[str]) -> int:
    """Tell of images."""
    options, others = parsed("find", words)
    found = {
        name: {
            "aliases": list(aliases),
            "os": "Ubuntu",
            "release": f"{name} LTS",
            "remote": "",
            "version": "",
        }
        for name, aliases in IMAGES.items()
        if not others or others[0] in (name, *aliases)
    }
    if not found:
        raise failed("find", f'Unable to find an image matching "{others[0]}" in remote "".')
    as_json("find", options, {"blueprints (deprecated)": {}, "errors": [], "images": found})
    return OK


def get(words: Sequence[str]) -> int:
    """Tell a setting."""
    _, others = parsed("get", words)
    if others != ["local.driver"]:
        raise Failure(COMMAND_LINE, f"Unrecognized settings key: '{' '.join(others)}'")
    sys.stdout.write("qemu\n")
    return OK


def networks(words: Sequence[str]) -> int:
    """Tell of the host's networks."""
    options, _ = parsed("networks", words)
    as_json("networks", options, {"list": []})
    return OK


def helped(words: Sequence[str]) -> int:
    """Tell the options of a command."""
    _, others = parsed("help", words)
    command = others[0] if others else "help"
    if command not in commands():
        raise Failure(COMMAND_LINE, f"Error: Unknown Command: '{command}'")
    known = commands()[command]
    lines = [f"Usage: multipass {command} [options]", "", "Options:"]
    for name, short in {**known.flags, **known.values}.items():
        value = f" <{name}>" if name in known.values else ""
        lines.append(f"  {f'-{short}, ' if short else ''}--{name}{value}")
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def _answers() -> bool:
    return os.environ.get("MULTIPASS_STANDIN_DAEMON") != "stopped"


ACTS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "launch": launch,
    "list": listed,
    "info": info,
    "exec": execute,
    "transfer": transfer,
    "start": start,
    "stop": stop,
    "suspend": suspend,
    "delete": delete,
    "purge": purge,
    "version": version,
    "find": find,
    "get": get,
    "networks": networks,
    "help": helped,
}


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    command, *rest = words or ["help"]
    try:
        return _act(command, rest)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.code


def _act(command: str, rest: Sequence[str]) -> int:
    if command not in ACTS:
        raise Failure(COMMAND_LINE, f"Error: Unknown Command: '{command}'")
    parsed(command, rest)
    if command not in ("version", "help") and not _answers():
        raise Failure(DAEMON, f"{command} failed: cannot connect to the multipass socket")
    return ACTS[command](rest)
