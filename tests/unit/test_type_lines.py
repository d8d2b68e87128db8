"""What the terminal says of types, and that two networks stay on one screen."""

from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from rich.console import Console
from session_records import in_sessions

from mbench.analysis import type_words
from mbench.core.records import Record
from mbench.hardware import targets
from mbench.page import type_sentences
from mbench.terminal import record_tables, type_lines


def printed(record: Record, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as capture:
        for part in record_tables.record_tables(record):
            console.print(part)
    return capture.get().splitlines()


def said(record: Record) -> str:
    return " ".join(str(line) for line in type_lines.of_record(record))


def test_gain_and_quality_are_a_line_each() -> None:
    first, second = (str(line) for line in type_lines.of_record(quantized.both()))
    assert first.startswith("int8: 3.0 times quicker, where 4 are expected of int8; ")
    assert second == (
        "Quality: output 19.5 dB signal to noise; 75 % agree with float32 (4 drawn images, no accuracy); no operations "
        "left float."
    )


def test_float32_alone_says_nothing_of_types() -> None:
    assert list(type_lines.of_record(factory.record())) == []


@pytest.mark.parametrize(("target", "has"), [("arm64_cortex_a76", True), ("arm64_cortex_a72", False)])
def test_what_float16_is_summed_in_is_said(target: str, has: bool) -> None:
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    half = msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, dtype="float16"))
    record = msgspec.structs.replace(record, target=targets.load(target), results=(half,))
    expected = "float16: up to 64 multiply-adds are summed in float16; of longer sums, float32 adds up such parts."
    assert said(record) == (expected if has else "")
    assert list(type_sentences.sums(record)) == ([expected] if has else [])
    assert type_words.sums(msgspec.structs.replace(record, results=(result,))) is None


def test_int8_alone_says_what_it_cost() -> None:
    record = quantized.both()
    alone = msgspec.structs.replace(record, results=record.results[1:])
    assert said(alone).startswith("Quality: output 19.5 dB")


@pytest.mark.parametrize("width", [80, 120])
def test_two_networks_fit_on_a_screen(width: int) -> None:
    lines = printed(factory.in_sessions(quantized.both(left_float=("conv0",))), width)
    assert len(lines) <= record_tables.SCREEN
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "ratio float32/int8" in text
    assert "3.0 times quicker" in text


LONG = "mobilenet_v2_1.0_224"
LACKS = (
    "the processor has no dot product of bytes (vpmaddubsw + vpmaddwd + vpaddd stand for one): at peak, int8 "
    "multiplies 1.33 times as fast as float32, as measured; it breaks even at 1, and 4 is expected of it"
)


@pytest.mark.parametrize("disturbed", [(), (LONG,), (LONG, f"{LONG}_int8")])
def test_long_names_and_disturbed_ones_fit_too(disturbed: tuple[str, ...]) -> None:
    """What both types have alike stands below the table, and nothing is said of the other kind of convolution."""
    record = in_sessions(quantized.both(LONG, left_float=("block2.dw",)), disturbed=disturbed)
    lines = printed(record)
    assert len(lines) <= record_tables.SCREEN
    text = " ".join(" ".join(lines).split())
    assert "each: 301 M multiply-adds (MACs), 3.47 M parameters" in text
    assert "energy*" in next(line for line in lines if line.startswith("network"))
    assert "convolution, run also" not in text
    narrow = msgspec.structs.replace(record.results[1], warnings=(LACKS,))
    warned = msgspec.structs.replace(record, results=(record.results[0], narrow))
    lines = printed(warned)
    assert len(lines) <= record_tables.SCREEN
    assert "breaks even" in " ".join(lines)
    assert "unattributed" in " ".join(lines) or len(lines) + 4 > record_tables.SCREEN


def test_of_other_records_sizes_stand_in_the_table() -> None:
    record, other = quantized.both(), quantized.both("mobilenet_v2_0.35_96")
    both = msgspec.structs.replace(record, results=(*record.results, *other.results))
    for each in (factory.record(), both):
        assert "MACs" in next(line for line in printed(each, 160) if line.startswith("network"))


def test_many_networks_have_ranges() -> None:
    record, other = quantized.both(), quantized.both("mobilenet_v2_0.35_96", quicker=2.0)
    both = msgspec.structs.replace(record, results=(*record.results, *other.results))
    assert "int8: from 2.0 times (MobileNetV2 0.35 96) to 3.0 times quicker" in said(both)
    assert "Quality: outputs 19.5 dB signal to noise; 0 operations left float." in said(both)
