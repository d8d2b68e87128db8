"""Series as small lines."""

from __future__ import annotations

import pytest
import site_factory as factory

from mbench.history import sparklines


def heights(line: sparklines.Sparkline) -> list[float]:
    return [float(point.split(",")[1]) for point in line.points.split()]


def test_a_step_goes_from_the_lower_edge_to_the_upper() -> None:
    series = factory.series(factory.INSTRUCTIONS, steps=[(20, 2.0)], level=1e6)
    line = sparklines.of_series(series, [factory.change(series, 20, 2.0)])
    assert set(heights(line)) == {26.0, 4.0}  # of 30 pixels, with an edge of 4
    assert heights(line).count(26.0) == 20
    [mark] = line.marks
    assert (mark.y, mark.kind) == (4.0, "worse")
    assert line.last == (128.0, 4.0)
    assert line.said == "40 runs, 1.00 M to 2.00 M"


def test_noise_does_not_fill_the_line() -> None:
    quiet = heights(sparklines.of_series(factory.series(), ()))
    assert max(quiet) - min(quiet) < 0.75 * 22
    loud = heights(sparklines.of_series(factory.series(steps=[(20, 2.0)]), ()))
    assert max(loud) - min(loud) == pytest.approx(22)


def test_a_line_without_a_difference_is_in_the_middle() -> None:
    assert set(heights(sparklines.of_series(factory.series(factory.MACS, level=5e8), ()))) == {15.0}
    one = sparklines.of_series(factory.series(count=1), ())
    assert (one.last, one.said[:6]) == ((128.0, 15.0), "1 run,")


def test_what_is_thinned_keeps_the_ends_and_what_matters() -> None:
    kept = sparklines.thinned(10_000, 66, keep={4321, 4322})
    assert {0, 9999, 4321, 4322} <= set(kept)
    assert kept == sorted(kept)
    assert len(kept) <= 68
    assert sparklines.thinned(5, 66) == [0, 1, 2, 3, 4]
