"""How bytes become words, and weights the vectors that meet them."""

from __future__ import annotations

import kernel_cases as kernels
import msgspec
import numpy as np
import pytest
from byte_layers import VNNI, VNNI_256, ByteConv

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import dots
from mbench.hardware import targets
from mbench.networks import folding


def test_weights_of_a_channel_lie_four_by_four() -> None:
    weights = np.arange(6 * 8).reshape(6, 8)  # the last two of a channel are a word with zeros
    packed = dots.pack(weights, [0, 4], 4).reshape(2, 2, 4, 4)
    assert packed[0, 0, 1].tolist() == [1, 9, 17, 25]
    assert packed[1, 1, 3].tolist() == [39, 47, 0, 0]


def test_taps_lie_one_after_the_other() -> None:
    weights = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(np.int8)
    packed = dots.pack(weights, [0], 4).reshape(2, 3, 4, 4)
    assert np.array_equal(packed, weights.swapaxes(2, 3))


@pytest.mark.parametrize(
    ("channels", "machine", "expected"),
    [(64, VNNI, 16), (15, VNNI, 8), (16, VNNI_256, 8), (4, VNNI, 4), (3, VNNI, 0)],
)
def test_vectors_are_as_wide_as_channels_fill(channels: int, machine: KernelMachine, expected: int) -> None:
    assert dots.lanes_of(channels, machine) == expected


def test_tiles_leave_registers_for_weights_and_a_word() -> None:
    assert all(rows * vectors + vectors < VNNI.registers for rows, vectors in dots.tiles(VNNI))
    assert (6, 4) in dots.tiles(VNNI)
    assert 6 * 4 * 32 < dots.tile_cycles(6, 4, 32) < 1.2 * 6 * 4 * 32


@pytest.mark.parametrize(("machine", "taken"), [(VNNI, True), (kernels.AVX512, False)])
def test_kernels_of_bytes_are_for_machines_with_dot_products(machine: KernelMachine, taken: bool) -> None:
    graph = folding.as_compiled(ByteConv().graph()).graph
    functions = [Kernel(function) for _, function in to_relax.kernel_calls(to_relax.lower(graph).module)]
    assert [dots.takes(kernel, machine) for kernel in functions] == [False, taken, False]
    assert not dots.takes(Kernel(kernels.Conv(kernel=1).function()), machine)


@pytest.mark.parametrize(
    ("features", "bits", "tables"),
    [
        (("avx512_vnni", "avx512vl", "avx512vbmi"), 512, True),
        (("avx512_vnni", "avx512vl"), 512, False),
        (("avx512_vnni",), 0, False),
        (("avx_vnni",), 256, False),
        ((), 0, False),
    ],
)
def test_a_machine_has_the_dot_products_that_its_target_requires(
    features: tuple[str, ...], bits: int, tables: bool
) -> None:
    target = targets.load("x86_64_v4")
    processor = msgspec.structs.replace(target.processor, requires=features)
    machine = KernelMachine.of(msgspec.structs.replace(target, processor=processor))
    assert (machine.dot_bits, machine.byte_tables) == (bits, tables)
