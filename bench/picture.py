"""Makes docs/up.svg, the picture in the README: what a terminal really showed, half way and at the end.

Needs tmux and warm caches. Run: .venv/bin/python bench/picture.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parent.parent
SESSION = "lab-picture"
COLUMNS, ROWS = 112, 40
LIMIT_S = 600


def tmux(*words: str) -> str:
    """Run tmux and return what it printed."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def screen() -> str:
    """The visible pane, with its colours, without empty lines at the end."""
    return tmux("capture-pane", "-e", "-p", "-t", SESSION).rstrip()


def main() -> None:
    """Bring the default topology up in a terminal, take two looks, remove it again."""
    lab = "hub-spoke"
    tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(ROWS), "-c", str(PROJECT), "sh")
    try:
        tmux("send-keys", "-t", SESSION, "PS1='$ '; clear", "Enter")
        time.sleep(1)
        tmux("send-keys", "-t", SESSION, "./invoke up", "Enter")
        half_way = ""
        for _ in range(LIMIT_S):
            time.sleep(1)
            now = screen()
            if "mesh API server" in now and "up:" not in now:
                half_way = now
            if re.search(rf"{lab} is up: .*", now):
                break
        else:
            sys.exit("the lab did not come up in time; its terminal showed:\n" + screen())
        tmux("send-keys", "-t", SESSION, "clear; ./invoke status", "Enter")
        time.sleep(8)
        status = screen()
    finally:
        tmux("kill-session", "-t", SESSION)
    # The screen at the end, under it the live view as it was half way.
    text = "\n".join([half_way, "", now.partition("\n")[2], "", status])
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(text))
    target = PROJECT / "docs" / "up.svg"
    target.write_text(console.export_svg(title="./invoke up"), encoding="utf-8")
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
