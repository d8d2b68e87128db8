"""bfloat16 through the command line: a network in both types, timed, checked and compared, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pair_layers import runs_here
from running_mbench import finished, warm_cache

from mbench.analysis import type_pairs
from mbench.core import record_files

pytestmark = [pytest.mark.slow, runs_here]
NAME = "mobilenet_v1_0.25_64"
QUICK = ("--quick", "--threads", "1", "--repeat", "3")


def test_a_network_in_both_types(tmp_path: Path) -> None:
    cache = warm_cache(tmp_path)
    arguments = ("run", NAME, "--dtype", "float32,bfloat16", *QUICK, "-o", "out", "--json")
    code, seen = finished(*arguments, cache=cache, cwd=tmp_path)
    assert code == 0, seen.err
    record = record_files.read(tmp_path / "out" / f"{json.loads(seen.out)['run_id']}.json")
    wide, narrow = record.results
    assert (wide.variant.name, narrow.variant.name) == (NAME, f"{NAME}_bfloat16")
    assert record.device.calibration is not None
    peaks = record.device.calibration.flops_per_s
    assert peaks["bfloat16"] > peaks["float32"]
    assert narrow.numerics is not None
    assert narrow.numerics.passed
    assert (narrow.numerics.max_rel_error or 0) > 1e-3, "rounded to 8 bits"
    assert not narrow.artifact.fallbacks
    assert 0.4 < narrow.memory.weight_bytes / wide.memory.weight_bytes < 0.6
    [pair] = type_pairs.of_record(record)
    assert pair.expected == 2
    alone = [layers for layers in pair.layers() if not layers.wide]
    assert [layers.narrow[0].operations for layers in alone] == [("cast",)]
    code, seen = finished("show", str(next((tmp_path / "out").glob("*.json"))), cache=cache, cwd=tmp_path)
    assert code == 0
    assert "expected of bfloat16" in " ".join(seen.out.split())
