from __future__ import annotations

import itertools
import signal
import time

import pytest

from mbench.core import signals

pytestmark = pytest.mark.usefixtures("handlers")


@pytest.mark.parametrize("number", signals.HEARD, ids=lambda number: number.name)
def test_each_of_them_is_an_interrupt(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), signals.heard():
        signal.raise_signal(number)
    assert signal.getsignal(number) == signal.SIG_DFL


def test_several_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.chain([0.0, 1.0, 2.9], itertools.repeat(10.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    with signals.heard():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_nohup_ignores_stays_ignored_but_not_sigterm() -> None:
    for number in signals.HEARD:
        signal.signal(number, signal.SIG_IGN)
    with signals.heard():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_none_is_heard_once_the_outcome_is_known() -> None:
    with signals.heard() as hear_no_more:
        hear_no_more()
        for number in signals.HEARD:
            signal.raise_signal(number)


def test_a_process_that_ends_hears_none() -> None:
    with signals.heard(to_the_end=True):
        pass
    for number in signals.HEARD:
        signal.raise_signal(number)
