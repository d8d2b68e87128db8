from __future__ import annotations

from pathlib import Path

import fake_devices as fakes
import msgspec
from result_factory import RECORD, made, seen

from mbench.analysis import pairs
from mbench.core import network_digest
from mbench.hardware import targets
from mbench.pipeline import results


def test_a_wrong_result_is_not_timed(tmp_path: Path) -> None:
    result = made(tmp_path, observation=fakes.unseen(fakes.WRONG))
    assert result.numerics is not None
    assert not result.numerics.passed
    assert (result.end_to_end.latency_s, result.time_balance) == (None, None)
    assert result.end_to_end.threads == 2
    assert all(layer.latency_s is None and layer.roofline is None for layer in result.layers)
    assert "wrong: 0.1 > 0.0001" in pairs.why_missing(result, "end_to_end.latency_s")


def test_a_gpus_own_methods_and_memory_are_kept(tmp_path: Path) -> None:
    observation = seen(tmp_path, latency_method="by events", time_balance_method="held back", device_bytes=7)
    result = made(tmp_path, observation=observation, target=targets.load("cuda_sm90"))
    assert result.end_to_end.method == "by events"
    assert result.time_balance is not None
    assert result.time_balance.method == "held back"
    assert result.memory.device_bytes == 7
    compiled = made(tmp_path, observation=None, target=targets.load("cuda_sm90"))
    assert compiled.missing["memory.device_bytes"] == "the peaks could not be measured"


def test_what_was_compiled_is_in_the_result_without_a_run(tmp_path: Path) -> None:
    built = fakes.compiled(tmp_path / "artifact", fakes.variant())
    found = results.result(
        built, cached=True, target=RECORD.target, threads=2, observation=None, calibration=None, reason="no run"
    )
    manifest = built.manifest
    assert (found.artifact.digest, found.artifact.cached) == (manifest.digest, True)
    assert (found.memory.weight_bytes, found.numerics) == (manifest.weight_bytes, None)
    digest = network_digest.of_layers(found.layers)
    assert found.variant == msgspec.structs.replace(manifest.variant, digest=digest)
    assert pairs.why_missing(found, "numerics") == "no run"
