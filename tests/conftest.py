"""For all tests, with and without clusters."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

import pytest


def _like_ctrl_c(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """End on SIGTERM as on Ctrl-C, with fixtures torn down.

    That is how ``./invoke test`` stops us when it is stopped, and no cluster may be left behind.
    """
    signal.signal(signal.SIGTERM, _like_ctrl_c)
