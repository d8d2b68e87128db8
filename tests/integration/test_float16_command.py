"""float16 through the command line: beside float32 and int8 in one run, for an Arm processor that is emulated."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import require
from emulated_networks import needs
from running_mbench import finished

from mbench.analysis import instruction_counts, pairs
from mbench.core import dtypes, record_files
from mbench.measure import decode

TARGET = "arm64_cortex_a76"
TYPES = ("float32", "float16", "int8")


@pytest.mark.slow
def test_three_types_in_one_run(tmp_path: Path) -> None:
    needs(TARGET)
    require(decode.NEEDS, "capstone is not installed")
    code, seen = finished(
        "run", "mobilenet_v1_0.25_64", "--target", TARGET, "--dtype", ",".join(TYPES), "-o", "out",
        cache=tmp_path / "cache", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, seen.err
    text = " ".join(seen.out.split())
    assert "per FMA: for each vector of multiply-adds, 4 of float32, 8 of float16, 16 of int8" in text
    assert "multiply-adds are summed in float16" in text
    [path] = (tmp_path / "out").glob("*.json")
    record = record_files.read(path)
    assert tuple(result.variant.dtype for result in record.results) == TYPES
    wide, half, _ = record.results
    assert half.numerics is not None
    assert half.numerics.tolerance == dtypes.network_tolerance("float16", sums="float16")
    for result in record.results:
        assert result.numerics is not None
        assert result.numerics.passed
        assert instruction_counts.lanes(record, result) == 128 // (8 * dtypes.width(result.variant.dtype))
    assert half.memory.weight_bytes < 0.55 * wide.memory.weight_bytes
    assert half.counts is not None
    counted = half.counts.counters
    assert counted.flops == pytest.approx(2 * pairs.macs(half), rel=0.2)
    assert 8 * counted.fma_instructions == pytest.approx(pairs.macs(half), rel=0.1)
    each = instruction_counts.of_network(record, half)
    assert each is not None
    assert 1 < each < 2.5
    assert half.artifact.fallbacks == {}


@pytest.mark.slow
def test_a_processor_without_their_arithmetic_refuses(tmp_path: Path) -> None:
    code, seen = finished(
        "run", "mobilenet_v1_0.25_64", "--target", "arm64_cortex_a72", "--dtype", "float16",
        cache=tmp_path / "cache", cwd=tmp_path,
    )  # fmt: skip
    assert (code, seen.out) == (2, "")
    assert "\n" not in seen.err
    assert "needs the processor feature asimdhp, which it lacks; it is for arm64_cortex_a55, " in seen.err
