"""What the terminal says of networks under load."""

from __future__ import annotations

import record_factory as factory
from printed import printed
from sustained_factory import sustained, with_sustained

from mbench.terminal import record_tables, sustained_lines


def test_a_line_for_each_network() -> None:
    record = with_sustained(factory.record(), sustained(noise=0.0), None)
    assert [line.plain for line in sustained_lines.of_record(record)] == [
        "mobilenet_v1_1.0_224: sustained 60 s: 5.90 ms at first, steady at 7.10 ms from 22 s on (+20 %), "
        "2.40 → 1.80 GHz, 48 → 81 °C.",
        "mobilenet_v1_1.0_224_standard: not sustained: it died.",
    ]


def test_nothing_is_said_where_nobody_asked() -> None:
    assert list(sustained_lines.of_record(factory.record())) == []


def test_the_lines_are_among_what_is_printed_of_a_record() -> None:
    record = with_sustained(factory.record(), sustained(noise=0.0), sustained(noise=0.0))
    said = " ".join(printed(*record_tables.record_tables(record)).split())
    assert said.count("steady at 7.10 ms from 22 s on (+20 %)") == 2
