"""What may explain a change: marks, counts, and other networks of the machine, each planted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from series_factory import INSTRUCTIONS, LIBRARY, MODELLED, series, timed

from mbench.analysis.change_points import ChangePoint
from mbench.history import change_causes, changes
from mbench.history.change_causes import Causes, Company
from mbench.history.series import Series

AT = 40
STEP = ChangePoint(at=AT, previous=AT - 1, before=1e-3, after=1.05e-3, low=1.04, high=1.06, p_value=1e-9)
ONE_BUILD = {"mbench": "1.0", "build": "same"}


def causes(series_of_it: Series, *others: Series, step: ChangePoint = STEP) -> Causes:
    return change_causes.of_step(series_of_it, step, Company([series_of_it, *others]))


def moved(share: float = 0.05, **more: object) -> Series:
    return series(timed(60, (AT, share)), **more)  # type: ignore[arg-type]


def others(shares: Sequence[float], **more: object) -> list[Series]:
    return [
        series(timed(60, (AT, share), seed=number + 2), network=f"other{number}", **more)  # type: ignore[arg-type]
        for number, share in enumerate(shares)
    ]


def test_a_version_that_differs_is_named_with_both() -> None:
    one = moved(marks=lambda index: {"apache-tvm": "0.27" if index < AT else "0.28", "build": str(index)})
    assert causes(one).words == ("apache-tvm 0.27 → 0.28",)


def test_a_version_that_changed_at_another_run_is_not() -> None:
    one = moved(marks=lambda index: {"apache-tvm": "0.27" if index < 20 else "0.28"})
    assert causes(one).words == ()


def test_digests_are_named_by_what_they_are_of_and_a_build_only_if_nothing_else_differs() -> None:
    def marks(index: int) -> dict[str, str]:
        late = index >= AT
        return {"network": "a" if late else "b", "schedules": "c" if late else "d", "build": str(index)}

    assert causes(moved(marks=marks)).words == (
        "the network's weights or layers differ", "schedules of its kernels differ",
    )  # fmt: skip
    assert causes(moved(marks=lambda index: {"build": str(index)})).words == ("another build",)


def test_a_mark_that_one_side_lacks_is_said() -> None:
    one = moved(marks=lambda index: {"governor": "powersave"} if index >= AT else {})
    assert causes(one).words == ("governor not known → powersave",)


def test_counts_in_the_same_records_say_whether_the_work_is_the_same() -> None:
    same = series([300e6] * 60, INSTRUCTIONS)
    more = series([300e6] * AT + [309e6] * 20, INSTRUCTIONS)
    larger = series([9e4] * AT + [9.9e4] * 20, LIBRARY)
    one = moved(marks=lambda _: {})
    assert causes(one, same).words == ("the same instructions",)
    assert causes(one, more).words == ("instructions +3.00 %",)
    assert causes(one, same, larger).words == ("library +10.00 %",)


def test_counts_of_emulation_are_taken_by_time() -> None:
    emulated = series([300e6] * AT + [309e6] * 20, INSTRUCTIONS, device="emulated", machine="", hardware="Zen")
    assert causes(moved(marks=lambda _: {}), emulated).words == ("instructions +3.00 %",)
    ended = series([300e6] * AT, INSTRUCTIONS, device="emulated", machine="", hardware="Zen")
    assert causes(moved(marks=lambda _: {}), ended).words == ()


def test_other_networks_that_moved_with_it_and_one_build_mean_the_machine() -> None:
    one, beside = moved(marks=lambda _: ONE_BUILD), others([0.05, 0.04, 0.06], marks=lambda _: ONE_BUILD)
    found = causes(one, *beside)
    assert found.machine
    assert found.words[0].startswith("one build ran before and after")
    assert found.words[1].startswith("the 3 other networks on this machine moved with it, by +")


@pytest.mark.parametrize(
    ("shares", "said"),
    [([0.0, 0.0, 0.0], "did not move"), ([0.02, 0.02], "moved by +"), ([-0.05, -0.05], "moved by -")],
)
def test_other_networks_that_did_not_move_with_it_speak_against_the_machine(shares: list[float], said: str) -> None:
    found = causes(moved(marks=lambda _: ONE_BUILD), *others(shares, marks=lambda _: ONE_BUILD))
    assert not found.machine
    assert said in found.words[-1]


def test_another_build_is_no_machine_whatever_others_do() -> None:
    found = causes(moved(), *others([0.05, 0.05]))
    assert not found.machine
    assert "moved with it" in found.words[-1]


@pytest.mark.parametrize("where", [{"machine": "runner-2"}, {"threads": 2}, {"device": "rpc"}])
def test_networks_in_another_place_say_nothing(where: dict[str, object]) -> None:
    found = causes(moved(marks=lambda _: ONE_BUILD), *others([0.05, 0.05], marks=lambda _: ONE_BUILD, **where))
    assert found == Causes(("one build ran before and after: its code is the same",))


def test_one_other_network_is_too_few_and_so_are_disturbed_runs() -> None:
    one = moved(marks=lambda _: ONE_BUILD)
    assert not causes(one, *others([0.05], marks=lambda _: ONE_BUILD)).machine
    unseen = others([0.05, 0.05], marks=lambda _: ONE_BUILD, disturbed=range(AT, 60))
    assert not causes(one, *unseen).machine


def test_a_drift_is_said_to_be_one() -> None:
    drift = ChangePoint(at=20, previous=19, last=50, before=1e-3, after=1.1e-3, low=1.08, high=1.12, p_value=1e-9)
    assert "a slow drift over 31 runs, no step" in causes(moved(), step=drift).words


def test_a_modelled_latency_of_equal_counts_is_no_regression_but_the_model_s() -> None:
    modelled = series([2e-3] * AT + [3e-3] * 20, MODELLED)
    same, more = series([300e6] * 60, INSTRUCTIONS), series([300e6] * AT + [309e6] * 20, INSTRUCTIONS)
    for counts, worse in ((same, False), (more, True)):
        [change] = changes.found([modelled], [counts])[modelled.id]
        assert (change.worse, change.model) == (worse, not worse)
        assert any("the model of the target" in each for each in change.causes) is not worse


@pytest.mark.parametrize("name", ["model", "code", "kernel"])
def test_a_mark_of_any_length_is_said_in_a_few_words(name: str) -> None:
    marks = {index: {name: f"{'a long description ' * 30}{index >= AT}"} for index in range(60)}
    [said] = causes(moved(marks=marks.__getitem__)).words
    assert len(said) < 60
    assert "differ" in said or "another way" in said
