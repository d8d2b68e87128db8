"""What the processes that time a network in two ways say of its parts. Times are made up."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import fake_devices as fakes
import pytest

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.measure import duel
from mbench.measure.duel import Bout, DuelPlan, Sample
from mbench.tuning import in_network


def sample(base_s: float, ratio: float) -> Sample:
    return Sample(math.log(ratio), 0.0, base_s, base_s * ratio)


def test_parts_count_by_how_long_they_take() -> None:
    found = in_network.ratio([[sample(1.0, 0.5)] * 3, [sample(3.0, 1.0)] * 3])
    assert (found.default_s, found.tuned_s, found.high) == pytest.approx((4.0, 3.5, 0.875))


def test_the_ratio_is_the_median_of_the_processes_and_the_quartile_is_above_it() -> None:
    found = in_network.ratio([[sample(2.0, each) for each in (0.9, 1.2, 0.8, 0.7, 1.1)]])
    assert found.tuned_s == pytest.approx(2.0 * 0.9)
    assert found.high == pytest.approx(1.1)  # the fourth of five


def test_one_slow_process_changes_no_ratio() -> None:
    found = in_network.ratio([[sample(1.0, 0.9), sample(9.0, 0.9), sample(1.0, 0.9)]])
    assert (found.default_s, found.tuned_s) == pytest.approx((1.0, 0.9))


def test_what_is_too_short_to_be_read_is_not_quicker() -> None:
    nothing = duel.sample(((0.0,) * 4,) * 3)
    found = in_network.ratio([[nothing] * 5])
    assert (found.default_s, found.tuned_s, found.high) == (0.0, 0.0, 1.0)
    beside = in_network.ratio([[nothing] * 5, [sample(1e-6, 0.5)] * 5])
    assert beside.high == pytest.approx((1e-8 + 0.5e-6) / (1e-8 + 1e-6))


class Arena:
    """Says that of the layers the first takes half as long as tuned, wherever it stands in the artifact."""

    def __init__(self) -> None:
        self.plans: list[DuelPlan] = []
        self.twins: list[tuple[Artifact, Artifact]] = []

    def duel(
        self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, report: Callable[[str, float], None]
    ) -> Bout:
        self.plans.append(plan)
        self.twins.append((base, twin))
        first = base.manifest.layers[0].name
        report("measuring", 0.5)
        layers = tuple(
            tuple((half if layer.name == first else 1e-3,) * 4 for layer in copy.manifest.layers)
            for copy, half in ((base, 1e-3), (twin, 1e-3), (head, 5e-4))
        )
        whole = ((10e-3,) * 4, (10e-3,) * 4, (9e-3,) * 4)
        return Bout(order=plan.order, block=2, whole_s=whole, layers_s=layers, wall_s=2.0, others_busy_s=0.5)


def test_a_network_is_timed_in_several_processes_layer_by_layer(tmp_path: Path) -> None:
    by_rule = fakes.compiled(tmp_path / "rules", fakes.variant())
    backwards = by_rule.manifest.layers[::-1]
    as_tuned = fakes.compiled(tmp_path / "tuned", fakes.variant(), layers=backwards)
    arena = Arena()
    told: list[float] = []
    found = in_network.time_network(by_rule, as_tuned, arena, 2, 1e-4, told.append)
    assert len(arena.plans) == in_network.PROCESSES == len({plan.seed for plan in arena.plans})
    assert {(plan.threads, plan.tolerance) for plan in arena.plans} == {(2, 1e-4)}
    assert all(base == by_rule and twin.folder != base.folder for base, twin in arena.twins)
    ratios = {name: in_network.ratio([samples]).high for name, samples in found.layers.items()}
    first, *others = (layer.name for layer in by_rule.manifest.layers)
    assert ratios == pytest.approx({first: 0.5, **dict.fromkeys(others, 1.0)})
    assert in_network.ratio([found.whole]).tuned_s == pytest.approx(9e-3)
    assert found.others_busy == pytest.approx(0.25)
    assert told == [number / in_network.PROCESSES for number in range(in_network.PROCESSES)]


def test_what_cannot_be_timed_is_an_error(tmp_path: Path) -> None:
    class Wrong(Arena):
        def duel(self, *_: object) -> Bout:
            raise MeasureError("head: wrong result")

    built = fakes.compiled(tmp_path / "a", fakes.variant())
    with pytest.raises(MeasureError, match="head: wrong result"):
        in_network.time_network(built, built, Wrong(), 1, 1e-4, lambda _: None)
