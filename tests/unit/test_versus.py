from __future__ import annotations

import math
import statistics

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from checked_figures import checked

from mbench.analysis import headline, versus
from mbench.core.records import Record
from mbench.page import figure_data, figures_history, headlines

replace = msgspec.structs.replace


def later(record: Record, factor: float = 1.0, day: int = 2) -> Record:
    """Return the record as of a later day, with every time longer by a factor."""
    return replace(factory.again(record, f"day{day}", factor), created_at_utc=f"2025-03-0{day}T12:00:00Z")


def compared(head: Record, base: Record | None = None) -> versus.Versus:
    found = versus.of_records((head, base or factory.record()))
    assert found is not None
    return found


def test_the_ratio_is_the_factor_and_lies_in_its_interval() -> None:
    found = compared(later(factory.record(), 1.5))
    assert found.base.run_id != "day2"
    assert len(found.networks) == 2
    assert len(found.layers) == 29 + 16
    for change in (*found.networks, *found.layers):
        assert change.ratio == pytest.approx(1.5, rel=1e-6)
        assert change.low is not None
        assert change.high is not None
        assert change.low <= 1.5 * 1.000001
        assert change.high >= 1.5 * 0.999999


def test_the_same_twice_covers_one() -> None:
    found = compared(later(factory.record()))
    assert len(found.networks) == 2
    assert len(found.layers) == 29 + 16
    for change in (*found.networks, *found.layers):
        assert change.low is not None, "the samples of each are many enough for an interval"
        assert change.high is not None
        assert change.low <= 1 <= change.high


def test_counts_are_exact() -> None:
    base = factory.emulated(factory.PAIR[:1])
    [change] = compared(later(base), base).networks
    assert (change.exact, change.ratio, change.low) == (True, 1.0, None)
    assert "executes 1.00x the instructions" in headlines.of_versus(compared(later(base), base))


def test_counts_of_other_code_are_not_compared() -> None:
    base = factory.counted(factory.record(factory.PAIR[:1]), target="x86_64_v3")
    other = later(factory.counted(factory.record(factory.PAIR[:1]), target="x86_64_v2"))
    assert {change.exact for change in compared(other, base).networks} == {False}


def test_nothing_in_common_or_not_two() -> None:
    record = factory.record(factory.PAIR[:1])
    assert versus.of_records((record,)) is None
    assert versus.of_records((record, later(record), later(record, day=3))) is None
    assert versus.of_records((record, later(factory.record(factory.PAIR[1:])))) is None
    assert versus.of_records((factory.record(latency=False), later(factory.record(latency=False)))) is None


def test_many_samples_are_few_blocks() -> None:
    record = factory.record(factory.PAIR[:1], repeat=5000, layer_repeat=1000)
    found = compared(later(record, 1.1), record)
    assert found.networks[0].ratio == pytest.approx(1.1)
    assert len(found.layers) == 29


def test_the_figure_has_the_intervals() -> None:
    found = compared(later(factory.record(), 1.5))
    table = figure_data.of_changes(found.networks)
    figure = checked(figures_history.changes(table))
    [trace] = figure.data
    assert list(trace.x) == [change.ratio for change in found.networks]
    ends = [x + more for x, more in zip(trace.x, trace.error_x.array, strict=True)]
    assert ends == pytest.approx([change.high for change in found.networks])
    assert figure.layout.shapes[0].x0 == 1
    assert figures_history.changes(table[:0]) is None


def test_an_infinite_interval_ends_at_the_edge() -> None:
    table = figure_data.of_changes(compared(later(factory.record())).networks)
    table.loc[0, "high"] = float("inf")
    figure = checked(figures_history.changes(table))
    assert max(figure.data[0].error_x.array) < 1
    assert "not known" in figure.data[0].hovertext[0]


def in_sessions(record: Record, **options: object) -> Record:
    return factory.in_sessions(record, **options)  # type: ignore[arg-type]


def test_of_sessions_the_medians_are_compared() -> None:
    """Oracle: tables of Mann and Whitney: of five and five, two of the 25 ratios lie outside on each side at 95 %."""
    base = in_sessions(factory.record())
    found = compared(later(base, 1.5), base)
    assert {change.by_sessions for change in (*found.networks, *found.layers)} == {True}
    for change, result in zip(found.networks, base.results, strict=True):
        medians = headline.medians(result)
        ratios = sorted(1.5 * b / a for a in medians for b in medians)
        assert change.ratio == pytest.approx(ratios[12], rel=1e-6)
        assert (change.low, change.high) == pytest.approx((ratios[2], ratios[-3]), rel=1e-6)
        assert change.base == statistics.median(medians)


def test_sessions_beside_a_record_without_are_compared_by_blocks() -> None:
    before = later(factory.record(), day=1)
    for head in (in_sessions(factory.record(run_id="b")), in_sessions(factory.record(run_id="b"), count=1)):
        found = compared(later(head, day=2), before)
        assert {change.by_sessions for change in found.networks} == {False}
        assert all(change.ratio is not None for change in found.networks)


def test_few_sessions_give_no_interval() -> None:
    base = in_sessions(factory.record(), count=3)
    [first, *_] = compared(later(base), base).networks
    assert first.by_sessions
    assert (first.low, first.high) == (0.0, math.inf)


def test_what_is_disturbed_is_not_compared() -> None:
    base = in_sessions(factory.record())
    head = in_sessions(factory.record(run_id="b"), disturbed=range(5), only=factory.PAIR[:1])
    found = compared(later(head), base)
    first, second = found.networks
    assert (first.ratio, first.low, first.high) == (None, None, None)
    assert first.disturbed == (f"the second run: {factory.BUSY}",)
    assert first.head > 1.9 * first.base  # both are still there
    assert second.ratio is not None
    assert headlines.of_versus(found).startswith(
        "MobileNetV1 1.0 224 cannot be compared: its latency is disturbed (the second run: other processes"
    )
    table = figure_data.of_changes(found.networks)
    figure = checked(figures_history.changes(table))
    assert list(figure.data[0].x) == [second.ratio]


def test_a_network_in_two_types_is_compared_layer_by_layer() -> None:
    record = quantized.both("mobilenet_v2_0.35_96", quicker=2.0)
    base, head = (
        replace(record, results=(result,), run_id=f"run{day}", created_at_utc=f"2025-03-0{day}T12:00:00Z")
        for day, result in enumerate(record.results, start=1)
    )
    found = versus.of_records((base, head))
    assert found is not None
    [network] = found.networks
    assert network.label == "MobileNetV2 0.35 96, float32 to int8"
    assert network.ratio == pytest.approx(0.5, rel=1e-6)
    assert [change.layer for change in found.layers] == [layer.name for layer in record.results[0].layers]
    other = replace(head, results=quantized.both("mobilenet_v1_0.25_128").results[1:])
    assert versus.of_records((base, other)) is None
