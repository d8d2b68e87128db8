"""What a run makes of a device that measures, fails or says something impossible."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory
from run_world import NAMES, World, names

from mbench import devices
from mbench.analysis import pairs
from mbench.build import builders, places
from mbench.core import records
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Target
from mbench.devices.process import WorkerDied
from mbench.devices.protocols import DeviceRunner
from mbench.hardware import targets
from mbench.networks import variants
from mbench.pipeline import observe

pytest_plugins = ("run_fixtures",)

MEASURE_FAILURES = {
    "crash": WorkerDied("the worker process was ended by SIGSEGV", stage="warming up", detail="last words"),
    "refused": MeasureError("2 threads were set, the runtime uses 1"),
}


@pytest.mark.parametrize("name", MEASURE_FAILURES)
def test_a_failed_measurement_is_recorded_and_the_rest_measured(world: World, name: str) -> None:
    error = MEASURE_FAILURES[name]
    world.fails(NAMES[0], error)
    record = world.run()
    assert names(record) == [NAMES[1], NAMES[2]]
    [failure] = record.failures
    assert (failure.variant, failure.reason) == (NAMES[0], str(error))
    assert (failure.stage, failure.detail) == (("warming up", "last words") if name == "crash" else ("measuring", ""))
    assert world.ended(NAMES[0]) == "failed"
    assert world.device.closed


@pytest.mark.parametrize("numerics", [fakes.WRONG, fakes.NOT_FINITE])
def test_a_wrong_result_is_recorded_without_a_time(world: World, numerics: records.Numerics) -> None:
    world.device.behaviour[NAMES[1]] = fakes.unseen(numerics)
    record = world.run()
    assert tuple(names(record)) == NAMES
    result = record.results[1]
    assert result.numerics == numerics
    assert result.end_to_end.latency_s is None
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (NAMES[1], "checking")
    assert failure.reason == f"wrong result: {numerics.detail}"
    assert world.ended(NAMES[1]) == "failed"


def test_without_peaks_the_rest_is_measured(world: World) -> None:
    world.device.peaks = WorkerDied("the worker process was ended by SIGKILL", stage="calibrating")
    record = world.run()
    assert tuple(names(record)) == NAMES
    assert record.device.calibration is None
    assert "SIGKILL" in record.device.missing["calibration"]
    assert "SIGKILL" in world.progress.notes[0]
    assert all("peaks" in pairs.why_missing(result, "layers.roofline") for result in record.results)


def test_what_counts_is_let_go_where_the_device_cannot_be_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its lock would be held as long as the exception is, in a notebook for ever."""
    closed: list[str] = []

    class Counting:
        def __init__(self, *_: object) -> None:
            pass

        def close(self) -> None:
            closed.append("counting")

    def waits(*_: object, **__: object) -> DeviceRunner:
        raise KeyboardInterrupt

    monkeypatch.setattr(observe, "Counting", Counting)
    monkeypatch.setitem(devices.OPENERS, "local", waits)
    with pytest.raises(KeyboardInterrupt):
        world.run(counted=world.target)
    assert closed == ["counting"]


def counting_of(
    target: str, networks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> tuple[observe.Counting, list[tuple[str, int]]]:
    """Return what counts beside a measurement, and what was built for it: networks, and for how many cores."""
    built: list[tuple[str, int]] = []

    def build_all(wanted: Sequence[records.Variant], for_target: Target, *_: object, **__: object) -> dict[str, object]:
        built.extend((each.name, for_target.processor.cores) for each in wanted)
        return {}

    monkeypatch.setattr(builders, "build_all", build_all)
    monkeypatch.setattr(observe, "open_device", lambda *_: None)
    job: Any = SimpleNamespace(
        counted=targets.load(target),
        named=lambda wanted: [variants.parse(name) for name in wanted],
        use_cache=True,
        build_timeout_s=1.0,
        place=places.LOCAL_PLACE,
    )
    return observe.Counting(job, networks, fakes.Progress()), built


def test_a_type_that_the_counted_target_lacks_is_measured_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = f"{NAMES[0]}_bfloat16"
    counting, built = counting_of("x86_64_v3", (NAMES[0], narrow), monkeypatch)
    assert built == [(NAMES[0], 4)]
    seen = counting.added(narrow, fakes.unseen(fakes.WRONG))
    assert seen.counts_missing == "target 'x86_64_v3', whose code is counted, has no bfloat16"
    assert seen.counted is None


def test_a_boards_counts_are_those_of_its_emulated_run(monkeypatch: pytest.MonkeyPatch) -> None:
    _, built = counting_of("graviton4", NAMES[:1], monkeypatch)
    assert built == [(NAMES[0], targets.for_threads(targets.load("graviton4"), 1).processor.cores)]
    assert targets.load("graviton4").processor.cores == 96


@pytest.mark.parametrize("changes", [{"parallel_loop_s": -1.0}, {"flops_per_s": {"float32": 1e300}}, {"threads": 0}])
def test_peaks_that_no_record_can_hold_are_none(world: World, changes: dict[str, Any]) -> None:
    known: Any = world.device.peaks
    world.device.peaks = msgspec.structs.replace(known, **changes)
    record = world.run()
    assert record.device.calibration is None
    assert "what no machine has" in record.device.missing["calibration"]
    assert tuple(names(record)) == NAMES


INT8 = "mobilenet_v1_0.25_32_int8"


def with_int8(world: World) -> records.Record:
    networks = (variants.parse(NAMES[0]), variants.parse(INT8))
    settings = {"variants": (NAMES[0], INT8), "dtype": "float32,int8"}
    return world.run(settings=settings, networks=networks)


def test_the_peak_of_bytes_is_measured_where_a_network_has_them(world: World) -> None:
    world.run()
    assert world.device.types_calibrated == []
    record = with_int8(world)
    assert world.device.types_calibrated == ["int8"]
    assert record.device.calibration is not None
    assert record.device.calibration.flops_per_s["int8"] == 8e11
    floats, whole = (result.layers[0].roofline for result in record.results)
    assert floats is not None
    assert whole is not None
    assert floats.fraction_of_peak == pytest.approx(floats.flops_per_s / factory.PEAK_FLOPS)
    assert whole.fraction_of_peak == pytest.approx(whole.flops_per_s / 8e11)


def test_without_that_peak_the_rest_is_measured(world: World) -> None:
    world.device.byte_peak = MeasureError("no instructions that multiply bytes")
    record = with_int8(world)
    assert names(record) == [NAMES[0], INT8]
    assert record.device.calibration is not None
    assert set(record.device.calibration.flops_per_s) == {"float32"}
    assert any("the machine's peak in int8 could not be measured" in note for note in world.progress.notes)
