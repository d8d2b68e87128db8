"""`--quiet`: a line a network."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from session_records import in_sessions

from mbench.core import units
from mbench.core.records import Record
from mbench.terminal import quiet_lines

PAIR = factory.PAIR


def lines(record: Record) -> list[list[str]]:
    return [line.split() for line in quiet_lines.of_record(record)]


def test_a_line_has_the_name_the_headline_the_interval_and_ok() -> None:
    first, second = quiet_lines.of_record(in_sessions(factory.record()))
    assert first.split()[0] == PAIR[0]
    assert first.split()[1:3] == ["12.1", "ms"]
    assert first.split()[3].startswith("(11.")
    assert (first.split()[-1], second.split()[-1]) == ("ok", "ok")
    assert len(first) == len(second), "in columns"


def test_a_disturbed_network_has_no_interval() -> None:
    assert lines(in_sessions(factory.record(), disturbed=PAIR[:1]))[0] == [PAIR[0], "~12", "ms", "disturbed"]


def test_one_session_has_no_interval() -> None:
    assert lines(factory.record())[0] == [PAIR[0], "12.1", "ms", "ok"]


@pytest.mark.parametrize("disturbed", [(), PAIR])
def test_a_wrong_output_is_wrong_whatever_disturbed_it(disturbed: tuple[str, ...]) -> None:
    record = in_sessions(factory.record(PAIR[:1]), disturbed=disturbed)
    numerics = record.results[0].numerics
    assert numerics is not None
    result = msgspec.structs.replace(record.results[0], numerics=msgspec.structs.replace(numerics, passed=False))
    assert lines(msgspec.structs.replace(record, results=(result,)))[0][-1] == "WRONG"


def test_what_failed_says_why_and_what_is_missing_that_it_is() -> None:
    record = factory.record(PAIR[:1], failed=PAIR[1:])
    assert lines(record)[1] == [PAIR[1], "FAILED:", "out", "of", "registers"]
    assert lines(msgspec.structs.replace(record, failures=()))[1] == [PAIR[1], "UNFINISHED"]


def test_an_emulated_network_has_instructions() -> None:
    assert lines(factory.emulated())[0] == [PAIR[0], "187", "M", "instructions", "ok"]
    assert lines(factory.record(latency=False))[0] == [PAIR[0], units.NOT_AVAILABLE, units.NOT_AVAILABLE]


def test_hostile_names_stay_in_their_lines() -> None:
    record = factory.hostile(factory.record(latency=False))
    spoiled = msgspec.structs.replace(record.failures[0], reason="a\nb\x1b[2J")
    shown = quiet_lines.of_record(msgspec.structs.replace(record, failures=(spoiled,)))
    assert all(line.isprintable() for line in shown)
