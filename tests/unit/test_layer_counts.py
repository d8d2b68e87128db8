from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory

from mbench.analysis import energy, latency_model, latency_model_error, layer_counts, pairs
from mbench.core import record_files
from mbench.core.artifact import Artifact
from mbench.core.machine_types import Target
from mbench.core.records import Counters, Result
from mbench.hardware import device_kinds, targets
from mbench.measure import counters
from mbench.measure.observation import CountedRun, Observation
from mbench.pipeline import results

A72 = targets.load("arm64_cortex_a72")
HOST = factory.record().target
NO_REASON = "the record gives no reason"


@pytest.fixture
def built(tmp_path: Path) -> Artifact:
    return fakes.compiled(tmp_path / "artifact", fakes.variant())


def made(built: Artifact, seen: Observation, target: Target = A72, **options: Any) -> Result:
    given: dict[str, Any] = {"calibration": None, "reason": device_kinds.NO_TIME, **options}
    return results.result(built, cached=False, target=target, threads=1, observation=seen, **given)


def emulated(built: Artifact, *, target: Target = A72, **changes: Any) -> Result:
    """Return the result of an emulated run of a target's own code; `changes` are of what was counted."""
    run = fakes.counted(built, **{"target": target.name, **changes})
    return made(built, fakes.emulated(built, counted=run), target)


def beside(built: Artifact, **changes: Any) -> Result:
    """Return the result of a native run on `host` with counts of code for another target."""
    run = fakes.counted(built, **{"target": "x86_64_v3", "artifact_digest": "1" * 32, **changes})
    return made(built, fakes.observed(built, counted=run), HOST, calibration=factory.record().device.calibration)


def times(n: int) -> Counters:
    """Return what `fakes.counted` gives n of."""
    return Counters(
        instructions=1000 * n, loads=300 * n, stores=100 * n, load_bytes=4800 * n, store_bytes=1600 * n,
        vector_instructions=800 * n, fma_instructions=500 * n, flops=4100 * n,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ emulated
def test_a_layer_is_the_sum_of_its_calls(built: Artifact) -> None:
    layers = emulated(built).layers
    assert layers[0].counters == times(1 + 2)
    assert layers[0].traffic_bytes == {"L1": 6400 * 3, "L2": 640 * 3, "DRAM": 64 * 3}
    assert layers[1].counters == times(3)
    assert layers[2].traffic_bytes == {"L1": 6400 * 4, "L2": 640 * 4, "DRAM": 64 * 4}


def test_kernels_are_told_apart_only_where_a_layer_has_several(built: Artifact) -> None:
    layers = emulated(built).layers
    assert layers[0].counters_by_kernel == {"k0a": times(1), "k0b": times(2)}
    assert all(layer.counters_by_kernel == {} for layer in layers[1:])


def test_a_kernel_that_is_called_twice_is_one(tmp_path: Path) -> None:
    plain = fakes.compiled(tmp_path / "artifact", fakes.variant())
    calls = (("k0a", 0), ("k0b", 0), ("k0a", 0), *plain.manifest.calls[2:])
    thrice = fakes.compiled(tmp_path / "artifact", fakes.variant(), calls=calls)
    assert emulated(thrice).layers[0].counters_by_kernel == {"k0a": times(1 + 3), "k0b": times(2)}


def test_the_counts_of_the_network_are_the_sum_of_its_layers(built: Artifact) -> None:
    result = emulated(built)
    assert result.counts is not None
    number = len(built.manifest.calls)
    assert result.counts.counters == times(number * (number + 1) // 2)
    assert result.counts.traffic_bytes is not None
    for level, total in result.counts.traffic_bytes.items():
        assert total == sum((layer.traffic_bytes or {})[level] for layer in result.layers)
    assert (result.counts.target, result.counts.vector_bits) == ("arm64_cortex_a72", 128)
    assert result.counts.artifact_digest == built.manifest.digest
    assert result.counts.method == "counted in emulation"


def test_the_modelled_latency_by_hand(built: Artifact) -> None:
    # Call n on a Cortex-A72 at 1.5 GHz: 1000 n instructions at three a cycle are 333 n cycles, 500 n multiply-adds at
    # one a cycle 500 n, 4100 n operations at eight 512.5 n, 800 n on vectors less 400 n of memory 400 n, 300 n loads
    # 300 n, 1600 n bytes stored at eight a cycle 200 n: 512.5 n. Then 640 n bytes of L2 at 24e9 a second and 64 n of
    # DRAM at 4.65e9, and the runtime for each call.
    one, call = 512.5 / 1.5e9 + 640 / 24e9 + 64 / 4.65e9, latency_model.CALL_CYCLES / 1.5e9
    result = emulated(built)
    assert result.layers[0].latency_model_s == pytest.approx(3 * one + 2 * call)
    assert result.layers[1].latency_model_s == pytest.approx(3 * one + call)
    assert result.layers[2].latency_model_s == pytest.approx(4 * one + call)
    number = len(built.manifest.calls)
    assert result.end_to_end.latency_model_s == pytest.approx(number * (number + 1) / 2 * one + number * call)
    assert result.end_to_end.latency_model_s == pytest.approx(
        sum(layer.latency_model_s or 0 for layer in result.layers)
    )
    assert result.end_to_end.latency_model_method == latency_model.METHOD


def test_the_error_of_the_model_stands_with_it(built: Artifact) -> None:
    whole = emulated(built).end_to_end
    assert whole.latency_model_error == latency_model_error.sentence(A72)
    assert "networks measured on" in (whole.latency_model_error or "")
    assert "ncnn on cortex-a72" in (whole.latency_model_error or "")


def test_threads_of_the_target_are_modelled_by_hand(built: Artifact) -> None:
    # Four cores share the arithmetic; L2 is one for all; DRAM gives one thread 4.65e9 and more 5.6e9.
    result = emulated(built)
    number = len(built.manifest.calls)
    sums, calls = number * (number + 1) / 2, number * latency_model.CALL_CYCLES / 1.5e9
    loops = sum(plan.parallel_loops or 0 for plan in built.manifest.layers) * latency_model.LOOP_CYCLES / 1.5e9
    assert result.end_to_end.latency_model_threads_s == {
        "2": pytest.approx(sums * (512.5 / 2 / 1.5e9 + 640 / 24e9 + 64 / 5.6e9) + calls + loops),
        "4": pytest.approx(sums * (512.5 / 4 / 1.5e9 + 640 / 24e9 + 64 / 5.6e9) + calls + loops),
    }


def test_a_layer_without_a_parallel_loop_has_one_thread(tmp_path: Path) -> None:
    plain = fakes.compiled(tmp_path / "artifact", fakes.variant())
    layers = tuple(msgspec.structs.replace(layer, parallel_loops=0) for layer in plain.manifest.layers)
    serial = dataclasses.replace(plain, manifest=msgspec.structs.replace(plain.manifest, layers=layers))
    whole = emulated(serial).end_to_end
    assert whole.latency_model_threads_s == dict.fromkeys(("2", "4"), pytest.approx(whole.latency_model_s))


def test_threads_are_not_modelled_of_another_artifacts_code(built: Artifact) -> None:
    assert emulated(built, artifact_digest="1" * 32).end_to_end.latency_model_threads_s == {}


@pytest.mark.parametrize(("threads", "numbers"), [(1, ()), (2, (2,)), (4, (2, 4)), (12, (2, 4, 8, 12))])
def test_numbers_of_threads_are_powers_of_two_and_the_targets(threads: int, numbers: tuple[int, ...]) -> None:
    assert layer_counts.thread_numbers(msgspec.structs.replace(A72, threads=threads)) == numbers


def test_kernels_of_a_layer_run_one_after_another(built: Artifact) -> None:
    run = fakes.counted(built, target=A72.name)
    nothing = Counters(**dict.fromkeys(Counters.__struct_fields__, 0))
    loading = msgspec.structs.replace(nothing, loads=3000, load_bytes=48000)  # 3000 cycles
    computing = msgspec.structs.replace(nothing, fma_instructions=1500, flops=12000)  # 1500 cycles
    first, second = (
        msgspec.structs.replace(call, counters=found, traffic_bytes={})
        for call, found in zip(run.calls[:2], (loading, computing), strict=True)
    )
    result = emulated(built, calls=(first, second, *run.calls[2:]))
    call = latency_model.CALL_CYCLES  # and 4500, not 3000, as if they shared the time
    assert result.layers[0].latency_model_s == pytest.approx((4500 + 2 * call) / 1.5e9)


def test_nothing_of_an_emulated_run_is_a_time(built: Artifact) -> None:
    result = emulated(built)
    assert (result.end_to_end.latency_s, result.end_to_end.twin_latency_s, result.time_balance) == (None, None, None)
    assert result.memory.process_peak_bytes is None
    assert all(layer.latency_s is None and layer.roofline is None for layer in result.layers)
    untimed = ("end_to_end.latency_s", "time_balance", "layers.latency_s", "layers.roofline")
    for path in (*untimed, "memory.process_peak_bytes"):
        assert pairs.why_missing(result, path) == device_kinds.NO_TIME


def test_energy_follows_from_the_counts(built: Artifact) -> None:
    # Horowitz: 3.7 pJ a multiply, 0.9 an add, 2.5 a byte of L1, 12.5 of L2, 244 of DRAM. Layer 1 is call 3: 1500
    # vectors of 4 are 6000 multiplies and 6000 adds, of 12300 operations.
    result = emulated(built)
    parts = 6000 * 3.7e-12 + 6300 * 0.9e-12 + 19200 * 2.5e-12 + 1920 * 12.5e-12 + 192 * 244e-12
    assert result.layers[1].energy_j == pytest.approx(parts)
    assert (result.layers[1].energy_method or "").startswith(energy.COUNTED_METHOD)
    assert result.energy.method == energy.COUNTED_METHOD + "; static power left out: no time was measured"
    assert result.energy.energy_j == pytest.approx(sum(layer.energy_j or 0 for layer in result.layers))
    assert result.energy.components_j.keys() == {"arithmetic", "L1", "L2", "DRAM"}


def test_no_time_means_no_static_power_however_well_modelled(built: Artifact) -> None:
    assert A72.energy is not None
    assert A72.energy.static_w is not None
    result = emulated(built)
    assert result.end_to_end.latency_model_s
    assert "static" not in result.energy.components_j


def test_without_caches_energy_follows_from_the_shapes(built: Artifact) -> None:
    result = emulated(built, caches=False)
    assert result.energy.method.startswith(energy.METHOD)
    assert result.layers[1].counters == times(3)
    assert result.layers[1].latency_model_s == pytest.approx(
        (3 * 512.5 + latency_model.CALL_CYCLES) / 1.5e9
    )  # of units
    for path in ("counts.traffic_bytes", "counts.traffic_method", "layers.traffic_bytes"):
        assert pairs.why_missing(result, path) == layer_counts.NO_CACHES


# ----------------------------------------------------------------------------------------------- beside a measured run
def test_counts_of_other_code_stand_beside_the_times(built: Artifact) -> None:
    result = beside(built, vector_bits=256)
    assert result.end_to_end.latency_s
    assert result.layers[0].latency_s
    assert result.layers[0].counters == times(3)
    assert result.layers[0].counters_by_kernel == {}  # its kernels are not the record's
    assert result.counts is not None
    assert (result.counts.target, result.counts.vector_bits) == ("x86_64_v3", 256)


def test_other_code_says_nothing_of_this_target(built: Artifact) -> None:
    result, plain = beside(built), made(built, fakes.observed(built), HOST)
    assert result.energy.energy_j == plain.energy.energy_j
    assert result.energy.method.startswith(energy.METHOD)
    assert result.end_to_end.latency_model_s is None
    assert all(layer.latency_model_s is None for layer in result.layers)
    for path in ("end_to_end.latency_model_s", "end_to_end.latency_model_method", "layers.latency_model_s"):
        assert "for x86_64_v3, not for host" in pairs.why_missing(result, path)


def test_calls_meet_layers_by_name(built: Artifact) -> None:
    run = fakes.counted(built)
    backwards = {"calls": run.calls[::-1], "layers": run.layers[::-1]}
    assert [layer.counters for layer in beside(built, **backwards).layers] == [
        layer.counters for layer in beside(built).layers
    ]


def test_a_layer_without_a_kernel_in_the_counted_code(built: Artifact) -> None:
    run = fakes.counted(built)
    result = beside(built, calls=run.calls[2:], layers=run.layers[2:])
    assert result.layers[0].counters is None
    assert result.layers[1].counters == times(3)
    assert pairs.why_missing(result, "layers.counters") == layer_counts.NO_KERNEL


def test_counts_of_own_code_beside_a_time_count_static_power(built: Artifact) -> None:
    run = fakes.counted(built, target=A72.name)
    result = made(built, fakes.observed(built, counted=run), calibration=factory.record().device.calibration)
    assert result.energy.method == energy.COUNTED_METHOD + ", plus static power x time"
    assert result.end_to_end.latency_s
    assert result.energy.components_j["static"] == pytest.approx(2.7 * statistics.median(result.end_to_end.latency_s))
    assert result.end_to_end.latency_model_s


def test_the_model_is_of_the_target_as_described(built: Artifact) -> None:
    run = fakes.counted(built, target=A72.name)
    processor = msgspec.structs.replace(A72.processor, cores=64, frequency_hz=None)
    here = msgspec.structs.replace(A72, processor=processor)  # as if run on another machine
    seen = fakes.observed(built, counted=run)
    result = made(built, seen, here, described=A72)
    assert result.end_to_end.latency_model_s == emulated(built).end_to_end.latency_model_s
    assert "processor.frequency_hz" in pairs.why_missing(made(built, seen, here), "layers.latency_model_s")


# ------------------------------------------------------------------------------------------- a reason for what is null
def measured(built: Artifact, **changes: Any) -> Result:
    """Return the result of a native run on `host`."""
    return made(built, fakes.observed(built, **changes), HOST, calibration=factory.record().device.calibration)


def without_the_first(built: Artifact) -> Result:
    run = fakes.counted(built)
    return beside(built, calls=run.calls[2:], layers=run.layers[2:], vector_bits=256)


CASES: dict[str, Callable[[Artifact], Result]] = {
    "emulated": emulated,
    "emulated, no caches": lambda built: emulated(built, caches=False),
    "emulated, no model": lambda built: emulated(built, target=HOST),
    "emulated, no coefficients": lambda built: emulated(built, target=msgspec.structs.replace(A72, energy=None)),
    "emulated, wrong": lambda built: made(built, fakes.unseen(fakes.WRONG)),
    "emulated, not finite": lambda built: made(built, fakes.unseen(fakes.NOT_FINITE)),
    "emulated, counting failed": lambda built: made(
        built, fakes.emulated(built, counted=None, counts_missing="no plugin")
    ),
    "beside": lambda built: beside(built, vector_bits=256),
    "beside, vector width unknown": beside,
    "beside, no caches": lambda built: beside(built, caches=False, vector_bits=256),
    "beside, a layer less": without_the_first,
    "beside, counting failed": lambda built: measured(built, counts_missing="no QEMU here"),
    "not asked": measured,
}


@pytest.mark.parametrize("name", CASES)
def test_every_null_has_its_reason(built: Artifact, name: str) -> None:
    result = CASES[name](built)
    without = {path for path in fakes.nulls(result) if pairs.why_missing(result, path) == NO_REASON}
    assert without == set()
    assert all(reason and "\n" not in reason for reason in result.missing.values())


@pytest.mark.parametrize("name", CASES)
def test_no_reason_is_given_for_what_is_there(built: Artifact, name: str) -> None:
    result = CASES[name](built)
    parts = [path.split(".") for path in fakes.nulls(result)]
    assert set(result.missing) <= {".".join(part[:length]) for part in parts for length in (1, 2)}


@pytest.mark.parametrize("name", CASES)
def test_the_record_takes_it(built: Artifact, name: str) -> None:
    result = CASES[name](built)
    record = msgspec.structs.replace(factory.record((result.variant.name,)), results=(result,))
    read = record_files.decode(record_files.encode(record), source="test")
    assert read.results[0].counts == record.results[0].counts
    assert read.results[0].missing == record.results[0].missing


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("not asked", "not counted: add --counts"),
        ("beside, counting failed", "no QEMU here"),
        ("emulated, counting failed", "no plugin"),
        ("emulated, wrong", "not counted, since the result is wrong: 0.1 > 0.0001"),
        ("emulated, not finite", "not counted, since the result is wrong: 7 not finite"),
    ],
)
def test_why_nothing_was_counted(built: Artifact, name: str, said: str) -> None:
    result = CASES[name](built)
    assert result.counts is None
    for path in ("counts", "layers.counters", "layers.traffic_bytes", "layers.latency_model_s"):
        assert pairs.why_missing(result, path) == said
    assert pairs.why_missing(result, "end_to_end.latency_model_s") == said
    assert pairs.why_missing(result, "end_to_end.latency_model_method") == said


def test_only_compiled_is_not_counted_for_that_reason(built: Artifact) -> None:
    reason = "not measured: --compile-only"
    result = results.result(
        built, cached=False, target=A72, threads=4, observation=None, calibration=None, reason=reason
    )
    assert {
        pairs.why_missing(result, path) for path in ("counts", "layers.counters", "end_to_end.latency_model_s")
    } == {reason}


def test_a_model_that_the_target_does_not_allow_says_what_it_lacks(built: Artifact) -> None:
    result = CASES["emulated, no model"](built)
    assert result.counts is not None
    assert "processor.issue_width" in pairs.why_missing(result, "layers.latency_model_s")


def test_counts_that_do_not_fit_their_layers_are_a_defect(built: Artifact) -> None:
    run: CountedRun = fakes.counted(built, target=A72.name)
    with pytest.raises(ValueError, match="zip"):
        emulated(built, calls=run.calls[:-1])


# ------------------------------------------------------------------------------------------------ traffic and its guess
def test_traffic_names_the_levels_whose_associativity_is_a_guess() -> None:
    assert counters.traffic_method(A72) == counters.TRAFFIC_METHOD
    said = counters.traffic_method(targets.load("arm64_neoverse_v2"))
    assert said == counters.TRAFFIC_METHOD + "; associativity of L3 not known, 8 ways assumed"
    options, _ = counters.cache_options(targets.load("arm64_neoverse_v2"))
    assert [option.split(":")[1] for option in options] == ["4", "8", "8"]
    assert "associativity of L1 not known" in counters.traffic_method(HOST)
