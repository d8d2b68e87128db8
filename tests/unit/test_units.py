from __future__ import annotations

import re
from pathlib import Path

import pytest

from mbench.core import units

ROOT = Path(__file__).parents[2]
"""The repository: what is installed lies elsewhere, without documents."""
WRITTEN = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "benchmarks/*.md",
    "benchmarks/*.py",
    "mbench/**/*.py",
    "reports/*",
)
"""Where sizes are written for people."""
NO_UNIT = re.compile(r"(?<![\w.])\d[\d.,]* ?(?:KB|kiB|Kb|kib|mb|Mb|MIB|mib|gb|Gb)\b|\} ?(?:KB|kiB|Kb|mb|Mb|gb)\b")
CACHE_IN_THOUSANDS = re.compile(r"\b(?:L[123]d?|caches?)\b(?:[^|;,.]|\.\d){0,20}?(?<=\d) (?:kB|MB)(?!/s)")
POWERS_OF_1024_AS_THOUSANDS = re.compile(
    r"/ ?(?:_?KIB|1024|\(?1 ?<< ?10|2 ?\*\* ?10)[^\n]*\} ?kB|data_size\([^)]*(?:cache|shared_bytes|working_set)"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.seconds(0.0035), "3.50 ms"),
        (units.seconds(9.996e-3), "10.0 ms"),
        (units.seconds(0.9996), "1.00 s"),
        (units.seconds(0.0), "below 10 ns"),
        (units.seconds(9.99e-9), "below 10 ns"),
        (units.seconds(1e-8), "10.0 ns"),
        (units.seconds(-2.5e-6), "-2.50 µs"),
        (units.scaled(0.0, "W"), "0 W"),
        (units.joules(0.0123), "12.3 mJ"),
        (units.data_size(16_884_128), "16.9 MB"),
        (units.flops_rate(2.34e11), "234 GFLOP/s"),
        (units.flops_rate(9.186e11, "OP"), "919 GOP/s"),
        (units.bytes_rate(2.13e10), "21.3 GB/s"),
        (units.count(568_740_352), "569 M"),
        (units.count(0), "0"),
        (units.count(33), "33"),
        (units.count(1033), "1.03 k"),
        (units.exact(12_345_678), "12,345,678"),
        (units.count_change(300_774_272, 1_224_972_288), "301 → 1,225 million"),
        (units.count_change(2_170_000_000, 95_800_000_000), "2,170 → 95,800 million"),
        (units.count_change(21_700_000_000, 95_800_000_000), "21.7 → 95.8 billion"),
        (units.count_change(923_000, 4_460_000), "923 → 4,460 thousand"),
        (units.count_change(9, 72), "9 → 72"),
        (units.decimal(1.3096), "1.31"),
        (units.percent(0.9486), "94.9 %"),
        (units.ratio(6.4), "6.40x"),
        (units.times(6.43), "6.4 times"),
        (units.times(0.583), "0.58 times"),
        (units.times(118.0), "120 times"),
        (units.change(0.0123), "+1.2 %"),
        (units.change(-0.5), "-50.0 %"),
        (units.intensity(12.34), "12.3 FLOP/B"),
        (units.intensity(0.0), "0 FLOP/B"),
        (units.intensity(0.0, "OP"), "0 OP/B"),
        (units.shape((1, 3, 224, 224)), "1x3x224x224"),
        (units.frequency(2.1e9), "2.10 GHz"),
        (units.scientific(2.13e-6), "2.1e-06"),
        (units.timestamp("2025-03-01T12:34:56Z"), "2025-03-01 12:34 UTC"),
        (units.timestamp("yesterday"), "yesterday"),
        (units.named("processor.frequency_hz", 2.1e9), "2.10 GHz"),
        (units.named("peaks.flops_per_s.float32", 2e11), "200 GFLOP/s"),
        (units.named("peaks.bytes_per_s.DRAM", 2e10), "20.0 GB/s"),
        (units.named("energy.bytes_j.DRAM", 2.4e-10), "240 pJ/B"),
        (units.named("energy.static_w", 1.5), "1.50 W"),
        (units.named("processor.l1d.bytes", 32768), "32 KiB"),
        (units.named("processor.l2.bytes", 52_428_800), "50 MiB"),
        (units.named("processor.multiprocessor.shared_bytes", 233_472), "228 KiB"),
        (units.named("memory_bytes", 85_899_345_920), "85.9 GB"),
        (units.named("peaks.bytes_per_s.L1", 3.35e13), "33.5 TB/s"),
        (units.cache_size(49_152), "48 KiB"),
        (units.cache_size(1_310_720), "1.25 MiB"),
        (units.cache_size(34_603_008), "33 MiB"),
        (units.cache_size(2 << 30), "2 GiB"),
        (units.cache_size(512), "512 B"),
        (units.ranged([0.4, 1.57, 0.9], "{:.2g} processors".format), "0.4 to 1.6 processors"),
        (units.ranged([0.021, 0.08], units.change), "+2.1 to +8.0 %"),
        (units.ranged([9.8e-4, 1.02e-3], units.seconds), "980 µs to 1.02 ms"),
        (units.ranged([1e-3, 1.001e-3], units.seconds), "1.00 ms"),
        (units.ranged([None], units.seconds), units.NOT_AVAILABLE),
        (units.named("processor.issue_width", 4.0), "4"),
    ],
)
def test_for_people(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "function",
    [
        units.seconds, units.joules, units.data_size, units.cache_size, units.flops_rate,
        units.bytes_rate, units.count, units.exact,
        units.decimal, units.percent,
        units.ratio, units.times, units.change, units.intensity, units.shape, units.frequency,
        units.scientific,
    ],
)  # fmt: skip
def test_nothing_is_a_dash(function: object) -> None:
    assert function(None) == units.NOT_AVAILABLE  # type: ignore[operator]
    assert units.named("frequency_hz", None) == units.named("x", None) == units.NOT_AVAILABLE


def test_numbers_together_have_the_unit_of_the_first() -> None:
    assert units.together([1.02e-3, 9.8e-4, 0.0367]) == (("1.02", "0.98", "36.7"), "ms")
    assert units.together([6.73e-5, 3.67e-3]) == (("67.3", "3670"), "µs")
    assert units.together([0.0, 1.0]) == (("0", "1.00"), "s")
    assert units.together([1e-12, 1e308]) == (("1.00", "too large"), "ps")
    with pytest.raises(ValueError, match="no values"):
        units.together([])


# ------------------------------------------------------------------------------------------ powers of 1000 and of 1024
def wrong_units(text: str) -> list[str]:
    """Return what names no unit, a cache in powers of 1000, or powers of 1024 as if they were of 1000."""
    checks = (NO_UNIT, CACHE_IN_THOUSANDS, POWERS_OF_1024_AS_THOUSANDS)
    return [match[0] for check in checks for match in check.finditer(text)]


def test_sizes_are_in_their_own_units_everywhere() -> None:
    files = [path for pattern in WRITTEN for path in ROOT.glob(pattern) if path.is_file()]
    assert len(files) > 200
    found = {str(path.relative_to(ROOT)): wrong for path in files if (wrong := wrong_units(path.read_text("utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "an L2 of 512 kB", "L1 32.8 kB", "the cache has 1 MB", "needs 12 KB", "64 kiB", 'f"{limit // _KIB} kB"',
        "{{ units.data_size(calibration.working_set_bytes.get(level)) }}", "units.data_size(host.caches_bytes)",
    ],
)  # fmt: skip
def test_a_wrong_unit_is_found(text: str) -> None:
    assert wrong_units(text)


@pytest.mark.parametrize(
    "text",
    ["L2 512 KiB", "16.9 MB of weights", "L2 at 21.3 GB/s", 'f"{limit // _KIB} KiB"', "GPU memory: 85.9 GB", "8 Mb_x"],
)
def test_a_right_unit_is_let_be(text: str) -> None:
    assert not wrong_units(text)


def test_how_many_there_are_is_one_or_several() -> None:
    assert [units.counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    said = "5.04 ms, 46 % of 3.1 MB and 187 M instructions in 2 sessions; 7.8 times, 12 GFLOP/s, 3 s"
    tied = units.tied(said, "_")
    assert tied == "5.04_ms, 46_% of 3.1_MB and 187_M instructions in 2 sessions; 7.8_times, 12_GFLOP/s, 3_s"
    assert units.tied("1.5 \u00b5s to 3 more") == "1.5\u00a0\u00b5s to 3 more"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.00504, "~5.0 ms"), (1.234, "~1.2 s"), (None, "\u2013"), (1e-9, "below 10 ns")]
)
def test_a_doubtful_time_has_a_mark_and_two_digits(value: float | None, shown: str) -> None:
    assert units.about(value) == shown
