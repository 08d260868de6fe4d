"""What every test may take for granted of the process that it runs in."""

from __future__ import annotations

import signal

# A shell without job control starts what it puts in the background with Ctrl-C ignored, nohup ignores a
# hang-up, and children inherit both: a test that interrupts one of ours would wait for ever.
for number, ours in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, ours)
