"""The exit statuses of the command line: all of them, and which one a process ends with.

Imports nothing of mbench: it must be there whatever else is not.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What a process ends with."""

    DONE = 0
    """Done, or passed."""
    REGRESSED = 1
    WRONG_USE = 2
    """Wrong use, or bad input."""
    NO_VERDICT = 3
    FAILED = 4
    """Something could not be built, measured, written or printed; or a defect of mbench."""
    INTERRUPTED = 130


VERDICTS = {
    "passed": Exit.DONE, "regressed": Exit.REGRESSED, "inconclusive": Exit.NO_VERDICT, "incomparable": Exit.NO_VERDICT,
    "unmeasured": Exit.FAILED,
}  # fmt: skip
"""What each conclusion of a gate ends with."""


def of_work(*, complete: bool, interrupted: bool = False) -> Exit:
    """Return the status of a run or a tuning: whether all is there that was asked for."""
    return Exit.INTERRUPTED if interrupted else Exit.DONE if complete else Exit.FAILED


def of_search(*, answered: bool, certain: bool, written: bool, interrupted: bool = False) -> Exit:
    """Return the status of a search: that nothing fits is an answer as well, if it is certain."""
    if interrupted:
        return Exit.INTERRUPTED
    if not written:
        return Exit.FAILED
    return Exit.DONE if answered or certain else Exit.NO_VERDICT


def of_verdict(conclusion: str, *, failed: bool) -> Exit:
    """Return the status of a verdict; `failed`: something could not be measured, which hides no regression."""
    code = VERDICTS[conclusion]
    return Exit.FAILED if failed and code != Exit.REGRESSED else code


def of_comparison(*, compared: bool, failed: bool) -> Exit:
    """Return the status of a comparison, which judges nothing; `failed`: a network was not measured in one run."""
    if compared:
        return Exit.DONE
    return Exit.FAILED if failed else Exit.NO_VERDICT


def decide(code: Exit, *, unprinted: bool) -> Exit:
    """Return the status of a process whose work came to `code`; `unprinted`: its results could not be printed."""
    return Exit.FAILED if unprinted and code in (Exit.DONE, Exit.NO_VERDICT) else code
