from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fit_world import Machine, best, exhaustive, question, searched, truth

from mbench.analysis import fit_ranking
from mbench.analysis.accuracy import NetworkAccuracy
from mbench.core.fit_records import DeviceLimits
from mbench.core.progress import Progress, silent
from mbench.core.records import Variant
from mbench.fitting import answers, search
from mbench.fitting.budget import Budget
from mbench.fitting.observations import Observed
from mbench.fitting.search import FitSearch
from mbench.networks import variants


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


def test_one_session_near_a_limit_is_measured_again_before_it_decides() -> None:
    name = "mobilenet_v1_0.5_160"
    limits = DeviceLimits(latency_s=truth(name) / 1.02)
    asked, machine = question(limits, words=(name,)), Machine()
    with silent([]) as progress:
        machine.measure([asked.candidates[0].network], progress, sessions=1)
    machine.attempts.clear()
    found = searched(asked, machine)
    assert machine.asked == [name, name]
    assert found.certain
    assert found.estimates.candidates[0].fits is False


def test_in_little_time_one_network_of_a_family_is_enough_to_go_on_to_those_that_decide() -> None:
    limits = DeviceLimits(latency_s=2.9e-3)
    grids = ("mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,192,224}", "mobilenet_v2_{0.35,0.5,0.75,1.0}_{128,192,224}")
    asked = question(limits, words=variants.expand(grids))
    few, many = Machine(session_s=5.0), Machine()
    found = searched(asked, few, seconds=29.0)
    searched(asked, many)
    assert {name.rsplit("_", 2)[0] for name in few.asked[:2]} == {"mobilenet_v1", "mobilenet_v2"}
    assert few.sessions == [1, 1, 5]
    assert not found.certain
    assert many.sessions.index(5) > few.sessions.index(5)


def test_what_no_accuracy_is_known_of_is_not_measured_to_learn_from() -> None:
    limits = DeviceLimits(latency_s=2.9e-3)
    asked = question(limits)
    unknown = {each.name: each for each in asked.candidates if asked.accuracies[each.name].kind == "interpolated"}
    accuracies = {
        name: NetworkAccuracy(kind="unknown") if name in unknown else known for name, known in asked.accuracies.items()
    }
    machine = Machine()
    assert searched(dataclasses.replace(asked, accuracies=accuracies), machine).certain
    assert not set(machine.asked) & unknown.keys()


@pytest.mark.parametrize(("share", "times"), [(0.5, 1), (0.99, 2), (1.2, 2), (1.6, 1)])
def test_a_disturbed_measurement_is_repeated_only_where_a_quiet_one_could_decide_otherwise(
    share: float, times: int
) -> None:
    name = "mobilenet_v1_0.5_160"

    class Busy(Machine):
        def measure(self, networks: Sequence[Variant], progress: Progress, *, sessions: int) -> tuple[Observed, ...]:
            super().measure(networks, progress, sessions=sessions)
            self.known[name] = dataclasses.replace(
                self.known[name], disturbed=("other work",), low_s=0.7 * truth(name), high_s=1.05 * truth(name)
            )
            return ()

    limits = DeviceLimits(latency_s=truth(name) / share)
    machine = Busy()
    found = searched(question(limits, words=(name,)), machine)
    assert machine.asked == [name] * times
    assert found.certain
    assert found.estimates.candidates[0].fits is (share <= 1)


def test_those_that_probably_fit_are_measured_before_better_ones_that_probably_do_not() -> None:
    limits = DeviceLimits(latency_s=2.9e-3)
    machine = Machine()
    searched(question(limits), machine)
    first = machine.asked[machine.sessions.index(5)]
    assert truth(first) <= 1.02 * limits.latency_s  # type: ignore[operator]


def test_how_long_it_will_take_is_said_before_it_begins() -> None:
    notes: list[str] = []

    @contextlib.contextmanager
    def display(_names: Any, _shares: Any = None, /) -> Iterator[Any]:
        yield types.SimpleNamespace(note=notes.append)

    for seconds in (1000.0, 20.0):
        budget = Budget(seconds, counted=False)
        asked = question(DeviceLimits(latency_s=2.9e-3))
        FitSearch(asked, Machine(), budget=budget, sessions=5).run(display, search.unheard)  # type: ignore[arg-type]
    long, short = notes
    assert long == "some 9 of 112 networks have to be measured: about 80 s"
    assert short.startswith(f"{long}, and --time is 20 s: then you have the best that was found")


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
