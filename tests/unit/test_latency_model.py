from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mbench.analysis import latency_model
from mbench.core.machine_types import Cache, Figure, Peaks, Processor, Target
from mbench.core.records import Counters
from mbench.hardware import targets

NOTHING = {"L1": 0, "L2": 0, "L3": 0, "DRAM": 0}
CPUS = [name for name, target in targets.load_all().items() if target.family != "gpu"]


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


# ----------------------------------------------------------------------------------------- each bound, reckoned by hand
@pytest.mark.parametrize(
    ("found", "traffic", "bound", "seconds"),
    [
        ({"instructions": 4000}, {}, "instructions", 2e-6),  # 4000 / 2 a cycle
        ({"instructions": 4000, "fma_instructions": 2001}, {}, "arithmetic", 2.001e-6),  # one a cycle
        ({"instructions": 4000, "flops": 16008}, {}, "arithmetic", 2.001e-6),  # 16008 / 8 a cycle
        ({"instructions": 4000, "fma_instructions": 2001, "flops": 16008}, {}, "arithmetic", 2.001e-6),
        ({"instructions": 2002, "loads": 2002, "load_bytes": 8008}, {}, "instructions", 1.001e-6),
        ({"instructions": 1000, "loads": 1500, "load_bytes": 6000}, {}, "loads", 0.75e-6),  # 1500 of 4 bytes / 2
        ({"instructions": 1000, "loads": 1000, "load_bytes": 64000}, {}, "loads", 2e-6),  # pairs: 4000 vectors / 2
        ({"instructions": 1000, "stores": 900, "store_bytes": 3600}, {}, "stores", 0.9e-6),  # narrow: one a cycle
        ({"instructions": 1000, "stores": 900, "store_bytes": 14400}, {}, "stores", 1.8e-6),  # whole: half a one
        ({"instructions": 1000}, {"L2": 8000}, "L2", 1e-6),  # a quarter of 32e9 bytes/s, for one core of 4
        ({"instructions": 1000}, {"L3": 8000}, "L3", 2e-6),  # half of 8e9 bytes/s: one of two copies
        ({"instructions": 1000}, {"DRAM": 8000}, "DRAM", 4e-6),  # all of 2e9 bytes/s
        ({"instructions": 2}, {"L1": 10**9}, "instructions", 1e-9),  # what L1 moves is the load and store units' part
    ],
)
def test_the_longest_binds(found: dict[str, int], traffic: dict[str, int], bound: str, seconds: float) -> None:
    taken, binding = model(counts(**found), {**NOTHING, **traffic})
    assert binding == bound
    assert taken == pytest.approx(seconds, rel=1e-12)


def test_what_does_not_bind_makes_no_difference() -> None:
    bound = counts(instructions=4000, fma_instructions=3000)
    assert model(bound) == model(msgspec.structs.replace(bound, loads=5000, stores=1000)) == (3e-6, "arithmetic")


def test_nothing_takes_no_time() -> None:
    assert model(counts(), NOTHING)[0] == 0.0


def test_without_a_model_of_the_caches_the_units_remain() -> None:
    assert model(counts(instructions=4000), None) == (2e-6, "instructions")


def test_a_level_that_all_cores_share_is_lent_whole() -> None:
    shared = target(l2=Cache(bytes=figure(2**20), shared_by=4))
    assert model(counts(), {"L2": 32000}, shared) == (pytest.approx(1e-6), "L2")


def test_a_processor_without_fused_multiply_adds() -> None:
    plain = target(fma_units=figure(0))
    assert model(counts(flops=8000), None, plain) == (1e-6, "arithmetic")
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
    busy = counts(instructions=2, loads=100, load_bytes=1600, stores=100, store_bytes=1600)
    assert model(busy, None, without)[1] != name.replace("_units", "s")
    assert latency_model.method(without).endswith(f"has none: {name}")
    assert latency_model.method(target()) == latency_model.METHOD


def test_a_bandwidth_that_is_not_known_is_left_out_and_named() -> None:
    without = msgspec.structs.replace(target(), peaks=Peaks(bytes_per_s={"L2": figure(32e9), "DRAM": figure(2e9)}))
    assert model(counts(instructions=2), {"L3": 10**9}, without)[1] == "instructions"
    assert latency_model.method(without).endswith("has none: peaks.bytes_per_s.L3")


def test_a_figure_of_zero_divides_nothing() -> None:
    zeros = target(issue_width=figure(0), load_units=figure(0))
    assert model(counts(instructions=1), None, zeros) is None
    assert "load_units" in latency_model.method(zeros)


# ---------------------------------------------------------------------------------------------------------- in records
def test_the_method_cannot_be_taken_for_a_measurement() -> None:
    assert latency_model.METHOD.startswith("modelled, not measured: one thread")
    for left_out in ("dependent instructions", "branch misses", "TLB", "prefetch"):
        assert left_out in latency_model.METHOD.partition("not in it")[2]


@pytest.mark.parametrize("name", CPUS)
def test_every_cpu_target_has_a_whole_model(name: str) -> None:
    described = targets.load(name)
    assert latency_model.lacking(described, "float32") is None
    assert latency_model.method(described) == latency_model.METHOD


def test_dense_multiply_adds_on_a_cortex_a72() -> None:
    # 1 GMAC in vectors of 4, one a cycle at 1.5 GHz: a sixth of a second, if nothing else takes longer.
    macs = 10**9
    code = counts(instructions=macs // 4 * 3 // 2, fma_instructions=macs // 4, flops=2 * macs)
    taken, bound = model(code, NOTHING, targets.load("arm64_cortex_a72"))
    assert (taken, bound) == (pytest.approx(1 / 6), "arithmetic")
