"""The wrapper ./invoke, in a checkout of its own that is all but empty. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

WRAPPER = Path(__file__).resolve().parents[2] / "invoke"

LOCK = "# nothing is needed\n"

ECHO = """
import sys
print("ran", *sys.argv[1:])
"""

QUICK_PYTHON = """\
case "$1" in
    -c) case "$2" in *ensurepip*) [ ! -e "$0.lacks-venv" ] ;; esac ;;
    -m) if [ "$2" = venv ]; then
            mkdir -p "$3/bin" "$3/lib/python3/site-packages"
            cp "$0" "$3/bin/python"
        fi ;;
    -I) shift 3; echo "ran $*" ;;
esac
"""
"""What the wrapper needs of a Python, without the seconds that a real environment takes."""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the wrapper, a lock file that needs nothing, and a ``lab.cli`` that echoes."""
    here = tmp_path / "check out"
    (here / "lab").mkdir(parents=True)
    shutil.copy2(WRAPPER, here / "invoke")
    (here / "requirements.lock").write_text(LOCK)
    (here / "lab" / "__init__.py").touch()
    (here / "lab" / "cli.py").write_text(ECHO)
    return here


@pytest.fixture
def bare(tmp_path):
    """A PATH with what the wrapper needs and no Python; more is added by a test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tools = "sh dirname readlink sha256sum cat cp rm mv mkdir tail sed id sleep flock".split()
    for tool in tools:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    return folder


def tool(folder: Path, name: str, program: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)


def quick(bare: Path) -> None:
    tool(bare, "python3", QUICK_PYTHON)


def old_python(folder: Path, name: str = "python3") -> None:
    tool(folder, name, 'case "$1" in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac')


def python_without_venv(folder: Path) -> None:
    """As Debian's: new enough, and without ensurepip until apt-get has brought it."""
    tool(folder, "python3", QUICK_PYTHON)
    (folder / "python3.lacks-venv").touch()


def environment(path: Path | None) -> dict[str, str]:
    """``path`` alone as PATH; without it, the Python of these tests. No index can be reached."""
    env = {"HOME": os.devnull, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    if path is not None:
        return {**env, "PATH": str(path)}
    return {**env, "PATH": os.environ["PATH"], "LAB_PYTHON": sys.executable}


def invoke(
    checkout: Path, *arguments: str, path: Path | None = None, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "invoke", *arguments],
        env={**environment(path), **more},
        cwd=cwd or checkout,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wheel(folder: Path) -> str:
    """Put a package ``labtiny`` into ``folder`` and return its line for a lock file."""
    path = folder / "labtiny-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labtiny.py", "word = 'tiny'\n")
        archive.writestr("labtiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: labtiny\nVersion: 1\n")
        archive.writestr("labtiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("labtiny-1.dist-info/RECORD", "")
    return f"labtiny==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_a_real_environment(checkout, tmp_path):
    """The one test that takes the seconds: packages by hash, our own modules, and no second time."""
    (checkout / "requirements.lock").write_text(wheel(tmp_path))
    (checkout / "lab" / "cli.py").write_text("import sys, labtiny\nprint(labtiny.word, *sys.argv[1:])\n")
    # What the caller's folder and PYTHONPATH hold must not get in the way.
    (tmp_path / "labtiny.py").write_text("word = 'wrong'\n")

    first = invoke(
        checkout, "up", "a b", cwd=tmp_path, PIP_FIND_LINKS=str(tmp_path), PYTHONPATH=str(tmp_path)
    )
    second = invoke(checkout, "--list", cwd=tmp_path, PYTHONPATH=str(tmp_path))

    assert (first.returncode, first.stdout) == (0, "tiny up a b\n"), first.stderr
    assert first.stderr == "setting up .venv, once (downloads packages, about a minute)\n"
    assert (second.returncode, second.stdout, second.stderr) == (0, "tiny --list\n", "")


def test_packages_that_are_not_what_the_lock_says(checkout, bare, tmp_path):
    wheel(tmp_path)
    (checkout / "requirements.lock").write_text(f"labtiny==1 --hash=sha256:{'0' * 64}\n")
    tool(bare, "python3", QUICK_PYTHON.replace("fi ;;", f'else exec {sys.executable} "$@"; fi ;;'))

    done = invoke(checkout, "up", path=bare, PIP_FIND_LINKS=str(tmp_path), PIP_TARGET=str(tmp_path / "site"))

    assert done.returncode == 3
    assert done.stdout == ""
    assert "error: pip could not install what requirements.lock names\n" in done.stderr
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "Check the network, or pip's configuration (PIP_INDEX_URL, pip.conf)" in done.stderr
    assert not (checkout / ".venv" / "lab-stamp").exists()


def test_pip_that_fails_is_heard_and_tried_again(checkout, bare):
    failing = QUICK_PYTHON.replace("fi ;;", 'else seq 20 | sed "s/^/line /"; exit 1; fi ;;')
    tool(bare, "python3", failing)
    (bare / "seq").symlink_to(shutil.which("seq") or "seq")

    done = invoke(checkout, "up", path=bare)
    quick(bare)
    again = invoke(checkout, "up", path=bare)

    assert done.returncode == 3
    assert "  line 20\n" in done.stderr
    assert "line 8\n" not in done.stderr
    assert again.stdout == "ran up\n"


def test_a_half_made_or_outdated_environment_is_made_again(checkout, bare):
    quick(bare)

    def made_anew(*, because: str) -> None:
        (checkout / ".venv" / "leftover").touch()
        done = invoke(checkout, "up", path=bare)
        assert done.stdout == "ran up\n", because
        assert "setting up .venv" in done.stderr, because
        assert not (checkout / ".venv" / "leftover").exists(), because
        assert invoke(checkout, "up", path=bare).stderr == "", because

    (checkout / ".venv").mkdir()
    made_anew(because="it has no stamp")
    (checkout / "requirements.lock").write_text("# changed\n")
    made_anew(because="the lock has changed")
    (checkout / ".venv" / "bin" / "python").unlink()
    made_anew(because="its Python has gone")


def test_a_checkout_that_moved_is_made_anew(checkout, bare):
    quick(bare)
    invoke(checkout, "up", path=bare)
    moved = checkout.rename(checkout.parent / "moved")

    assert "setting up .venv" in invoke(moved, "up", path=bare).stderr


@pytest.mark.parametrize("with_flock", [True, False])
def test_two_first_uses_at_once_do_not_clash(checkout, bare, with_flock):
    tool(bare, "python3", QUICK_PYTHON.replace("mkdir -p", "sleep 0.5; mkdir -p"))
    if not with_flock:
        (bare / "flock").unlink(missing_ok=True)
    runs = [
        subprocess.Popen(
            [checkout / "invoke", str(number)],
            env=environment(bare),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    ends = [run.communicate(timeout=60) for run in runs]

    assert [out for out, _ in ends] == ["ran 0\n", "ran 1\n", "ran 2\n"]
    assert sum("setting up .venv, once" in err for _, err in ends) == 1


def test_a_lock_whose_owner_was_killed_is_taken_over(checkout, bare):
    quick(bare)
    (bare / "flock").unlink(missing_ok=True)
    stale = checkout / ".venv.lock.d"
    stale.mkdir()
    (stale / "pid").write_text("999999999\n")

    assert invoke(checkout, "up", path=bare).stdout == "ran up\n"
    assert not stale.exists()


def test_through_a_symbolic_link_and_from_elsewhere(checkout, bare, tmp_path):
    quick(bare)
    (tmp_path / "first").symlink_to("check out/invoke")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "second"
    link.symlink_to("../first")

    done = subprocess.run(
        [link, "x"], cwd="/", env=environment(bare), capture_output=True, text=True, timeout=20, check=False
    )

    assert done.stdout == "ran x\n"
    assert (checkout / ".venv" / "lab-stamp").exists()


def test_no_python(checkout, bare):
    done = invoke(checkout, "up", path=bare)

    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == (
        "error: Python 3.11 or newer is needed, and there is none on PATH\n"
        "Install Python 3.11 or newer with its venv module, then run this again.\n"
    )


def test_a_python_that_is_too_old(checkout, bare):
    old_python(bare)

    done = invoke(checkout, "up", path=bare)

    assert done.returncode == 3
    assert done.stderr == (
        "error: Python 3.11 or newer is needed, and python3 is Python 3.9.2\n"
        "Install a newer one beside it and name it: LAB_PYTHON=/path/to/python3.12 ./invoke ...\n"
    )


def test_a_newer_python_beside_an_old_one_is_found(checkout, bare):
    old_python(bare)
    tool(bare, "python3.12", QUICK_PYTHON)

    assert invoke(checkout, "up", path=bare).stdout == "ran up\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "error: LAB_PYTHON=python3.9 was not found\n"),
        (
            lambda folder: old_python(folder, "python3.9"),
            "error: LAB_PYTHON=python3.9 is Python 3.9.2, which is too old\n",
        ),
    ],
)
def test_a_lab_python_that_will_not_do(checkout, bare, make, message):
    make(bare)

    done = invoke(checkout, "up", path=bare, LAB_PYTHON="python3.9")

    assert done.returncode == 3
    assert done.stderr.startswith(message)
    assert "Set LAB_PYTHON to a Python 3.11 or newer, or unset it." in done.stderr


APT = "Run: sudo apt-get install -y --no-install-recommends"


def test_debian_without_venv_is_told_what_to_run(checkout, bare):
    python_without_venv(bare)
    tool(bare, "apt-get", "exit 9")
    tool(bare, "id", "echo 0")

    done = invoke(checkout, "up", path=bare)

    assert done.returncode == 3
    assert done.stderr == (
        "error: python3 cannot make environments: it lacks the module ensurepip\n"
        f"{APT} python3-venv\n"
        "(as root, with --yes, ./invoke does this itself), then this again.\n"
    )


def test_debian_without_python_is_told_what_to_run(checkout, bare):
    tool(bare, "apt-get", "exit 9")

    assert f"{APT} python3 python3-venv\n" in invoke(checkout, "up", path=bare).stderr


@pytest.mark.parametrize(("user", "arguments"), [("1000", ["up", "--yes"]), ("0", ["up"])])
def test_nothing_is_installed_unless_root_agreed(checkout, bare, user, arguments):
    python_without_venv(bare)
    tool(bare, "apt-get", f"touch {bare}/asked")
    tool(bare, "id", f"echo {user}")

    assert invoke(checkout, *arguments, path=bare).returncode == 3
    assert not (bare / "asked").exists()


def test_with_yes_root_gets_what_is_missing(checkout, bare):
    python_without_venv(bare)
    # The lists of a fresh container are empty: the first install fails.
    program = f"""
echo "$*" >>{bare}/asked
case "$1" in update) : >{bare}/lists ;; install) [ -e {bare}/lists ] && rm {bare}/python3.lacks-venv ;; esac
"""
    tool(bare, "apt-get", program)
    tool(bare, "id", "echo 0")

    done = invoke(checkout, "up", "--yes", path=bare)

    assert done.stdout == "ran up --yes\n", done.stderr
    assert (bare / "asked").read_text().splitlines() == [
        "install -y --no-install-recommends python3-venv",
        "update",
        "install -y --no-install-recommends python3-venv",
    ]


def test_a_missing_lock(checkout):
    (checkout / "requirements.lock").unlink()

    done = invoke(checkout, "up")

    assert done.returncode == 3
    assert done.stderr.endswith("Restore the checkout: git checkout -- requirements.lock\n")
