"""The time that builds take yet, by a clock of the test's own."""

from __future__ import annotations

import pytest

from mbench.terminal.builds_left import BuildsLeft

SIZES = {"a": 10.0, "b": 10.0, "c": 20.0, "cached": 0.0, "d": 20.0}


class Watch:
    """A clock that is moved by hand."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def begun(builders: int | None) -> tuple[BuildsLeft, Watch]:
    watch = Watch()
    left = BuildsLeft(SIZES, builders, watch)
    for name in SIZES:
        left.stage(name, "compiling", 0.0)
    return left, watch


def test_two_builders_share_what_is_left() -> None:
    left, watch = begun(2)
    watch.now_s += 9.0
    assert left.seconds() is None
    left.stage("cached", "compiling", 1.0)
    left.stage("a", "compiling", 1.0)  # 0.9 s for each unit; c begins, and d follows b, which takes as long as a
    assert left.seconds() == pytest.approx(18.0)
    watch.now_s += 3.0
    left.stage("b", "compiling", 1.0)  # 12 s, so that a unit takes 21 s / 20
    assert left.seconds() == pytest.approx(21.0)
    watch.now_s += 10.0
    assert left.seconds() == pytest.approx(11.0)
    left.stage("d", "compiling", 1.0)
    left.stage("c", "compiling", 1.0)
    assert left.seconds() == 0.0


def test_one_builder_does_one_after_the_other() -> None:
    left, watch = begun(1)
    watch.now_s += 5.0
    left.stage("a", "compiling", 1.0)
    assert left.seconds() == pytest.approx(25.0)


def test_one_that_failed_says_nothing_of_the_others_and_is_not_waited_for() -> None:
    left, watch = begun(1)
    left.stage("d", "failed", 1.0)  # before it began: too large
    watch.now_s += 5.0
    left.stage("a", "failed", 1.0)
    assert left.seconds() is None
    watch.now_s += 5.0
    left.stage("b", "compiling", 1.0)
    assert left.seconds() == pytest.approx(10.0)


def test_nobody_knows_how_many_are_built_elsewhere_at_once() -> None:
    left, watch = begun(None)
    watch.now_s += 5.0
    left.stage("a", "compiling", 1.0)
    assert left.seconds() is None
    left.stage("unknown", "compiling", 1.0)


def test_one_that_takes_longer_than_expected_leaves_no_less_than_nothing() -> None:
    left, watch = begun(4)
    watch.now_s += 5.0
    left.stage("a", "compiling", 1.0)
    watch.now_s += 100.0
    assert left.seconds() == 0.0
