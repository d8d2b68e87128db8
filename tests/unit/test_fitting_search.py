from __future__ import annotations

import pytest
from fit_world import Machine, best, exhaustive, question, searched, truth

from mbench.analysis import fit_ranking
from mbench.core.fit_records import DeviceLimits
from mbench.fitting import answers, search


@pytest.mark.parametrize("latency_s", [0.8e-3, 1.3e-3, 2.9e-3, 5e-3, 9e-3, 20e-3])
def test_the_answer_is_that_of_measuring_all_and_few_are_measured(latency_s: float) -> None:
    limits = DeviceLimits(latency_s=latency_s)
    asked, machine = question(limits), Machine()
    found = searched(asked, machine)
    name = best(found, limits)
    assert found.certain
    assert name is not None
    assert truth(name) <= latency_s
    wanted = exhaustive(asked)
    assert wanted is not None
    top1 = asked.accuracies[name].top1_percent
    assert top1 is not None
    assert top1 >= wanted - 0.3
    assert len(machine.asked) <= 25 < len(asked.candidates)


def test_the_answers_figures_are_measured_and_never_predicted() -> None:
    limits = DeviceLimits(latency_s=2e-3)
    asked, machine = question(limits), Machine()
    found = searched(asked, machine)
    by_name = {each.network.name: each for each in found.estimates.candidates}
    for answer in answers.answers(found.estimates.candidates, limits, found.sure):
        figure = by_name[answer.network].latency_s
        assert figure is not None
        assert figure.basis == "measured"


def test_nothing_fits_and_the_nearest_is_named() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    asked, machine = question(limits), Machine()
    found = searched(asked, machine)
    assert found.certain
    assert best(found, limits) is None
    said = answers.nearest(found.estimates.candidates, limits)
    assert said.startswith("the nearest is mobilenet_v1_0.25_128, over a limit by")
    assert "latency" in said


def test_what_cannot_be_measured_is_passed_over_and_the_reason_stays() -> None:
    limits = DeviceLimits(latency_s=2.9e-3)
    free = Machine()
    first = best(searched(question(limits), free), limits)
    assert first is not None
    machine = Machine(broken=[first])
    found = searched(question(limits), machine)
    assert best(found, limits) != first
    broken = next(each for each in found.estimates.candidates if each.network.name == first)
    assert broken.failure == "the compiler crashed"
    assert broken.fits is None


def test_what_is_known_is_not_measured_again() -> None:
    limits, machine = DeviceLimits(latency_s=2.9e-3), Machine()
    searched(question(limits), machine)
    machine.asked.clear()
    assert searched(question(limits), machine).certain
    assert machine.asked == []


def test_when_time_is_over_it_says_what_is_open() -> None:
    found = searched(question(DeviceLimits(latency_s=2.9e-3)), Machine(), seconds=-1.0)
    assert not found.certain


def test_the_smallest_latency_above_an_accuracy() -> None:
    limits = DeviceLimits(accuracy_percent=65.0)
    asked, machine = question(limits, objective="latency"), Machine()
    found = searched(asked, machine)
    given = answers.answers(found.estimates.candidates, limits, found.sure)
    wanted = min(
        truth(each.name) for each in asked.candidates if (asked.accuracies[each.name].top1_percent or 0.0) >= 65.0
    )
    assert truth(given[0].network) <= 1.02 * wanted


def test_memory_is_a_limit_as_well() -> None:
    limits = DeviceLimits(memory_bytes=6e6)
    machine = Machine()
    found = searched(question(limits), machine)
    name = best(found, limits)
    assert name is not None
    assert machine.known[name].memory_bytes <= 6e6
    over = [each for each in found.estimates.candidates if "memory" in each.over]
    assert {each.network.parameters["width_multiplier"] for each in over} >= {0.75, 1.0}


def test_shares_of_limits_are_of_the_figure() -> None:
    limits = DeviceLimits(latency_s=4e-3, weight_bytes=2e6)
    machine = Machine()
    found = searched(question(limits), machine)
    name = best(found, limits)
    chosen = next(each for each in found.estimates.candidates if each.network.name == name)
    shares = fit_ranking.share_used(chosen, limits)
    assert shares["latency"] == pytest.approx(truth(chosen.network.name) / 4e-3, rel=1e-6)
    assert 0 < shares["weights"] <= 1


def test_an_answer_has_a_line_for_all_for_each_family_and_for_what_is_published() -> None:
    limits = DeviceLimits(latency_s=4e-3)
    found = searched(question(limits), Machine()).estimates.candidates
    everything, family, published = search.slots(found)
    assert everything == family == list(found)
    assert {each.accuracy.kind for each in published} == {"published"}
    assert len(published) == 16
