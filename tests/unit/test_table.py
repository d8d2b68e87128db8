from __future__ import annotations

import io

from rich.console import Console

from mbench.terminal.table import add_row, ruled


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
