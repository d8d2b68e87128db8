"""Ctrl-C, SIGTERM and a terminal that closes (SIGHUP): all of them are an interrupt, and several at once are one.

SIGPIPE stays ignored, as Python has it: a reader that goes away ends no measurement.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_S = 3.0
"""Signals that come within so long are one: it takes a moment to end children and to write what was measured."""


@contextlib.contextmanager
def heard(*, to_the_end: bool = False) -> Iterator[Callable[[], None]]:
    """Raise KeyboardInterrupt when one comes, until what is yielded is called: then none is heard any more.

    What the caller had set to be ignored, as `nohup` does, stays ignored.

    Args:
        to_the_end: the process ends afterwards, and hears none while it does; else they are heard as before.
    """
    last_s, over = float("-inf"), False

    def stop() -> None:
        nonlocal over
        over = True

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal last_s
        if over:
            return
        before_s, last_s = last_s, time.monotonic()
        if last_s - before_s >= _ONE_S:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in HEARD}
    for number, handler in before.items():
        if number == signal.SIGTERM or handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)
