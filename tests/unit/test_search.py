"""The search for one kernel: what is timed, what is left out, and what is decided."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuning_world import DEFAULT, GRID, KERNELS, OTHER, World, in_place, timing

from mbench.core.errors import MeasureError
from mbench.devices.process import WorkerDied
from mbench.tuning import search
from mbench.tuning.choice_files import TimedChoice
from mbench.tuning.plans import Candidate


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return in_place(tmp_path, monkeypatch)


DECISIONS = {
    "clearly quicker": ([(OTHER, timing(0.8))], OTHER),
    "quicker by less than it takes": ([(OTHER, timing(0.985))], DEFAULT),
    "slower": ([(OTHER, timing(1.2))], DEFAULT),
    "quicker in half of the rounds": ([(OTHER, timing(0.9, high=1.05))], DEFAULT),
    "quicker at first sight alone": ([(OTHER, timing(0.5, final=False)), (OTHER, timing(0.99))], DEFAULT),
    "never looked at closely": ([(OTHER, timing(0.5, final=False))], DEFAULT),
    "the quicker of two": ([(Candidate(rule="x"), timing(0.9)), (OTHER, timing(0.7))], OTHER),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_chosen(name: str) -> None:
    timed, wanted = DECISIONS[name]
    found = search.decided(DEFAULT, timed)
    assert (found["rule"], found["parameters"]) == (wanted.rule, wanted.parameters)
    assert found["default"] == TimedChoice(rule="cpu.matmul", parameters={"rows": 4}, seconds=1e-5)
    assert found["error"] == (None if wanted == DEFAULT else 1e-7)


def test_nothing_timed_is_no_decision() -> None:
    with pytest.raises(MeasureError, match="no candidate could be timed"):
        search.decided(DEFAULT, [])


def test_the_quickest_tiles_are_timed_again_beside_their_grids(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.8, str(GRID): 0.9}
    world.run()
    first, second = world.device.timed[:2]
    assert [built.candidate for built in first.candidates] == [OTHER]
    assert [built.candidate for built in second.candidates] == [GRID, OTHER]
    assert (first.finalists, second.finalists) == (0, search.FINALISTS)
    assert world.chosen()[KERNELS[0]] == OTHER.parameters


FAULTS = {
    "it crashes": (WorkerDied("the worker process was ended by SIGSEGV", stage="timing"), "SIGSEGV"),
    "it hangs": (WorkerDied("the worker process was silent for 5 s and was stopped", stage="timing"), "silent for 5 s"),
    "it is wrong": ("relative error 1.0e+00, over 1e-04", "relative error 1.0e+00"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_candidate_is_noted_and_the_others_timed(world: World, name: str) -> None:
    fault, said = FAULTS[name]
    world.device.speeds = {str(OTHER): fault, str(GRID): 0.5}
    work = world.run()
    assert world.chosen() == dict.fromkeys(KERNELS, GRID.parameters)
    assert {failure.kernel for failure in work.failures} == set(KERNELS)
    assert all(failure.candidate == str(OTHER) and said in failure.reason for failure in work.failures)
    assert any(note.endswith("left out") and said in note for note in world.progress.notes)


def test_a_candidate_that_cannot_be_compiled_is_noted(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.1, str(GRID): 0.5}
    world.refused = {f"{KERNELS[1]} {OTHER}": "cpu.matmul: too large"}
    work = world.run()
    assert world.chosen() == {**dict.fromkeys(KERNELS, OTHER.parameters), KERNELS[1]: GRID.parameters}
    assert [(failure.kernel, failure.reason) for failure in work.failures] == [(KERNELS[1], "cpu.matmul: too large")]
