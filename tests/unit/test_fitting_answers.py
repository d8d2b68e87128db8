from __future__ import annotations

import msgspec
import pytest
from fit_world import Machine, question, searched, truth

from mbench.core.fit_records import CandidateResult, CostEstimate, DeviceLimits
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


def test_where_noise_decides_it_is_said_and_the_best_that_is_clear_of_it_is_an_answer_as_well() -> None:
    first, *others = answers.answers(FOUND, LIMITS, SURE)
    assert not first.close
    [best] = [each for each in FOUND if each.network.name == first.network]
    assert best.latency_s is not None
    wide = msgspec.structs.replace(best.latency_s, high=1.1 * LIMITS.latency_s)  # type: ignore[operator]
    noisy = tuple(
        msgspec.structs.replace(each, latency_s=wide) if each is best else each for each in FOUND
    )  # fmt: skip
    first, *others = answers.answers(noisy, LIMITS, SURE)
    assert first.network == best.network.name
    assert "within the noise of the limit" in first.close[0]
    [clear] = [each for each in others if each.why_best == "of those known that are clear of every limit"]
    assert not clear.close
    assert clear.network != first.network


def test_where_the_time_was_over_the_best_that_probably_fits_is_named() -> None:
    said = answers.likely(FOUND, LIMITS)
    assert said.startswith("the best that probably fits is mobilenet_v1_")
    assert "of 2.90 ms" in said
    assert answers.likely((), LIMITS) == ""
    broken = [msgspec.structs.replace(each, failure="crashed") for each in FOUND]
    assert answers.likely(broken, LIMITS) == ""


def test_where_intervals_say_nothing_it_is_undecided_and_says_what_decides() -> None:
    def vague(each: CandidateResult) -> CandidateResult:
        latency = CostEstimate(value=955e-6, low=1.03e-6, high=888e-3, basis="predicted")
        return msgspec.structs.replace(each, latency_s=latency, fits=None, over=())

    every = [vague(each) for each in FOUND]
    said = answers.likely(every, LIMITS)
    assert "probably" not in said
    assert said.startswith(
        f"it is undecided whether {every[0].network.name} fits: latency about 955 µs (1.03 µs to 888"
    )
    assert said.endswith("too uncertain to say; measuring it decides: give the same command more --time")
    hit = [msgspec.structs.replace(every[0], disturbed=("busy",)), *every[1:]]
    assert "measuring it on a quiet machine decides" in answers.likely(hit, LIMITS)
    sure = msgspec.structs.replace(
        every[1], latency_s=CostEstimate(value=2.6e-3, low=2.4e-3, high=2.95e-3, basis="predicted")
    )
    best = answers.likely([every[0], sure, *every[2:]], LIMITS)
    assert best.startswith(f"the best that probably fits is {sure.network.name}: latency about 2.60 ms")
    unknown = [msgspec.structs.replace(each, latency_s=None) for each in every]
    assert ": nothing is known of what it costs; measuring it decides" in answers.likely(unknown, LIMITS)


@pytest.mark.parametrize("accuracy", [99.0])
def test_an_accuracy_that_none_has_is_the_reason(accuracy: float) -> None:
    limits = DeviceLimits(accuracy_percent=accuracy)
    found = searched(question(limits), MACHINE).estimates.candidates
    said = answers.nearest(found, limits)
    assert "top-1" in said
    assert "over a limit" not in said


def test_where_nothing_was_measured_the_limit_that_rules_all_out_is_said() -> None:
    limits = DeviceLimits(latency_s=2.9e-3, memory_bytes=1e5)
    heavy = [msgspec.structs.replace(each, latency_s=None, fits=False, over=("memory",)) for each in FOUND]
    said = answers.nearest(heavy, limits)
    assert said.startswith("the nearest is mobilenet_v1_0.25_128, over a limit by ")
    assert "memory" in said
    assert said.endswith(f"> 100 kB; memory alone rules out all {len(FOUND)} candidates")
    mixed = [msgspec.structs.replace(heavy[0], over=("latency",)), *heavy[1:]]
    assert "alone" not in answers.nearest(mixed, limits)
