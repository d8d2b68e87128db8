"""How a process of the command line ends: with one of `core.exits`, and with a line that says why, whatever happened.

Imports little, and nothing of other packages: imports that fail or are interrupted end as everything else does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from mbench.cli import streams
from mbench.core import exits, signals, system_limits
from mbench.core.errors import MbenchError
from mbench.core.exits import Exit


def end(work: Callable[[], int], *, of_process: bool = False) -> NoReturn:
    """Do the work of a command, and exit with what it came to: its own status, or that of what it raised.

    Args:
        work: returns a status of `core.exits`.
        of_process: whether the process ends with it, so that once the outcome is known no signal changes it.
    """
    with streams.guarded() as out, signals.heard(to_the_end=of_process) as hear_no_more:
        code, why = _outcome(work, hear_no_more)
        if why:
            streams.say(why)
        if out.trouble:
            streams.say(f"standard output cannot be written: {out.trouble}")
        code = exits.decide(code, unprinted=bool(out.trouble))
    # An interrupt that passed through code compiled from a text, as a data class makes it, is remembered by Python's
    # `-m` even where it was handled: the process would end by SIGINT. The next such code makes it forget.
    exec("")  # noqa: S102 - nothing is executed
    sys.exit(int(code))


def _outcome(work: Callable[[], int], hear_no_more: Callable[[], None]) -> tuple[Exit, str]:
    try:
        try:
            found = _judged(work)
        except MemoryError:  # also one that came while an error was put into words, as may an interrupt
            found = Exit.FAILED, f"out of memory{system_limits.memory_hint()}"
        hear_no_more()
    except KeyboardInterrupt:
        hear_no_more()
        return Exit.INTERRUPTED, "interrupted"
    return found


def _judged(work: Callable[[], int]) -> tuple[Exit, str]:
    try:
        return Exit(work()), ""
    except MbenchError as error:
        return Exit(error.exit_code), str(error)
    except MemoryError:
        return Exit.FAILED, f"out of memory{system_limits.memory_hint()}"
    except ImportError as error:
        if limit := system_limits.reached(error):
            return Exit.FAILED, limit
        return Exit.FAILED, f"the installation is not whole: {error}; install mobilenet-bench again"
    except RecursionError as error:
        return Exit.FAILED, f"a defect, please report it: RecursionError: {error}"
    except OSError as error:
        return Exit.FAILED, f"{'' if error.filename is None else f'{error.filename}: '}{system_limits.why(error)}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a defect; Python itself would exit with 1, which means a regression
        import traceback

        if limit := system_limits.reached(error):
            return Exit.FAILED, limit
        traceback.print_exc()
        return Exit.FAILED, ""
