"""Ctrl-C, SIGTERM and a terminal that closes (SIGHUP): all of them are an interrupt, and several at once are one.

SIGPIPE stays ignored, as Python has it: a reader that goes away ends no measurement.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_S = 3.0
"""Signals that come within so long are one: it takes a moment to end children and to write what was measured."""


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Raise KeyboardInterrupt when one comes. What the caller had set to be ignored, as `nohup` does, stays ignored."""
    last_s = float("-inf")

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal last_s
        before_s, last_s = last_s, time.monotonic()
        if last_s - before_s >= _ONE_S:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in HEARD}
    for number, handler in before.items():
        if number == signal.SIGTERM or handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Hear none of them any more: the process ends."""
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)
