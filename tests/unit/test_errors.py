from __future__ import annotations

import pytest

from lab import errors
from lab.clients.process import CommandError
from lab.errors import LabError


def test_an_error_is_its_three_texts():
    error = LabError("no space left", details="df: 0", remedy="Free some.")

    assert str(error) == "no space left\ndf: 0\nFree some."
    assert str(LabError("no space left")) == "no space left"
    assert error.args == ("no space left",)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.CheckFailed, 1),
        (errors.InputError, 2),
        (errors.HostError, 3),
        (errors.ProvisionError, 4),
        (errors.TemporaryError, 4),
        (errors.Inconclusive, 5),
        (errors.Interrupted, 130),
    ],
)
def test_exit_codes_are_what_scripts_rely_on(kind, code):
    assert kind.exit_code == code
    assert issubclass(kind, LabError)


def test_every_error_says_when_it_is_raised():
    def below(kind):
        return [kind, *(each for sub in kind.__subclasses__() for each in below(sub))]

    assert all(kind.__doc__ for kind in below(LabError))


def test_an_error_told_again_keeps_its_class_and_what_it_holds():
    original = CommandError("helm failed", exit_code_of_command=7, output="long", remedy="Look.")

    told = original.retold("step a failed: helm failed", details="more", remedy="Go on.")

    assert type(told) is CommandError
    assert (told.exit_code_of_command, told.output) == (7, "long")
    assert str(told) == "step a failed: helm failed\nmore\nGo on."
    assert str(original) == "helm failed\nlong\nLook."
