from __future__ import annotations

import itertools
from collections.abc import Iterable

from mbench.core.machine_types import Conditions
from mbench.pipeline import quiet_machine


def waited(
    busy: Iterable[float], *, most_s: float = 60.0, warmth: Iterable[float | None] = itertools.repeat(None)
) -> tuple[bool, float, list[str]]:
    """Return whether it got quiet, after how many seconds, and what was said."""
    now, told = [0.0], list[str]()
    looks, degrees = iter(busy), iter(warmth)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    quiet = quiet_machine.wait(
        most_s, told.append, processors=2, others=lambda: next(looks),
        conditions=lambda: Conditions(at_utc="2026-01-01T00:00:00Z", temperature_c=next(degrees)),
        clock=lambda: now[0], sleep=sleep,
    )  # fmt: skip
    return quiet, now[0], told


def test_a_quiet_machine_is_waited_for_two_seconds_and_nothing_is_said() -> None:
    assert waited(itertools.repeat(0.0)) == (True, 2.0, [])


def test_others_are_waited_for_and_named() -> None:
    quiet, seconds, told = waited([*[1.5] * 40, *[0.0] * 10])
    assert (quiet, seconds) == (True, 22.0)
    assert "other processes keep 1.50 processors busy, 0.10 is quiet" in told[0]
    assert told[-1] == "the machine is quiet after 22.0 s"
    assert len(told) == 3, "soon, every ten seconds, and at the end"


def test_a_moment_of_quiet_is_not_enough() -> None:
    quiet, seconds, _ = waited([*[0.0, 0.0, 0.0, 1.0] * 3, *[0.0] * 10])
    assert quiet
    assert seconds == (3 * 4 + 4) * 0.5


def test_it_gives_up_in_time_and_says_why() -> None:
    quiet, seconds, told = waited(itertools.repeat(0.7), most_s=5.0)
    assert (quiet, seconds) == (False, 5.0)
    assert told[-1] == (
        "the machine did not get quiet within 5.00 s: other processes keep 0.70 processors busy, 0.10 is quiet; "
        "measuring all the same"
    )


def test_a_machine_that_cools_down_is_waited_for() -> None:
    cooling = [80.0 - look for look in range(30)]
    quiet, seconds, told = waited(itertools.repeat(0.0), warmth=[*cooling, *[51.0] * 30])
    assert quiet
    assert seconds > 15
    assert "it cools down, 80 to 76 °C" in told[0]
