"""Which family wins where, of cells whose figures are chosen so that the answer is plain."""

from __future__ import annotations

import msgspec
import pytest
import sweep_factory
from sweep_factory import BOARD, LOCAL, cell, network

from mbench.analysis import sweep_answers
from mbench.core.sweep_records import SweepCell

V1, V2 = "mobilenet_v1", "mobilenet_v2"


def of(*figures: tuple[str, float, float], dtype: str = "float32", spread: float | None = None) -> list[SweepCell]:
    """Return cells of families, each with milliseconds and an accuracy."""
    return [
        cell(network(family, 0.1 * (at + 1), dtype=dtype), latency_s=ms / 1e3, top1=top1, spread=spread)
        for at, (family, ms, top1) in enumerate(figures)
    ]


def only(cells: list[SweepCell]) -> sweep_answers.SweepFacet:
    [facet] = sweep_answers.facets(sweep_factory.record(cells))
    return facet


CROSSING = ((V1, 1.0, 50.0), (V1, 2.0, 55.0), (V1, 9.0, 70.0), (V2, 2.5, 60.0), (V2, 4.0, 71.0), (V2, 3.0, 54.0))


def test_the_front_and_the_families_along_it() -> None:
    facet = only(of(*CROSSING))
    assert [1e3 * sweep_answers.latency_s(each) for each in facet.front] == pytest.approx([1, 2, 2.5, 4])
    assert [(each.family, each.above, each.upto) for each in facet.stretches] == [
        ("MobileNetV1", None, 55.0),
        ("MobileNetV2", 55.0, 71.0),
    ]
    assert sweep_answers.sentence(facet) == (
        "MobileNetV1 wins up to 55.0 % (2.00 ms), then MobileNetV2 wins up to 71.0 % (4.00 ms)."
    )
    assert sweep_answers.headline([facet]) == (
        "At the highest accuracies MobileNetV2 is fastest, at the lowest MobileNetV1, in one place and type."
    )


def test_the_fastest_network_at_each_step_of_accuracy_and_the_next_family() -> None:
    facet = only(of(*CROSSING))
    steps = {
        each.least_percent: (
            each.best and 1e3 * sweep_answers.latency_s(each.best),
            each.next and 1e3 * sweep_answers.latency_s(each.next),
        )
        for each in facet.steps
    }
    assert steps == {
        50.0: pytest.approx((1.0, 2.5)),
        55.0: pytest.approx((2.0, 2.5)),
        60.0: pytest.approx((2.5, 9.0)),
        65.0: pytest.approx((4.0, 9.0)),
        70.0: pytest.approx((4.0, 9.0)),
    }


def test_steps_are_the_same_at_all_places_and_nobody_wins_where_nobody_is_so_accurate() -> None:
    far = [msgspec.structs.replace(each, place=BOARD) for each in of((V1, 1.0, 50.0), (V2, 2.0, 52.0))]
    near, board = sweep_answers.facets(sweep_factory.record([*of(*CROSSING), *far]))
    assert [each.least_percent for each in board.steps] == [each.least_percent for each in near.steps]
    assert [each.best is None for each in board.steps] == [False, True, True, True, True]


@pytest.mark.parametrize(("spread", "close"), [(0.02, False), (0.2, True), (None, False)])
def test_what_lies_within_the_noise_is_said(spread: float | None, close: bool) -> None:
    facet = only(of((V1, 1.0, 60.0), (V2, 1.2, 60.0), spread=spread))
    assert facet.steps[0].close is close
    assert ("MobileNetV2 within the noise" in sweep_answers.sentence(facet)) is close


def test_of_counts_the_models_error_is_no_noise() -> None:
    board = [msgspec.structs.replace(each, place=BOARD) for each in of((V1, 1.0, 60.0), (V2, 1.2, 60.0), spread=0.2)]
    counted = [
        msgspec.structs.replace(
            each,
            figures=msgspec.structs.replace(
                each.figures, latency_s=msgspec.structs.replace(each.figures.latency_s, basis="counted")
            ),
        )
        for each in board
        if each.figures and each.figures.latency_s
    ]
    assert not only(counted).steps[0].close


def test_one_family_at_all_accuracies_and_one_alone() -> None:
    everywhere = only(of((V1, 5.0, 60.0), (V2, 1.0, 70.0)))
    assert sweep_answers.sentence(everywhere) == "MobileNetV2 wins at every accuracy, up to 70.0 % in 1.00 ms."
    assert sweep_answers.headline([everywhere]) == "MobileNetV2 wins at every accuracy in one place and type."
    alone = only(of((V1, 5.0, 60.0)))
    assert sweep_answers.sentence(alone) == "Only MobileNetV1 has both figures: up to 60.0 % in 5.00 ms."
    assert sweep_answers.headline([alone]) == "One family alone has both figures: MobileNetV1."


def test_which_family_is_fastest_may_depend_on_the_place() -> None:
    other = [msgspec.structs.replace(each, place=BOARD) for each in of((V1, 1.0, 70.0), (V2, 5.0, 60.0))]
    found = sweep_answers.facets(sweep_factory.record([*of((V1, 5.0, 60.0), (V2, 1.0, 70.0)), *other]))
    assert "depends on the place: MobileNetV2 in 1, MobileNetV1 in 1 of 2" in sweep_answers.headline(found)


def test_what_cannot_be_compared_says_why() -> None:
    unknown = [cell(network(V1), top1=None), cell(network(V2), top1=None)]
    assert sweep_answers.sentence(only(unknown)).startswith("No accuracy is published of these networks")
    untimed = [cell(network(V1), latency_s=None), cell(network(V2), latency_s=None)]
    assert sweep_answers.sentence(only(untimed)).startswith("No network has a latency")
    waiting = [sweep_factory.still_open(each) for each in of(*CROSSING)]
    assert sweep_answers.sentence(only(waiting)) == "Nothing is measured yet."
    assert sweep_answers.headline([only(waiting)]) == "No family wins yet."
    assert sweep_answers.headline([only(unknown)]) == "Families cannot be compared."
    assert only(unknown).steps == ()


def test_failed_cells_win_nothing_and_a_standard_twin_is_a_family_of_its_own() -> None:
    best, other = of((V1, 1.0, 70.0), (V2, 5.0, 60.0))
    facet = only([sweep_factory.failed(best), other])
    assert [each.family for each in facet.stretches] == ["MobileNetV2"]
    standard = msgspec.structs.replace(best, network=msgspec.structs.replace(best.network, convolution="standard"))
    assert sweep_answers.family(standard) == "MobileNetV1, standard"


def test_disturbed_winners_are_said() -> None:
    first, *others = of(*CROSSING)
    assert first.figures is not None
    busy = msgspec.structs.replace(first, figures=msgspec.structs.replace(first.figures, disturbed=("others ran",)))
    facet = only([busy, *others])
    assert facet.disturbed
    assert sweep_answers.sentence(facet).endswith("(4.00 ms). Latencies of these are disturbed.")


def test_accuracies_of_another_type_are_known() -> None:
    eight = [msgspec.structs.replace(each, accuracy_dtype="float32") for each in of(*CROSSING, dtype="int8")]
    assert only(eight).borrowed
    assert not only(of(*CROSSING)).borrowed
    assert only(of(*CROSSING)).place == LOCAL
