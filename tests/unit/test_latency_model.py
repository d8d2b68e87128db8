from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mbench.analysis import latency_model
from mbench.core.machine_types import Cache, Figure, Peaks, Processor, Target
from mbench.core.records import Counters
from mbench.hardware import targets

NOTHING = {"L1": 0, "L2": 0, "L3": 0, "DRAM": 0}
CPUS = [name for name in targets.available() if targets.load(name).family != "gpu"]


def figure(value: float) -> Figure:
    return Figure(value=value, estimate="round numbers, to reckon by hand")


def target(**changes: Any) -> Target:
    """1 GHz, 2 instructions, 1 multiply-add of 4 lanes, 2 loads and half a store of 16 bytes a cycle; 4 cores.

    L2 is each core's own, L3 is shared by two, DRAM by all.
    """
    processor = Processor(
        cores=4, vector_bits=128, frequency_hz=figure(1e9), flops_per_cycle={"float32": figure(8)},
        issue_width=figure(2), fma_units=figure(1), load_units=figure(2), store_units=figure(0.5),
        l1d=Cache(bytes=figure(32768)), l2=Cache(bytes=figure(2**18)), l3=Cache(bytes=figure(2**21), shared_by=2),
    )  # fmt: skip
    return Target(
        name="board", family="arm", description="a board", default_device="emulated", threads=4, tvm={},
        processor=msgspec.structs.replace(processor, **changes),
        peaks=Peaks(
            bytes_per_s={"L1": figure(1), "L2": figure(32e9), "L3": figure(8e9), "DRAM": figure(2e9)}
        ),
    )  # fmt: skip


def counts(**changes: int) -> Counters:
    return msgspec.structs.replace(Counters(**dict.fromkeys(Counters.__struct_fields__, 0)), **changes)


def model(counters: Counters, traffic: dict[str, int] | None = None, board: Target | None = None) -> Any:
    return latency_model.seconds(counters, traffic, board or target(), "float32")


CALL = latency_model.CALL_CYCLES / 1e9
"""Seconds of the runtime for each kernel at 1 GHz."""


# ------------------------------------------------------------------------------------------ each term, reckoned by hand
@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ({"instructions": 4000}, 2e-6),  # 4000 / 2 a cycle
        ({"instructions": 4000, "fma_instructions": 2001}, 2.001e-6),  # one a cycle
        ({"instructions": 4000, "flops": 16008}, 2.001e-6),  # 16008 / 8 a cycle
        ({"instructions": 4000, "fma_instructions": 2001, "flops": 16008}, 2.001e-6),
        ({"instructions": 2002, "loads": 2002, "load_bytes": 8008}, 1.001e-6),
        ({"instructions": 1000, "loads": 1500, "load_bytes": 6000}, 0.75e-6),  # 1500 of 4 bytes / 2
        ({"instructions": 1000, "loads": 1000, "load_bytes": 64000}, 2e-6),  # pairs: 4000 vectors / 2
        ({"instructions": 1000, "stores": 900, "store_bytes": 3600}, 0.9e-6),  # narrow: one a cycle
        ({"instructions": 1000, "stores": 900, "store_bytes": 14400}, 1.8e-6),  # whole: half a one
    ],
)
def test_the_busiest_unit_of_a_core_decides(found: dict[str, int], seconds: float) -> None:
    taken, _ = model(counts(**found), NOTHING)
    assert taken == pytest.approx(seconds + CALL, rel=1e-12)


@pytest.mark.parametrize(
    ("traffic", "seconds"),
    [
        ({"L2": 8000}, 1e-6),  # a quarter of 32e9 bytes/s, for one core of 4
        ({"L3": 8000}, 2e-6),  # half of 8e9 bytes/s: one of two copies
        ({"DRAM": 8000}, 4e-6),  # all of 2e9 bytes/s
        ({"L2": 8000, "L3": 8000, "DRAM": 8000}, 7e-6),  # one level after the other
        ({"L1": 10**9}, 0.0),  # what L1 moves is the load and store units' part
    ],
)
def test_data_take_their_levels_one_after_the_other(traffic: dict[str, int], seconds: float) -> None:
    taken, _ = model(counts(), {**NOTHING, **traffic})
    assert taken == pytest.approx(seconds + CALL, rel=1e-12)


@pytest.mark.parametrize(
    ("board", "seconds"),
    [
        ({}, 3.5e-6),  # loads and data, 0.5 + 3, against 2 of arithmetic
        ({"data_overlap": figure(1)}, 3.5e-6),
        ({"data_overlap": figure(0)}, 5e-6),  # 2 + 3
        ({"data_overlap": figure(0.5)}, 4.25e-6),  # half way
        ({"in_order": True}, 5.5e-6),  # 2 + 0.5 + 3
    ],
)
def test_how_far_the_core_hides_its_data(board: dict[str, Any], seconds: float) -> None:
    code = counts(instructions=3000, fma_instructions=2000, loads=1000, load_bytes=16000)
    taken, _ = model(code, {"L2": 8000, "L3": 8000}, target(**board))
    assert taken == pytest.approx(seconds + CALL, rel=1e-12)


def test_data_that_come_sooner_than_the_core_is_done_cost_nothing() -> None:
    code = counts(fma_instructions=4000, loads=1000)
    assert model(code, {"DRAM": 2000})[0] == model(code, NOTHING)[0] == pytest.approx(4e-6 + CALL)


@pytest.mark.parametrize(
    ("found", "traffic", "most"),
    [
        ({"instructions": 400000}, {}, "instructions"),
        ({"instructions": 100, "fma_instructions": 90000}, {}, "arithmetic"),
        ({"loads": 90000}, {}, "loads"),
        ({"stores": 90000, "store_bytes": 4 * 90000}, {}, "stores"),
        ({"instructions": 100}, {"DRAM": 10**6}, "DRAM"),
        ({"instructions": 2}, {}, "runtime"),
    ],
)
def test_what_most_of_the_time_is(found: dict[str, int], traffic: dict[str, int], most: str) -> None:
    assert model(counts(**found), {**NOTHING, **traffic})[1] == most


def test_what_is_not_the_busiest_unit_makes_no_difference() -> None:
    bound = counts(instructions=4000, fma_instructions=3000)
    more = msgspec.structs.replace(bound, loads=5000, stores=1000)
    assert model(bound)[0] == model(more)[0] == pytest.approx(3e-6 + CALL)


def test_in_order_vector_arithmetic_loads_and_stores_take_turns() -> None:
    busy = counts(
        instructions=4000, fma_instructions=1000, loads=500, load_bytes=8000, stores=100, store_bytes=1600
    )  # 1000 of arithmetic, 8000 / 32 = 250 of loads, 1600 / 8 = 200 of stores; 4000 / 2 = 2000 at the front
    assert model(busy)[0] == pytest.approx(2e-6 + CALL)
    assert model(busy, None, target(in_order=True))[0] == pytest.approx(2e-6 + CALL)
    fewer = msgspec.structs.replace(busy, instructions=1600)
    assert model(fewer)[0] == pytest.approx(1e-6 + CALL)
    assert model(fewer, None, target(in_order=True))[0] == pytest.approx(1.45e-6 + CALL)


def test_all_arithmetic_on_vectors_counts_where_its_units_are_known() -> None:
    # 3000 instructions on vectors, 700 of them loads and 300 stores: 2000 of arithmetic, half of them multiply-adds.
    code = counts(instructions=3000, vector_instructions=3000, loads=700, stores=300, fma_instructions=1000)
    assert model(code)[0] == pytest.approx(1.5e-6 + CALL)
    assert model(code, None, target(vector_units=figure(1)))[0] == pytest.approx(2e-6 + CALL)
    assert model(code, None, target(vector_units=figure(2)))[0] == pytest.approx(1.5e-6 + CALL)


def test_a_core_takes_no_more_of_a_level_than_it_can() -> None:
    slow = target(core_bytes_per_s={"DRAM": figure(1e9), "L2": figure(100e9)})
    assert model(counts(), {"DRAM": 8000}, slow)[0] == pytest.approx(8e-6 + CALL)
    assert model(counts(), {"L2": 8000}, slow)[0] == pytest.approx(1e-6 + CALL)  # its share of the peak is less


def test_a_kernel_without_work_takes_the_runtime() -> None:
    assert model(counts(), NOTHING) == (CALL, "runtime")


def test_without_a_model_of_the_caches_the_units_remain() -> None:
    assert model(counts(instructions=40000), None) == (pytest.approx(2e-5 + CALL), "instructions")


def test_a_level_that_all_cores_share_is_lent_whole() -> None:
    shared = target(l2=Cache(bytes=figure(2**20), shared_by=4))
    assert model(counts(), {"L2": 320000}, shared) == (pytest.approx(1e-5 + CALL), "L2")


# -------------------------------------------------------------------------------------------------------------- threads
@pytest.mark.parametrize(
    ("level", "threads", "seconds"),
    [
        ("L2", 1, 1e-6), ("L2", 2, 0.5e-6), ("L2", 4, 0.25e-6),  # each core's own: 8e9 for each
        ("L3", 1, 2e-6), ("L3", 2, 1e-6), ("L3", 4, 1e-6),  # two copies of 4e9, no more for four threads
        ("DRAM", 1, 4e-6), ("DRAM", 4, 4e-6),  # 2e9 for all
    ],
)  # fmt: skip
def test_threads_share_what_the_cores_share(level: str, threads: int, seconds: float) -> None:
    found = latency_model.seconds(counts(), {level: 8000}, target(), "float32", threads)
    assert found is not None
    assert found[0] == pytest.approx(seconds + CALL)


def test_threads_split_the_work_of_the_core_and_not_the_runtimes() -> None:
    found = latency_model.seconds(counts(fma_instructions=4000), None, target(), "float32", 4)
    assert found is not None
    assert found[0] == pytest.approx(1e-6 + CALL)


def test_more_threads_take_more_of_the_memory_up_to_its_peak() -> None:
    slow = target(core_bytes_per_s={"DRAM": figure(0.8e9)})
    rates = [latency_model.bytes_per_s(slow, "DRAM", threads) for threads in (1, 2, 4)]
    assert rates == [pytest.approx(0.8e9), pytest.approx(1.6e9), pytest.approx(2e9)]


def test_starting_threads_takes_time_by_loop() -> None:
    assert latency_model.start_s(target(), 3) == pytest.approx(3 * latency_model.LOOP_CYCLES / 1e9)
    assert latency_model.start_s(target(frequency_hz=None), 3) == 0.0


def test_a_processor_without_fused_multiply_adds() -> None:
    plain = target(fma_units=figure(0))
    assert model(counts(flops=80000), None, plain) == (pytest.approx(1e-5 + CALL), "arithmetic")
    assert "flops_per_cycle.float32" in (
        latency_model.lacking(target(fma_units=figure(0), flops_per_cycle={}), "float32") or ""
    )


# --------------------------------------------------------------------------------------------------- what is not known
@pytest.mark.parametrize("name", ["frequency_hz", "issue_width", "fma_units"])
def test_no_model_without_what_it_needs(name: str) -> None:
    without = target(**{name: None})
    assert model(counts(instructions=1), NOTHING, without) is None
    assert latency_model.lacking(without, "float32") == f"the target's description has no processor.{name}"
    assert latency_model.lacking(target(), "float32") is None


def test_all_that_is_lacking_is_named() -> None:
    said = latency_model.lacking(target(frequency_hz=None, fma_units=None), "float32")
    assert said == "the target's description has no processor.frequency_hz, processor.fma_units"


@pytest.mark.parametrize("name", ["load_units", "store_units"])
def test_units_that_are_not_known_are_left_out_and_named(name: str) -> None:
    without = target(**{name: None})
    much = 10**6
    busy = counts(instructions=2, loads=much, load_bytes=16 * much, stores=much, store_bytes=16 * much)
    assert model(busy, None, without)[1] == {"load_units": "stores", "store_units": "loads"}[name]
    assert latency_model.method(without).endswith(f"has none: {name}")
    assert latency_model.method(target()) == latency_model.METHOD


def test_a_bandwidth_that_is_not_known_is_left_out_and_named() -> None:
    without = msgspec.structs.replace(target(), peaks=Peaks(bytes_per_s={"L2": figure(32e9), "DRAM": figure(2e9)}))
    assert model(counts(instructions=2), {"L3": 10**9}, without)[1] == "runtime"
    assert latency_model.method(without).endswith("has none: peaks.bytes_per_s.L3")


def test_a_figure_of_zero_divides_nothing() -> None:
    zeros = target(issue_width=figure(0), load_units=figure(0))
    assert model(counts(instructions=1), None, zeros) is None
    assert "load_units" in latency_model.method(zeros)


# ---------------------------------------------------------------------------------------------------------- in records
def test_the_method_cannot_be_taken_for_a_measurement() -> None:
    assert latency_model.METHOD.startswith("modelled, not measured: one thread")
    for left_out in ("dependent instructions", "branch misses", "TLB"):
        assert left_out in latency_model.METHOD.partition("Not in it")[2]
    assert "optimistic" not in latency_model.METHOD


@pytest.mark.parametrize("name", CPUS)
def test_every_cpu_target_has_a_whole_model(name: str) -> None:
    described = targets.load(name)
    assert latency_model.lacking(described, "float32") is None
    assert latency_model.method(described) == latency_model.METHOD


def test_dense_multiply_adds_on_a_cortex_a72() -> None:
    # 1 GMAC in vectors of 4, one a cycle at 1.5 GHz: a sixth of a second, if nothing else takes longer.
    macs = 10**9
    code = counts(instructions=macs // 4 * 3 // 2, fma_instructions=macs // 4, flops=2 * macs)
    taken, most = model(code, NOTHING, targets.load("arm64_cortex_a72"))
    assert (taken, most) == (pytest.approx(1 / 6, rel=1e-4), "arithmetic")
