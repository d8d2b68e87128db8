"""Paired judging with an arena that measures nothing: it answers with times that a script and seeded noise make."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.records import Layer, Result
from mbench.core.stats import median
from mbench.gating import limits, matching, paired, timed
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits
from mbench.gating.paired import Contest, Fought
from mbench.measure.duel import Bout, DuelPlan

NAME, OTHER = "mobilenet_v1_0.25_128", "mobilenet_v1_0.25_32"
BLOCKS = 6
Script = Callable[[str, int], Mapping[str, float]]
"""Of a network and the number of its process: how many times slower its layers are in the head; `*`: all of them."""


def result(name: str = NAME) -> Result:
    return factory.record([name]).results[0]


def seconds(layer: Layer) -> float:
    return median(layer.latency_s or ())


LONGEST = max(result().layers, key=seconds).name


class Arena:
    """Answers as its script says."""

    def __init__(self, script: Script = lambda *_: {}, *, spread: float = 5e-4, dies: Script | None = None) -> None:
        self.script, self.spread, self.dies = script, spread, dies
        self.plans: dict[str, list[DuelPlan]] = {}
        self.heads: dict[str, tuple[Layer, ...]] = {}

    def duel(
        self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, report: Callable[[str, float], None]
    ) -> Bout:
        name = base.manifest.variant.name
        number = len(self.plans.setdefault(name, []))
        self.plans[name].append(plan)
        report("measuring", 0.5)
        if self.dies and self.dies(name, number):
            raise MeasureError("the worker process was ended by SIGKILL")
        slower = self.script(name, number)
        draw = random.Random(f"{name} {number}")
        ours = result(name).layers
        copies = [
            [self._blocks(seconds(layer), draw) for layer in ours],
            [self._blocks(seconds(layer), draw) for layer in ours],
            [
                self._blocks(seconds(layer) * slower.get(layer.name, slower.get("*", 1.0)), draw)
                for layer in self.heads.get(name, ours)
            ],
        ]
        wholes = [tuple(1.03 * sum(layer[block] for layer in layers) for block in range(BLOCKS)) for layers in copies]
        return Bout(
            order=plan.order, block=10, whole_s=tuple(wholes), layers_s=tuple(map(tuple, copies)), wall_s=2.0,
            others_busy_s=0.0,
        )  # fmt: skip

    def _blocks(self, centre: float, draw: random.Random) -> tuple[float, ...]:
        process = 1 + draw.gauss(0, self.spread)
        return tuple(centre * process * (1 + draw.gauss(0, self.spread / 10)) for _ in range(BLOCKS))


def contest(folder: Path, name: str = NAME, head: tuple[Layer, ...] | None = None) -> Contest:
    built = fakes.compiled(folder / name, fakes.variant(name))
    ours = result(name).layers
    return Contest(
        variant=name, base=built, twin=built, head=built, matches=matching.layers(ours, head or ours), threads=2,
        tolerance=1e-4,
    )  # fmt: skip


def fight(arena: Arena, *contests: Contest, wanted: Limits | None = None, **options: Any) -> Fought:
    return paired.judge(contests, arena, wanted or Limits(), lambda *_: None, **options)


def of(found: Fought, outcome: str) -> set[tuple[str, str | None]]:
    return {(each.variant, each.layer) for each in found.findings if each.outcome == outcome}


def whole(found: Fought, name: str = NAME) -> Finding:
    return next(each for each in found.findings if each.variant == name and each.layer is None)


# ------------------------------------------------------------------------------------------------------------- verdicts
def test_two_builds_of_the_same_code_pass_on_the_first_look(tmp_path: Path) -> None:
    arena = Arena()
    found = fight(arena, contest(tmp_path))
    assert {each.outcome for each in found.findings} == {"same", "information"}
    assert whole(found).outcome == "same"
    assert len(found.findings) == 1 + len(result().layers)
    assert len(arena.plans[NAME]) == paired.FIRST_LOOK
    assert found.failures == ()


def test_one_slow_layer_is_named_alone(tmp_path: Path) -> None:
    share = seconds(next(each for each in result().layers if each.name == LONGEST)) / sum(map(seconds, result().layers))
    slower = 1 + 0.006 / share  # too little to show in the whole network
    assert slower > 1.02
    arena = Arena(lambda *_: {LONGEST: slower})
    found = fight(arena, contest(tmp_path))
    assert of(found, "regressed") == {(NAME, LONGEST)}
    assert len(arena.plans[NAME]) >= paired.FIRST_LOOK + paired.FRESH


def test_a_network_that_is_slower_everywhere_is_slower_as_a_whole(tmp_path: Path) -> None:
    found = fight(Arena(lambda *_: {"*": 1.2}), contest(tmp_path))
    assert whole(found).outcome == "regressed"
    assert whole(found).ratio == pytest.approx(1.2, rel=2e-3)
    assert (NAME, LONGEST) in of(found, "regressed")
    assert of(found, "undecided") == set()


def test_a_quicker_network_is_an_improvement(tmp_path: Path) -> None:
    found = fight(Arena(lambda *_: {"*": 0.8}), contest(tmp_path))
    assert whole(found).outcome == "improved"
    assert of(found, "regressed") == set()


def test_a_first_look_that_lies_is_not_believed(tmp_path: Path) -> None:
    arena = Arena(lambda _, number: {"*": 1.3} if number < paired.FIRST_LOOK else {})
    found = fight(arena, contest(tmp_path))
    assert of(found, "regressed") == set()
    assert whole(found).outcome == "same"
    fresh = len(arena.plans[NAME]) - paired.FIRST_LOOK
    assert fresh >= paired.FRESH
    assert len(whole(found).log_ratios) == fresh, "nothing of the first look is in it"


def test_a_slow_down_that_only_fresh_processes_would_show_is_not_looked_for(tmp_path: Path) -> None:
    arena = Arena(lambda _, number: {"*": 1.3} if number >= paired.FIRST_LOOK else {})
    assert whole(fight(arena, contest(tmp_path))).outcome == "same"
    assert len(arena.plans[NAME]) == paired.FIRST_LOOK


# -------------------------------------------------------------------------------------------------------------- numbers
def test_noise_takes_more_processes_up_to_the_cap_and_is_undecided_beyond(tmp_path: Path) -> None:
    arena = Arena(spread=0.3)
    found = fight(arena, contest(tmp_path))
    assert whole(found).outcome == "undecided"
    assert "it takes about" in whole(found).reason
    assert paired.MOST <= len(arena.plans[NAME]) <= 2 * paired.MOST


def test_a_little_noise_takes_some_more_processes(tmp_path: Path) -> None:
    arena = Arena(spread=0.03)
    wanted = limits.read(None, (), ["layer.latency=60%"])
    fight(arena, contest(tmp_path), wanted=wanted)
    assert len(arena.plans[NAME]) > paired.FIRST_LOOK


@pytest.mark.parametrize(
    ("odd", "outcome", "fresh"), [((9, 12), "regressed", 2 * paired.FRESH), ((), "regressed", paired.FRESH)]
)
def test_a_suspect_that_fresh_processes_leave_open_gets_more(
    tmp_path: Path, odd: tuple[int, ...], outcome: str, fresh: int
) -> None:
    layer = "block5.pw"
    arena = Arena(lambda _, number: {layer: 0.97 if number in odd else 1.06})
    found = fight(arena, contest(tmp_path))
    [of_it] = [each for each in found.findings if each.layer == layer]
    assert of_it.outcome == outcome
    assert len(of_it.log_ratios) == fresh == len(arena.plans[NAME]) - paired.FIRST_LOOK


def test_the_first_look_is_as_long_as_was_asked(tmp_path: Path) -> None:
    arena = Arena(spread=0.3)
    fight(arena, contest(tmp_path), first_look=40)
    assert len(arena.plans[NAME]) >= 40, "more than the cap if the caller says so"
    quiet = Arena()
    fight(quiet, contest(tmp_path), first_look=11)
    assert len(quiet.plans[NAME]) == 11


def test_processes_differ_in_order_and_seed(tmp_path: Path) -> None:
    arena = Arena(lambda *_: {"*": 1.2})
    fight(arena, contest(tmp_path))
    plans = arena.plans[NAME]
    assert {tuple(sorted(plan.order)) for plan in plans} == {(0, 1, 2)}
    assert len({plan.order for plan in plans}) > 1
    assert len({plan.seed for plan in plans}) == len(plans)
    assert {(plan.threads, plan.tolerance) for plan in plans} == {(2, 1e-4)}


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str, float]] = []
    paired.judge([contest(tmp_path)], Arena(lambda *_: {"*": 1.2}), Limits(), lambda *say: told.append(say))
    assert {stage for _, stage, _ in told} == {"measuring", "confirming"}
    assert all(0 <= fraction <= 1 for _, _, fraction in told)


# ------------------------------------------------------------------------------------------------------------- failures
def test_a_network_whose_process_dies_is_a_failure_and_the_others_stand(tmp_path: Path) -> None:
    arena = Arena(lambda *_: {"*": 1.2}, dies=lambda name, number: {"": 1.0} if name == OTHER else {})
    found = fight(arena, contest(tmp_path, OTHER), contest(tmp_path))
    assert found.failures == (f"{OTHER}: the worker process was ended by SIGKILL",)
    assert {each.variant for each in found.findings} == {NAME}
    assert whole(found).outcome == "regressed"


def test_a_process_that_dies_while_confirming_confirms_nothing_and_is_told(tmp_path: Path) -> None:
    arena = Arena(lambda *_: {"*": 1.2}, dies=lambda _, number: {"": 1.0} if number > paired.FIRST_LOOK + 2 else {})
    found = fight(arena, contest(tmp_path))
    assert found.failures == (f"{NAME}: the worker process was ended by SIGKILL",)
    assert of(found, "regressed") == set()
    assert whole(found).outcome == "undecided"


# ----------------------------------------------------------------------------------------------------- several, groups
def test_all_suspects_of_all_networks_are_one_family(tmp_path: Path) -> None:
    arena = Arena(lambda *_: {"*": 1.5})
    found = fight(arena, contest(tmp_path), contest(tmp_path, OTHER))
    assert whole(found).outcome == whole(found, OTHER).outcome == "regressed"
    tested = [each for each in found.findings if each.p_value is not None]
    fresh = {name: len(plans) - paired.FIRST_LOOK for name, plans in arena.plans.items()}
    smallest = min(2.0 ** -fresh[each.variant] for each in tested)
    assert min(each.p_value or 1.0 for each in tested) == pytest.approx(timed.LOOKS * len(tested) * smallest)
    assert all(timed.LOOKS * len(tested) * 2.0**-count <= 0.01 for count in fresh.values()), (
        "enough processes for Holm's smallest p"
    )


def test_where_fusion_differs_the_sum_of_the_group_is_compared(tmp_path: Path) -> None:
    ours = result().layers
    at = 3
    pair = ours[at : at + 2]
    joined = msgspec.structs.replace(
        pair[1], index=at, name="both", input_shape=pair[0].input_shape,
        latency_s=(sum(map(seconds, pair)),),
    )  # fmt: skip
    after = tuple(msgspec.structs.replace(layer, index=layer.index - 1) for layer in ours[at + 2 :])
    head = (*ours[:at], joined, *after)
    group = f"{pair[0].name} + {pair[1].name}"
    for factor, outcome in ((1.0, ("same", "information")), (3.0, ("regressed",))):
        arena = Arena(lambda *_, factor=factor: {"both": factor})
        arena.heads[NAME] = head
        found = fight(arena, contest(tmp_path / str(factor), head=head))
        assert next(each.outcome for each in found.findings if each.layer == group) in outcome
        assert of(found, "regressed") - {(NAME, None)} == ({(NAME, group)} if factor > 1 else set())


def test_layers_of_one_side_are_not_timed_against_anything(tmp_path: Path) -> None:
    ours = result().layers
    arena = Arena()
    arena.heads[NAME] = ours[:-1]
    found = fight(arena, contest(tmp_path, head=ours[:-1]))
    assert ours[-1].name not in {each.layer for each in found.findings}
    assert len(found.findings) == len(ours)


def test_nothing_to_fight_about_is_no_finding() -> None:
    assert fight(Arena()) == Fought()


# ------------------------------------------------------------------------------------------------------------- the rest
def test_other_processes_are_told_of(tmp_path: Path) -> None:
    class Busy(Arena):
        def duel(self, *arguments: Any) -> Bout:
            return msgspec.structs.replace(super().duel(*arguments), others_busy_s=1.0)

    [measured, busy] = fight(Busy(), contest(tmp_path)).remarks
    assert measured == f"{NAME}: 8 processes, blocks of 10 runs, 16 s of measuring"
    assert busy == f"{NAME}: other processes kept 0.50 processors busy meanwhile"
    assert len(fight(Arena(), contest(tmp_path)).remarks) == 1
