"""The trials of the gate on plain records: what counts as right, and of which code a trial is."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mbench.gating import recorded, two_sides
from mbench.measure import disturbance
from mbench.pipeline import options

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def trials() -> Iterator[Any]:
    """Return benchmarks/recorded_trials.py, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("recorded_trials")


def trial(trials: Any, **changes: Any) -> Any:
    made = trials.RecordedTrial(
        scenario="same", network="a network", threads=1, loaded=False, planted=None, alone_ratio=None, named=(),
        whole="same", whole_ratio=1.0, planted_ratio=None, base_s=((1.0,),), head_s=((1.0,),), disturbed=(0, 0),
        seconds=8.0, cpu="a processor", code="0",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "right", "inconclusive"),
    [
        ({}, True, False),
        ({"named": ("block1.dw",)}, False, False),
        ({"whole": "undecided"}, True, True),
        ({"scenario": "whole10", "planted": "block1.dw", "named": ("whole",)}, True, False),
        ({"scenario": "whole10", "planted": "block1.dw", "named": ("block1.dw",)}, False, False),
        ({"scenario": "layer10", "planted": "block1.dw", "named": ("whole", "block1.dw")}, True, False),
        ({"scenario": "layer10", "planted": "block1.dw"}, False, False),
    ],
)
def test_what_is_right(trials: Any, changes: dict[str, Any], right: bool, inconclusive: bool) -> None:
    made = trial(trials, **changes)
    assert (made.right, made.inconclusive) == (right, inconclusive)


def test_the_table_has_bounds_by_clopper_and_pearson(trials: Any) -> None:
    """60 of 60 without an alarm: 1 - 0.05^(1/60) is 4.9 %."""
    table = trials.report([trial(trials)] * 60 + [trial(trials, scenario="whole10", named=("whole",))] * 58)
    assert "60 of 60 | alarms below 4.9% | 99%: met" in table
    assert "58 of 58 | named above 95.0% | 95%: met" in table
    assert "1 of 2 |" in trials.report([trial(trials), trial(trials, named=("whole",))])


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (two_sides, "LEAST_SPREAD", 0.02),
        (recorded, "SENSITIVITY", {1: 0.2, 2: 0.2}),
        (options, "MEASURE_MAX_S", 1.0),
        (disturbance, "SLOWER_EXCHANGE", 2.0),
    ],
)
def test_another_parameter_is_another_digest(
    trials: Any, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any
) -> None:
    before = [trials.digest(threads) for threads in (1, 2)]
    trials.digest.cache_clear()
    monkeypatch.setattr(module, name, value)
    changed = [trials.digest(threads) != known for threads, known in zip((1, 2), before, strict=True)]
    assert changed == [module is not disturbance, True], "one thread reads nothing of others"
    trials.digest.cache_clear()


def test_trials_are_kept_and_those_of_other_code_left_out(trials: Any, tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    assert trials.read(file) == []
    for code in ("0", trials.digest(1)):
        trials.append(file, trial(trials, code=code))
    assert [each.code for each in trials.read(file)] == ["0", trials.digest(1)]
    assert [each.code for each in trials.current(trials.read(file))] == [trials.digest(1)]
