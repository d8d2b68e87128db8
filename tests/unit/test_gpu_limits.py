"""What a GPU allows, read off its target; and the models that rank what the rules may choose."""

from __future__ import annotations

import dataclasses
import itertools

import cuda_on_cpu
import pytest
from msgspec.structs import replace

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules.gpu import fma, mma, product, tiles
from mbench.compile.schedules.gpu.tiles import Tile
from mbench.hardware import targets

# CUDA C++ Programming Guide, technical specifications per compute capability: threads, blocks, registers, KB of shared
# memory of an SM.
PUBLISHED = {
    "cuda_sm80": (2048, 32, 65536, 164),
    "cuda_sm87": (1536, 16, 65536, 164),
    "cuda_sm89": (1536, 24, 65536, 100),
    "cuda_sm90": (2048, 32, 65536, 228),
}


def limits_of(target: str) -> GpuLimits:
    limits = cuda_on_cpu.machine(target).limits
    assert limits is not None
    return limits


@pytest.mark.parametrize("target", cuda_on_cpu.ARCHITECTURES)
def test_limits_are_the_published_ones(target: str) -> None:
    limits = limits_of(target)
    threads, blocks, registers, kilobytes = PUBLISHED[target]
    held = (limits.threads, limits.blocks, limits.registers, limits.shared_bytes)
    assert held == (threads, blocks, registers, kilobytes * 1024)
    own = (limits.warp, limits.registers_a_thread, limits.threads_a_block, limits.shared_bytes_a_block)
    assert own == (32, 255, 1024, 49152)
    assert limits.multiply_adds == (64 if target == "cuda_sm80" else 128)
    if target == "cuda_sm80":
        assert limits.half_multiply_adds == 1024  # A100 whitepaper: dense, an SM and clock
    assert limits.byte_multiply_adds == 2 * limits.half_multiply_adds  # data sheets: twice as many in int8, everywhere
    assert limits.shared_bytes_a_block <= limits.shared_bytes


def test_bandwidths_are_of_one_sm_and_cycle() -> None:
    limits = limits_of("cuda_sm80")
    assert limits.l2_bytes == pytest.approx(5120 / 108, rel=0.01)  # A100 whitepaper: 5120 bytes a clock
    assert limits.dram_bytes == pytest.approx(2039e9 / 1.41e9 / 108, rel=0.01)
    target = targets.load("cuda_sm80")
    unknown = GpuLimits.of(replace(target, processor=replace(target.processor, frequency_hz=None)))
    assert 0 < unknown.dram_bytes < unknown.l2_bytes


# Worked out by hand from the published limits and the steps in which warps get registers:
# (target, threads, registers, shared bytes of a block), blocks on an SM.
OCCUPANCY = {
    ("cuda_sm80", 256, 32, 0): 8,
    ("cuda_sm80", 256, 64, 0): 4,
    ("cuda_sm80", 128, 128, 0): 4,
    ("cuda_sm80", 64, 32, 0): 32,
    ("cuda_sm80", 128, 32, 48 * 1024): 3,
    ("cuda_sm89", 256, 32, 0): 6,
    ("cuda_sm89", 128, 32, 32 * 1024): 3,
    ("cuda_sm90", 128, 32, 48 * 1024): 4,
    ("cuda_sm90", 1024, 64, 0): 1,
    ("cuda_sm90", 1024, 65, 0): 0,
    ("cuda_sm90", 1056, 16, 0): 0,
    ("cuda_sm90", 64, 256, 0): 0,
    ("cuda_sm90", 64, 16, 49153): 0,
}


@pytest.mark.parametrize("case", OCCUPANCY)
def test_blocks_on_an_sm_follow_from_the_published_limits(case: tuple[str, int, int, int]) -> None:
    target, threads, registers, shared_bytes = case
    held = limits_of(target).resident(threads=threads, registers=registers, shared_bytes=shared_bytes)
    assert held == OCCUPANCY[case]


def test_a_gpu_that_does_not_say_is_taken_for_a_small_one() -> None:
    target = targets.load("cuda_sm90")
    unknown = GpuLimits.of(replace(target, processor=replace(target.processor, multiprocessor=None)))
    assert all(getattr(unknown, name) <= getattr(limits_of("cuda_sm90"), name) for name in ("threads", "shared_bytes"))
    assert unknown.resident(threads=256, registers=64, shared_bytes=16384) >= 1


def test_a_cpu_has_no_such_limits() -> None:
    assert KernelMachine.of(targets.load("x86_64_v3")).limits is None


# --------------------------------------------------------------------------------------------------------------- models
LAYERS = [(1, 112, 32, 64), (1, 28, 256, 256), (1, 14, 512, 512), (1, 7, 1024, 1024), (64, 28, 256, 256)]
KINDS: dict[str, type[Tile]] = {"float32": fma.FmaTile, "float16": mma.MmaTile, "uint8": mma.ByteMmaTile}
RATES = {"float32": "multiply_adds", "float16": "half_multiply_adds", "uint8": "byte_multiply_adds"}


def product_of(layer: tuple[int, int, int, int], dtype: str) -> Matmul:
    batch, side, inputs, columns = layer
    return Matmul(rows=batch * side * side, reduction=inputs, columns=columns, dtype=dtype)


def offered(wanted: Matmul, target: str) -> list[Tile]:
    found = product.candidates(wanted, cuda_on_cpu.machine(target), product.at_once(wanted.reduction, wanted.dtype))
    return [KINDS[wanted.dtype].of(parameters) for parameters in found]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(("layer", "target"), list(itertools.product(LAYERS, cuda_on_cpu.ARCHITECTURES)))
def test_no_tile_is_quicker_than_the_multipliers(layer: tuple[int, int, int, int], target: str, dtype: str) -> None:
    machine, limits, wanted = cuda_on_cpu.machine(target), limits_of(target), product_of(layer, dtype)
    found = offered(wanted, target)
    least = wanted.rows * wanted.columns * wanted.reduction / getattr(limits, RATES[dtype]) / machine.cores
    wanted = dataclasses.replace(wanted, reduction=wanted.reduction // KINDS[dtype].NUMBERS)
    modelled = [tiles.cycles(wanted, tile, machine, limits) for tile in found]
    assert modelled == sorted(modelled)
    assert modelled[0] > least
    assert all(tile.fits(limits) and tile.threads % 32 == 0 for tile in found)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("target", cuda_on_cpu.ARCHITECTURES)
def test_small_layers_have_blocks_for_the_machine_and_large_ones_large_tiles(target: str, dtype: str) -> None:
    machine = cuda_on_cpu.machine(target)
    small, large = product_of((1, 7, 1024, 1024), dtype), product_of((64, 28, 256, 256), dtype)
    first, other = offered(small, target)[0], offered(large, target)[0]
    blocks = -(-small.rows // first.rows) * -(-small.columns // first.columns)
    assert blocks >= machine.cores * 0.45
    assert first.rows * first.columns < other.rows * other.columns
    assert other.rows * other.columns >= 64 * 64


WRONG = {
    "no whole instruction": ({"warp_rows": 8}, "made of 16 x 8"),
    "no whole instruction across": ({"columns": 40, "warp_columns": 20}, "made of 16 x 8"),
    "no whole group of steps": ({"depth": 48}, "do not divide"),
    "a slice of half a group": ({"depth": 32, "slices": 2}, "do not divide"),
    "none": ({"rows": 0}, "positive"),
}


@pytest.mark.parametrize("case", WRONG)
def test_tiles_that_tensor_cores_cannot_make_are_refused(case: str) -> None:
    changed, said = WRONG[case]
    given = {"rows": 32, "columns": 32, "depth": 64, "slices": 1, "warp_rows": 16, "warp_columns": 16}
    assert mma.MmaTile.of(given).threads == 128
    with pytest.raises(ValueError, match=said):
        mma.MmaTile.of({**given, **changed})
