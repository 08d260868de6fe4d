#!/bin/sh
# Confirms, on a machine that has Multipass, what the multipass provider believes of it: ten minutes, two
# machines of 2 GB, which are removed. `PATH=$PWD/tests/multipass:$PATH tests/multipass/confirm.sh` asks the
# stand-in instead (see standin.py for what that needs).
set -eu
cd "$(dirname "$0")/../.."
exec "${PYTHON:-.venv/bin/python}" tests/multipass/confirm.py
