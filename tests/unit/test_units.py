from __future__ import annotations

import pytest

from mbench.core import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.seconds(0.0035), "3.50 ms"),
        (units.seconds(9.996e-3), "10.0 ms"),
        (units.seconds(0.9996), "1.00 s"),
        (units.seconds(0.0), "0 s"),
        (units.seconds(-2.5e-6), "-2.50 µs"),
        (units.joules(0.0123), "12.3 mJ"),
        (units.data_size(16_884_128), "16.9 MB"),
        (units.flops_rate(2.34e11), "234 GFLOP/s"),
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
        (units.named("processor.l1d.bytes", 32768), "32.8 kB"),
        (units.named("processor.issue_width", 4.0), "4"),
    ],
)
def test_for_people(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "function",
    [
        units.seconds, units.joules, units.data_size, units.flops_rate, units.bytes_rate, units.count, units.exact,
        units.decimal, units.percent,
        units.ratio, units.times, units.change, units.intensity, units.shape, units.frequency,
        units.scientific,
    ],
)  # fmt: skip
def test_nothing_is_a_dash(function: object) -> None:
    assert function(None) == units.NOT_AVAILABLE  # type: ignore[operator]
    assert units.named("frequency_hz", None) == units.named("x", None) == units.NOT_AVAILABLE
