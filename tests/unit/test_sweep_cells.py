"""What records say of cells; accuracies beside the published table."""

from __future__ import annotations

import math
import statistics

import farm_factory as farms
import msgspec
import pytest
import record_factory as factory

from mbench.analysis import device_spread, sweep_cells
from mbench.core.records import Numerics
from mbench.networks import variants


def test_a_timed_result_has_the_median_of_its_sessions_with_an_interval() -> None:
    record = factory.in_sessions(factory.record())
    first, _ = sweep_cells.seen(record)
    result = record.results[0]
    assert first.network.name == result.variant.name
    assert first.finished
    assert first.sessions == 5
    assert first.digest == result.artifact.digest
    figures = first.figures
    assert figures is not None
    latency = figures.latency_s
    assert latency is not None
    assert latency.basis == "measured"
    per = len(result.end_to_end.latency_s or ()) // 5
    samples = result.end_to_end.latency_s or ()
    medians = [statistics.median(samples[at * per : (at + 1) * per]) for at in range(5)]
    assert latency.value == pytest.approx(statistics.median(medians))
    assert latency.low == pytest.approx(min(medians))
    assert latency.high == pytest.approx(max(medians))
    assert figures.weight_bytes == result.memory.weight_bytes
    assert figures.memory_bytes > figures.weight_bytes
    assert figures.macs == sum(layer.macs for layer in result.layers)


def test_on_a_farm_the_interval_knows_how_far_its_boards_lie_apart() -> None:
    plain = factory.in_sessions(factory.record())
    results = tuple(msgspec.structs.replace(each, device="pi-1") for each in plain.results)
    farm = msgspec.structs.replace(plain, results=results, farm=farms.PI4S)
    [spread] = device_spread.of_farm(farms.PI4S)
    assert spread.between
    for one, other in zip(sweep_cells.seen(plain), sweep_cells.seen(farm), strict=True):
        assert one.figures is not None
        assert other.figures is not None
        narrow, wide = one.figures.latency_s, other.figures.latency_s
        assert narrow is not None
        assert wide is not None
        assert wide.value == narrow.value
        assert (narrow.low or 0) / (wide.low or 1) == pytest.approx(math.exp(2 * spread.between))
        assert (wide.high or 0) / (narrow.high or 1) == pytest.approx(math.exp(2 * spread.between))


def test_a_counted_result_has_what_the_model_says_and_its_usual_error() -> None:
    record = factory.emulated()
    first = next(iter(sweep_cells.seen(record)))
    assert first.figures is not None
    latency = first.figures.latency_s
    assert latency is not None
    assert latency.basis == "counted"
    assert latency.value == record.results[0].end_to_end.latency_model_s
    assert latency.low is not None
    assert latency.high is not None
    assert latency.value / latency.low == pytest.approx(latency.high / latency.value)
    assert first.figures.instructions == record.results[0].counts.counters.instructions  # type: ignore[union-attr]
    assert sweep_cells.place_of(record).device == "emulated"


def test_what_was_only_compiled_has_no_latency_and_says_why() -> None:
    [first, _] = sweep_cells.seen(factory.record(latency=False))
    assert first.figures is not None
    assert first.figures.latency_s is None
    assert first.figures.missing == factory.NO_LATENCY


def test_failures_and_wrong_results_are_not_done() -> None:
    record = factory.record(failed=["mobilenet_v1_0.5_96"])
    wrong = Numerics(
        max_abs_error=9.0, max_rel_error=9.0, tolerance=1e-3, reference="torch", passed=False, detail="off"
    )  # fmt: skip
    first, *others = record.results
    record = msgspec.structs.replace(record, results=(msgspec.structs.replace(first, numerics=wrong), *others))
    spoiled, fine, failed = sweep_cells.seen(record)
    assert (spoiled.finished, fine.finished, failed.finished) == (False, True, False)
    assert (spoiled.stage, spoiled.reason) == ("checking", f"{sweep_cells.WRONG}: off")
    assert (failed.network.name, failed.stage, failed.reason) == ("mobilenet_v1_0.5_96", "build", "out of registers")


@pytest.mark.parametrize(
    ("name", "top1", "dtype"),
    [
        ("mobilenet_v1_0.25_128", 41.5, "float32"),  # TensorFlow-Slim's table
        ("mobilenet_v1_0.25_128_int8", 39.5, "int8"),  # TensorFlow Lite's hosted models
        ("mobilenet_v2_0.35_224_int8", 60.3, "float32"),  # nothing is published of it in int8
    ],
)
def test_an_accuracy_is_the_published_one_or_float32s(name: str, top1: float, dtype: str) -> None:
    found, of_type = sweep_cells.accuracy_of(variants.parse(name))
    assert found.top1_percent == top1
    assert of_type == dtype


def test_what_is_not_known_stays_so() -> None:
    found, of_type = sweep_cells.accuracy_of(variants.parse("mobilenet_v1_0.25_32_int8"))
    assert (found.kind, of_type) == ("unknown", "int8")
