"""Each quantity is what the record's own fields say."""

from __future__ import annotations

import statistics

import msgspec
import record_factory as factory
import store_records as stores
from sustained_factory import sustained

from mbench.core.records import Result
from mbench.history import quantities
from mbench.history.quantities import QUANTITIES, Seen

replace = msgspec.structs.replace
[TIMED] = stores.timed().results
[COUNTED] = factory.emulated([stores.SMALL]).results
STATIC = {"peak_bytes", "weight_bytes", "library_bytes", "macs", "params"}


def seen(result: Result) -> dict[str, Seen]:
    return dict(quantities.of_result(result))


def test_latency_is_the_median_of_the_sessions() -> None:
    found = seen(TIMED)["latency_s"]
    samples = TIMED.end_to_end.latency_s or ()
    parts = [samples[at : at + 10] for at in range(0, 50, 10)]
    assert found.sessions == tuple(map(statistics.median, parts))
    assert found.value == statistics.median(found.sessions)
    assert (found.low, found.high) == (min(found.sessions), max(found.sessions))  # five: 94 %


def test_a_record_without_sessions_has_no_medians_of_them() -> None:
    [result] = factory.short(factory.record([stores.SMALL], repeat=10)).results
    found = seen(result)["latency_s"]
    assert (found.sessions, found.low, found.high) == ((), None, None)
    assert found.value == statistics.median(result.end_to_end.latency_s or ())


def test_cold_starts_and_sustained_runs() -> None:
    found = seen(replace(TIMED, sustained=sustained()))
    assert found["load_s"].value == statistics.median(each.load_s or 0.0 for each in TIMED.sessions)
    assert len(found["first_s"].sessions) == 5
    assert found["flops_per_s"].value == statistics.median(each.flops_per_s or 0.0 for each in TIMED.sessions)
    assert "sustained_latency_s" in found
    assert "sustained_latency_s" not in seen(TIMED)


def test_counts_and_sizes() -> None:
    found = seen(COUNTED)
    assert COUNTED.counts
    assert found["instructions"].value == COUNTED.counts.counters.instructions
    assert found["latency_model_s"].value == COUNTED.end_to_end.latency_model_s
    assert "latency_s" not in found
    assert found["macs"].value == sum(layer.macs for layer in COUNTED.layers)
    assert found["weight_bytes"].value == COUNTED.memory.weight_bytes


def test_what_there_is_not_has_no_value() -> None:
    [result] = factory.record([stores.SMALL], latency=False).results
    assert set(seen(result)) == STATIC | ({"latency_model_s"} & set(seen(result)))
    [on_gpu] = factory.on_gpu(stores.timed()).results
    assert seen(on_gpu)["energy_j"].value == 0.31
    assert "energy_j" not in seen(TIMED)


def test_a_wrong_result_has_no_values() -> None:
    assert TIMED.numerics
    assert seen(replace(TIMED, numerics=replace(TIMED.numerics, passed=False))) == {}


def test_kinds_of_quantities() -> None:
    assert set(seen(TIMED)) | set(seen(COUNTED)) <= set(QUANTITIES)
    assert {name for name, quantity in QUANTITIES.items() if quantity.better == "neither"} == {
        "macs", "params", "flops_per_s",
    }  # fmt: skip
    for name, quantity in QUANTITIES.items():
        unit = {"s": "s", "bytes": "B", "j": "J"}.get(name.rpartition("_")[2], "")
        assert quantity.unit == ("FLOP/s" if name == "flops_per_s" else unit)
        assert quantity.name == name
