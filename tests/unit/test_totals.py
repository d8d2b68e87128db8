"""The main table: a line a network, its interval, what is doubtful, and what the numbers are."""

from __future__ import annotations

import io
import math
import re
import statistics
from collections.abc import Iterable

import msgspec
import pytest
import record_factory as factory
from printed import printed
from rich.console import Console
from session_records import QUIET, in_sessions

from mbench.core import units
from mbench.core.records import Record
from mbench.terminal import totals

PAIR = factory.PAIR
LONGEST = "mobilenet_v3_large_minimalistic_1.0_224_standard"
SMALL = [
    f"mobilenet_v1_{size}{kind}" for size in ("0.25_32", "0.25_64", "0.5_32", "0.5_64") for kind in ("", "_standard")
]
CHANGE = math.expm1((2.896 + 1.860) * statistics.stdev(map(math.log, QUIET)) * math.sqrt(2 / 5))
"""What a one-sided t test of two times five shows; source: a table of Student's t at 8 degrees of freedom."""
SHOWN = f"{100 * CHANGE:+.1f} %"


def table(record: Record, width: int = 80) -> str:
    return printed(totals.table(record, totals.rows(record)), width=width)


def notes(record: Record) -> str:
    """Return what stands in and below the table, where there is room for all of it."""
    lines = totals.rows(record)
    return " ".join(printed(totals.table(record, lines), *totals.notes(record, lines), width=160).split())


def line_of(name: str, text: str) -> list[str]:
    [found] = [line.split() for line in text.splitlines() if line.split()[:1] == [name]]
    return found


def test_a_network_is_a_line_with_its_interval() -> None:
    """Oracle: of five values the least and the largest enclose the median with 1 - 2/32 of the probability."""
    record = in_sessions(factory.record(PAIR[:1]))
    assert record.results[0].time_balance is not None
    middle = record.results[0].time_balance.end_to_end_s
    scale = {"ms": 1e3, "µs": 1e6}[units.seconds(middle).split()[1]]
    _, number, unit, limits, *rest = line_of(PAIR[0], table(record))
    assert (f"{number} {unit}", rest[:2]) == (units.seconds(middle), ["569", "M"])
    low, high = (float(value) for value in limits.strip("()").split("-"))
    assert (low, high) == pytest.approx((scale * middle * QUIET[0], scale * middle * QUIET[-1]), rel=0.005)
    assert "median over 5 sessions (fresh processes); interval: 94 % confidence (sign test)." in notes(record)


def test_what_the_numbers_are_is_said_once() -> None:
    said = notes(in_sessions(factory.record()))
    assert said.count("Spread: 1.0 % within, 1.9 % between sessions.") == 1
    assert said.count(f"Two such records show a slow-down from {SHOWN} on.") == 1
    assert "energy*: modelled, with static power" in said


def test_smallest_changes_that_are_far_apart_have_a_column() -> None:
    calm, wild = in_sessions(factory.record()), in_sessions(factory.record(), [0.8, 0.9, 1.0, 1.2, 1.4])
    mixed = msgspec.structs.replace(calm, results=(calm.results[0], wild.results[1]))
    assert "slow-down as listed." in notes(mixed)
    text = table(mixed, 120)
    assert SHOWN in " ".join(line_of(PAIR[0], text))
    assert SHOWN not in " ".join(line_of(PAIR[1], text))
    assert "shown" not in table(calm, 120)


def test_one_session_says_what_it_cannot_tell() -> None:
    said = notes(in_sessions(factory.record(), [1.0]))
    assert "latency: median of one session: how far processes lie apart is not known." in said
    assert "Spread" not in said
    assert "interval" not in table(in_sessions(factory.record(), [1.0]))
    some = in_sessions(factory.record())
    alone = in_sessions(factory.record(), [1.0])
    mixed = msgspec.structs.replace(some, results=(some.results[0], alone.results[1]))
    assert "1 of them: one session: how far processes lie apart is not known." in notes(mixed)
    assert units.NOT_AVAILABLE in line_of(PAIR[1], table(mixed))


def test_a_latency_that_no_clock_reads_is_no_figure_to_divide_by() -> None:
    record = in_sessions(factory.record())
    whole = msgspec.structs.replace(record.results[1].end_to_end, latency_s=(0.0,) * 15)
    short = msgspec.structs.replace(record.results[1], end_to_end=whole)
    text = table(msgspec.structs.replace(record, results=(record.results[0], short)), 120)
    assert "below 10 ns" in text
    assert " 0 " not in text
    assert line_of("ratio", text)[2] == units.NOT_AVAILABLE


def test_an_older_record_says_its_noise() -> None:
    said = notes(factory.record())
    assert "one session: how far processes lie apart is not known." in said
    assert "A/A noise within the process hides slow-downs below +0.8 to +1.1 %." in said


# ---------------------------------------------------------------------------------------------------------- disturbed
def test_a_disturbed_network_is_marked_and_nothing_follows_from_it() -> None:
    record = in_sessions(factory.record(), disturbed=PAIR[:1])
    text = table(record)
    assert "disturbed" in line_of(PAIR[0], text)
    assert "disturbed" not in line_of(PAIR[1], text)
    assert line_of("ratio", text)[2] == totals.DOUBTFUL
    said = notes(record)
    assert f"Two such records show a slow-down from {SHOWN} on (?: disturbed)." in said
    both = notes(in_sessions(factory.record(), disturbed=PAIR))
    assert "Spread and smallest change: ? (disturbed)." in both
    assert "%" not in both


def test_a_quiet_network_with_sessions_left_out_is_a_figure() -> None:
    assert "disturbed" not in table(in_sessions(factory.record(), left_out=2))
    assert "median over 5 sessions" in notes(in_sessions(factory.record(), left_out=2))


def coloured(record: Record, **environment: str) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, _environ={"TERM": "xterm-256color", **environment})
    console.print(totals.table(record, totals.rows(record)))
    return stream.getvalue()


def test_the_mark_is_a_colour_and_a_word() -> None:
    record = in_sessions(factory.record(), disturbed=PAIR[:1])
    [yellow] = [line for line in coloured(record).splitlines() if "\x1b[33m" in line]
    assert f"{PAIR[0]} " in yellow
    assert "\x1b[33m" not in coloured(record, NO_COLOR="1")
    assert "disturbed" in coloured(record, NO_COLOR="1")


# ------------------------------------------------------------------------------------------------------------- columns
@pytest.mark.parametrize("names", [SMALL, [f"{name}_b8" for name in SMALL], [LONGEST, "mobilenet_v2_1.0_224"]])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_line_is_a_row_and_no_name_is_split(names: list[str], width: int) -> None:
    record = in_sessions(factory.record(names, repeat=3, layer_repeat=3))
    lines = table(record, width).partition("memory:")[0].splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= (len(names) + 3 + 1 if len(names) > totals.FEW else 2 * (len(names) + 2))
    assert all(any(line.split()[0] == name for line in lines) for name in names)


def test_what_is_not_shown_is_not_explained() -> None:
    record = in_sessions(factory.record(SMALL[:3]))
    assert "energy*: modelled" in table(record, 80)
    assert "energy*" not in table(record, 60)


def test_a_name_of_any_sensible_length_is_not_split() -> None:
    names = [f"{'a_network_of_my_own_' * 3}{number}" for number in range(4)]
    record = in_sessions(factory.record(SMALL[:4], repeat=3, layer_repeat=3))
    results = (
        msgspec.structs.replace(each, variant=msgspec.structs.replace(each.variant, name=name))
        for each, name in zip(record.results, names, strict=True)
    )
    lines = table(msgspec.structs.replace(record, results=tuple(results))).splitlines()
    assert sum(line.startswith(name) for line in lines for name in names) == 2 * len(names)
    assert sum(line.endswith(" ok") for line in lines) == len(names)


def test_a_wider_terminal_shows_more() -> None:
    record = in_sessions(factory.record(SMALL[:4]))
    assert "params" not in table(record, 80)
    assert "params" in table(record, 120)


def test_several_pairs_have_a_column_of_speed_ups() -> None:
    record = in_sessions(factory.record(SMALL[:4]), disturbed=[SMALL[3]])
    text = table(record)
    assert re.search(r"\) +\d\.\d\dx", next(line for line in text.splitlines() if line.startswith(f"{SMALL[0]} ")))
    assert re.search(r"\) +\? ", next(line for line in text.splitlines() if line.startswith(f"{SMALL[2]} ")))
    assert "ratio" not in text


def images(record: Record, name: str) -> tuple[str, str]:
    heads = ("images/s", "an image")
    columns = {each.head: each.cells for each in totals.table(record, totals.rows(record)).columns}
    at = list(columns["network"]).index(name)
    return columns[heads[0]][at], columns[heads[1]][at]


def test_batches_have_images_a_second_and_the_time_of_an_image() -> None:
    names = ("mobilenet_v1_0.25_32_b1", "mobilenet_v1_0.25_32_b8")
    record = in_sessions(factory.record(names))
    eight = record.results[1].time_balance
    assert eight is not None
    assert images(record, names[1]) == (units.count(8 / eight.end_to_end_s), units.seconds(eight.end_to_end_s / 8))
    assert images(in_sessions(factory.record(names), disturbed=names), names[1]) == ("?", "?")
    assert "images/s" not in table(in_sessions(factory.record()), 200)
    assert "images/s" in table(record)


def test_many_counted_networks_have_their_counts_in_the_table() -> None:
    few, many = (factory.counted(factory.record(names)) for names in (PAIR, SMALL[:3]))
    assert "instr" not in table(few, 200)
    assert "instr" in table(many)


def test_an_emulated_network_has_instructions_in_place_of_latency() -> None:
    text = table(factory.emulated())
    assert text.split()[:4] == ["network", "instr", "latency*", "MACs"]
    said = notes(factory.emulated())
    assert "instr: of one run, counted exactly; " in said
    assert "latency*: a model's, of one thread, not measured" in said


# -------------------------------------------------------------------------------------------------------------- energy
def with_parts(record: Record, parts: Iterable[dict[str, float]]) -> Record:
    results = (
        msgspec.structs.replace(each, energy=msgspec.structs.replace(each.energy, components_j=found))
        for each, found in zip(record.results, parts, strict=True)
    )
    return msgspec.structs.replace(record, results=tuple(results))


STATIC, NONE = {"arithmetic": 1.0, "static": 1.0}, {"arithmetic": 1.0}


@pytest.mark.parametrize(
    ("parts", "said", "ratio"),
    [
        ((STATIC, STATIC), "modelled, with static power", True),
        ((NONE, NONE), "modelled, without static power (no time was measured)", True),
        ((STATIC, NONE), "with static power only where a time was measured: not to be compared", False),
    ],
)
def test_energies_are_alike_only_if_all_or_none_have_static_power(
    parts: tuple[dict[str, float], ...], said: str, ratio: bool
) -> None:
    record = with_parts(factory.record(), parts)
    assert said in notes(record)
    [energies] = [each.cells for each in totals.table(record, totals.rows(record)).columns if each.head == "energy*"]
    assert energies[-1].endswith("x") == ratio


def test_a_target_without_static_power_says_so() -> None:
    record = with_parts(factory.record(), (NONE, NONE))
    results = []
    for each in record.results:
        assert each.energy.coefficients is not None
        coefficients = msgspec.structs.replace(each.energy.coefficients, static_w=None)
        energy = msgspec.structs.replace(each.energy, coefficients=coefficients)
        results.append(msgspec.structs.replace(each, energy=energy))
    assert "modelled, static power unknown" in notes(msgspec.structs.replace(record, results=tuple(results)))


def test_an_emulated_run_says_that_it_has_no_static_power() -> None:
    assert "without static power (no time was measured)" in notes(factory.record(latency=False))
