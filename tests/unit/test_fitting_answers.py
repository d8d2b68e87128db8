from __future__ import annotations

import pytest
from fit_world import Machine, question, searched, truth

from mbench.core.fit_records import DeviceLimits
from mbench.fitting import answers

LIMITS = DeviceLimits(latency_s=2.9e-3)
MACHINE = Machine()
ASKED = question(LIMITS)
OUTCOME = searched(ASKED, MACHINE)
FOUND, SURE = OUTCOME.estimates.candidates, OUTCOME.sure


def test_the_first_is_the_best_of_all_and_the_others_are_the_best_of_their_kind() -> None:
    first, *others = answers.answers(FOUND, LIMITS, SURE)
    assert first.why_best == "of all"
    assert [each.why_best for each in others] == ["of mobilenet_v1, float32, published"]


def test_the_next_better_one_does_not_fit_and_it_says_why() -> None:
    first, *_ = answers.answers(FOUND, LIMITS, SURE)
    by_name = {each.network.name: each for each in FOUND}
    assert first.next_better is not None
    mine, next_ = (by_name[name].accuracy.top1_percent for name in (first.network, first.next_better))
    assert mine is not None
    assert next_ is not None
    assert next_ >= mine
    assert truth(first.next_better) > 2.9e-3
    assert first.next_over[0].startswith("latency ")


def test_what_was_not_measured_in_sessions_is_no_answer() -> None:
    assert answers.answers(FOUND, LIMITS, ()) == ()


def test_where_nothing_fits_the_nearest_is_said_in_words() -> None:
    tight = DeviceLimits(latency_s=1e-6)
    found = searched(question(tight), MACHINE).estimates.candidates
    assert answers.answers(found, tight, SURE) == ()
    assert answers.nearest(found, tight).startswith("the nearest is mobilenet_v1_0.25_128, over a limit by ")
    assert answers.nearest((), tight) == ""


@pytest.mark.parametrize("accuracy", [99.0])
def test_an_accuracy_that_none_has_is_the_reason(accuracy: float) -> None:
    limits = DeviceLimits(accuracy_percent=accuracy)
    found = searched(question(limits), MACHINE).estimates.candidates
    assert "top-1" in answers.nearest(found, limits)
