from __future__ import annotations

import io
import re

import pytest
from printed import printed as shown
from rich.console import Console, Group
from rich.measure import Measurement
from rich.padding import Padding

from mbench.terminal.table import Beside, BrokenName, Column, Fitted, Paragraph, add_row, ruled, text


def printed(width: int = 80) -> str:
    table = ruled("Title", ("name",), ("number",))
    add_row(table, "[bold]a\x1b[31m", "1")
    add_row(table, "bb", "1000")
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue()


def test_a_title_a_rule_and_numbers_to_the_right() -> None:
    title, head, rule, *rows = (line.rstrip() for line in printed().splitlines())
    assert title == "Title"
    assert head.split() == ["name", "number"]
    assert set(rule) == {"-"}
    assert {len(row) for row in rows} == {len(head)}


def test_a_cell_is_plain_text() -> None:
    said = printed()
    assert "[bold]a" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("stages.0.0.conv1_1x1.conv", 16, ["stages.0.0.", "conv1_1x1.conv"]),
        ("stages.0.0.conv1_1x1.conv", 30, ["stages.0.0.conv1_1x1.conv"]),
        ("/net/block/conv", 6, ["/net/", "block/", "conv"]),
        ("averylongname.x", 6, ["averyl", "ongnam", "e.", "x"]),
        ("", 6, []),
        ("[b]\x1b[31m", 20, ["[b]\\x1b[31m"]),
    ],
)
def test_names_are_broken_behind_separators(name: str, width: int, expected: list[str]) -> None:
    table = ruled("", (), ())
    table.add_column(width=width)
    table.add_row(BrokenName(name))
    stream = io.StringIO()
    Console(file=stream, width=80).print(table)
    assert [line.strip() for line in stream.getvalue().splitlines() if set(line) - set(" -")] == expected


# ------------------------------------------------------------------------------------------------- as much as there is
COLUMNS = (
    Column(head="name", cells=["mobilenet", "b"]),
    Column(head="kept", cells=["1 µs", "20 µs"]),
    Column(head="third", cells=["x", "y"], rank=2),
    Column(head="second", cells=["p", "q"], rank=1),
)


def heads(width: int) -> list[str]:
    return shown(Fitted(COLUMNS), width=width).splitlines()[0].split()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, ["name", "kept", "third", "second"]),
        (28, ["name", "kept", "third", "second"]),
        (27, ["name", "kept", "second"]),
        (21, ["name", "kept", "third"]),
        (20, ["name", "kept"]),
        (15, ["name", "kept"]),
    ],
)
def test_the_columns_that_are_needed_most_stay(width: int, expected: list[str]) -> None:
    assert heads(width) == expected
    lines = shown(Fitted(COLUMNS), width=width).splitlines()
    assert len(lines) == 4, "a line is a row"
    assert max(map(len, lines)) <= width


def test_what_has_no_room_may_stand_below() -> None:
    below = [shown(Fitted(COLUMNS, below=rank), width=20).splitlines()[4:] for rank in (1, 2)]
    assert [line.split() for line in below[0]] == [["name", "second"], ["mobilenet", "p"], ["b", "q"]]
    assert [line.split() for line in below[1]] == [["name", "second"], ["mobilenet", "p"], ["b", "q"]], "as it has room"
    assert len(shown(Fitted(COLUMNS, below=2), width=28).splitlines()) == 4
    assert len(shown(Fitted(COLUMNS), width=20).splitlines()) == 4


def test_notes_are_those_of_what_is_shown() -> None:
    noted = (*COLUMNS[:2], Column(head="third", cells=["x", "y"], rank=2, note="third: of three"))
    assert shown(Fitted(noted), width=80).splitlines()[-1] == "third: of three"
    assert "third" not in shown(Fitted(noted), width=20)
    assert shown(Fitted(noted, below=2), width=20).splitlines()[-1] == "third: of three"


def test_a_fitted_table_has_a_rule_or_none_and_aligns_its_columns() -> None:
    assert shown(Fitted(COLUMNS[:2])).splitlines() == [
        "name       kept",
        "---------------",
        "mobilenet  1 µs",
        "b         20 µs",
    ]
    left = (COLUMNS[0], Column(head="op", cells=["pool", "x"], left=True), COLUMNS[1])
    assert shown(Fitted(left, rule=False)).splitlines() == [
        "name      op    kept",
        "mobilenet pool  1 µs",
        "b         x    20 µs",
    ]


def test_a_cell_of_a_fitted_table_is_plain_text_of_any_width() -> None:
    wide = Fitted([Column(head="a", cells=["[bold]\x1b[31m"]), Column(head="b", cells=["漢字"])])
    assert "[bold]\\x1b[31m 漢字" in shown(wide)


def test_tables_stand_side_by_side_where_both_fit() -> None:
    pair = Beside(Fitted(COLUMNS[:2], rule=False), Fitted(COLUMNS[:2], rule=False))
    assert shown(pair, width=32).splitlines()[0].split() == ["name", "kept"] * 2
    assert len(shown(pair, width=32).splitlines()) == 3
    assert len(shown(pair, width=31).splitlines()) == 6


def test_a_fitted_table_knows_its_width() -> None:
    console = Console(width=80)
    assert Measurement.get(console, console.options, Fitted(COLUMNS)) == Measurement(15, 28)
    assert text("x").plain == "x"


def test_names_are_broken_where_the_first_column_may_be_narrow_and_heads_never_are() -> None:
    name = "model.layers.0.blocks.11.attention.query"
    columns = [
        Column(head="layer", cells=[name]),
        *(Column(head=f"figure{n}", cells=["+1.0 %"], rank=n) for n in (1, 2, 3)),
    ]
    lines = shown(Fitted(columns, below=3, least=12), width=40).splitlines()
    assert lines[0].split() == ["layer", "figure1", "figure2", "figure3"]
    assert "".join(line[:15].strip() for line in lines[2:]) == name
    assert max(map(len, lines)) <= 40
    narrow = shown(Fitted(columns, below=3, least=12), width=24).splitlines()
    heads = [line.split() for line in narrow if "layer" in line.split()]
    assert heads == [["layer", "figure1"], ["layer", "figure2"], ["layer", "figure3"]], "as many tables as it takes"


def test_a_paragraph_has_lines_as_long_as_there_is_room_and_hostile_text_steers_nothing() -> None:
    said = Paragraph("one sentence of several-words [bold]and[/bold] \x1b[31m some more, with a long_name_of_a_network")
    for width in (30, 60, 200):
        lines = shown(said, width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert all(line.startswith("  ") for line in lines[1:])
    assert "[bold]and[/bold] \\x1b[31m" in shown(said, width=200)
    assert "\x1b" not in shown(said, width=200)


@pytest.mark.parametrize("width", range(24, 60))
def test_no_line_ends_between_a_number_and_its_unit(width: int) -> None:
    said = (
        "It took 5.04 ms, then 12.5 ms, which is 46 % of 187 M instructions, or 3.1 MB read in 8.2 s by two processes."
    )
    for part in (text(said), Paragraph(said), Group(text(said)), Padding(text(said), (0, 0, 0, 2))):
        lines = shown(part, width=width).splitlines()
        assert " ".join(" ".join(lines).split()) == said
        assert not any(re.search(r"\d$", line.rstrip()) for line in lines), lines
        assert max(map(len, lines)) <= width


def test_text_keeps_its_styles_and_what_is_added_to_it() -> None:
    styled = text("Passed: 5.0 ms more", style="bold")
    styled.stylize("red", 0, 7)
    out = io.StringIO()
    Console(file=out, width=14, force_terminal=True, color_system="standard").print(styled)
    assert "\x1b[1;31mPassed:" in out.getvalue()
    assert "5.0 ms" in out.getvalue()
