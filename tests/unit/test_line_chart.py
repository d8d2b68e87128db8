"""The chart of the terminal, as characters."""

from __future__ import annotations

import io

import pytest
from printed import printed
from rich.console import Console

from mbench.terminal.line_chart import ChartLevel, ChartMark, LineChart

HEIGHT = 11


def chart(values: list[float], **more: object) -> LineChart:
    given = {
        "quiet": [True] * len(values), "levels": (), "marks": (), "show": lambda value: f"{value:.2f}", "first": "one",
        "last": "two", **more,
    }  # fmt: skip
    return LineChart(values=values, **given)  # type: ignore[arg-type]


def rows(shown: LineChart, width: int = 80) -> list[str]:
    return printed(shown, width=width).splitlines()


def test_larger_values_stand_higher_and_later_ones_to_the_right() -> None:
    lines = rows(chart([1.0, 2.0, 4.0]))
    places = {line.index("•"): row for row, line in enumerate(lines[:HEIGHT]) if "•" in line}
    assert [places[column] for column in sorted(places)] == [HEIGHT - 1, HEIGHT // 2, 0], "a factor is a distance"
    assert lines[0].startswith("4.00 │")
    assert lines[HEIGHT - 1].startswith("1.00 │")


def test_a_change_has_its_number_below_a_line() -> None:
    lines = rows(chart([1.0] * 10 + [1.2] * 10, marks=[ChartMark(at=10, label="1")]))
    column = lines[HEIGHT].index("1")
    assert {line[column] for line in lines[:HEIGHT]} == {"┊", "•"}
    assert lines[HEIGHT + 1].split() == ["one", "two"]


def test_levels_are_drawn_behind_the_runs() -> None:
    shown = chart([1.0, 2.0, 1.0, 2.0], levels=[ChartLevel(first=0, last=3, value=1.41)])
    assert any("───" in line for line in rows(shown))
    assert not any("───" in line for line in rows(chart([1.0, 2.0, 1.0, 2.0])))


def test_a_disturbed_run_is_hollow_and_hidden_by_a_quiet_one_in_the_same_column() -> None:
    assert any("∘" in line for line in rows(chart([1.0, 1.1, 1.2], quiet=[True, False, True])))
    many = [1.0, 5.0] * 200
    assert not any("∘" in line for line in rows(chart(many, quiet=[True, False] * 200)))


def test_one_value_far_off_does_not_flatten_the_rest() -> None:
    lines = rows(chart([1.0, 1.1] * 30 + [50.0] + [1.0, 1.1] * 30))
    assert "▲" in lines[0]
    filled = [row for row, line in enumerate(lines[:HEIGHT]) if "•" in line]
    assert max(filled) - min(filled) > HEIGHT // 2


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_it_fits_the_room(width: int, count: int) -> None:
    lines = rows(chart([1.0 + index % 3 for index in range(count)], marks=[ChartMark(at=count - 1, label="1")]), width)
    assert max(map(len, lines)) <= width
    assert len(lines) == HEIGHT + 2


@pytest.mark.parametrize("values", [[0.0, 1.0, 2.0], [0.0, 0.0], [5.0, 5.0]])
def test_zero_and_values_that_are_all_alike_are_drawn(values: list[float]) -> None:
    assert sum(line.count("•") for line in rows(chart(values))) == len(values)


def test_an_output_that_knows_ascii_alone_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    shown = chart([1.0, 1.1, 1.2], quiet=[True, False, True], marks=[ChartMark(at=1, label="1")])
    Console(file=stream, width=60).print(shown)
    stream.seek(0)
    text = stream.read()
    assert "*" in text
    assert "o" in text
    assert "•" not in text
