"""How bytes become words, and weights the vectors that meet them."""

from __future__ import annotations

import byte_layers as layers
import kernel_cases as kernels
import msgspec
import numpy as np
import pytest
from byte_layers import AVX2, BW, VNNI, VNNI_256, ByteConv

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import byte_dots, dots
from mbench.compile.schedules.cpu.dots import DotProduct, WeightPanels
from mbench.hardware import targets
from mbench.networks import folding


def kernels_of(layer: ByteConv) -> list[Kernel]:
    graph = folding.as_compiled(layer.graph()).graph
    return [Kernel(function) for _, function in to_relax.kernel_calls(to_relax.lower(graph).module)]


def dot_of(machine: KernelMachine, layer: ByteConv | None = None) -> DotProduct:
    found = byte_dots.of(kernels_of(layer or ByteConv())[1], machine)
    assert found is not None
    return found


def panels(machine: KernelMachine, layer: ByteConv, words: int) -> WeightPanels:
    kernel, dot = kernels_of(layer)[1], dot_of(machine, layer)
    return WeightPanels.of(kernel, dot, channels=layer.channels, lanes=4, vectors=1, words=words)


def test_weights_of_a_channel_lie_four_by_four() -> None:
    weights = np.arange(6 * 8).reshape(6, 8)  # the last two of a channel are a word with zeros
    packed = panels(VNNI, ByteConv(channels=8), 2).packed(weights).reshape(2, 2, 4, 4)
    assert packed[0, 0, 1].tolist() == [1, 9, 17, 25]
    assert packed[1, 1, 3].tolist() == [39, 47, 0, 0]


def test_taps_lie_one_after_the_other() -> None:
    weights = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(np.int8)
    packed = panels(VNNI, ByteConv(channels=4), 6).packed(weights).reshape(2, 3, 4, 4)
    assert np.array_equal(packed, weights.swapaxes(2, 3))


def test_weights_of_16_bits_lie_by_first_and_second_of_a_pair() -> None:
    weights = np.arange(8 * 4).reshape(8, 4)
    packed = panels(AVX2, ByteConv(channels=4), 2).packed(weights)
    found = packed.view(np.int16).reshape(2, 2, 4, 2)
    assert found[0, 0, 1].tolist() == [1, 9]
    assert found[1, 1, 3].tolist() == [23, 31]


def test_sums_begin_with_what_the_zero_point_takes_off_them() -> None:
    layer = ByteConv(channels=4, bias=False, zero_point=5, other_zero_point=2)
    known = panels(VNNI, layer, 1)
    packed = known.packed(np.full((3, 4), 7, np.int8))
    assert len(packed) == known.elements
    assert packed[-16:].view(np.int32).tolist() == [-5 * 3 * (7 - 2)] * 4


def test_weights_that_are_not_as_narrow_as_the_layer_says_are_refused() -> None:
    known = panels(AVX2, ByteConv(channels=4, narrow=True), 1)
    assert known.packed(np.full((4, 4), -64)).tolist() == [-64] * 16
    with pytest.raises(ValueError, match="weights reach 65, expected at most 64"):
        known.packed(np.full((4, 4), 65))


@pytest.mark.parametrize(
    ("channels", "machine", "expected"),
    [(64, VNNI, 16), (15, VNNI, 8), (16, VNNI_256, 8), (4, VNNI, 4), (3, VNNI, 0)],
)
def test_vectors_are_as_wide_as_channels_fill(channels: int, machine: KernelMachine, expected: int) -> None:
    assert dot_of(machine).lanes_of(channels) == expected


def test_tiles_leave_registers_for_weights_and_a_word() -> None:
    for machine in layers.MACHINES.values():
        for narrow in (True, False):
            dot = dot_of(machine, ByteConv(narrow=narrow))
            own = dot.weight_bytes // dots.WORD
            assert dot.tiles()
            assert all(rows * vectors + own * vectors < machine.registers for rows, vectors in dot.tiles())
    dot = dot_of(VNNI)
    assert (6, 4) in dot.tiles()
    assert 6 * 4 * 32 < dot.tile_cycles(6, 4, 32) < 1.2 * 6 * 4 * 32


@pytest.mark.parametrize(("machine", "taken"), [(VNNI, True), (kernels.AVX512, False)])
def test_kernels_of_bytes_are_for_machines_with_dot_products(machine: KernelMachine, taken: bool) -> None:
    assert [byte_dots.of(kernel, machine) is not None for kernel in kernels_of(ByteConv())] == [False, taken, False]
    assert byte_dots.of(Kernel(kernels.Conv(kernel=1).function()), machine) is None


@pytest.mark.parametrize(
    ("machine", "layer", "name", "shift"),
    [
        (VNNI, ByteConv(), "vpdpbusd", 0),
        (VNNI, ByteConv(narrow=True), "vpdpbusd", 0),
        (VNNI_256, ByteConv(dtype="int8"), "vpdpbusd", 128),
        (VNNI, ByteConv(other_zero_point=3), "vpmaddwd", 0),
        (BW, ByteConv(narrow=True), "vpmaddubsw", 0),
        (AVX2, ByteConv(narrow=True, dtype="int8"), "vpmaddubsw", 128),
        (AVX2, ByteConv(narrow=True, other_zero_point=3), "vpmaddwd", 0),
        (AVX2, ByteConv(), "vpmaddwd", 0),
        (BW, ByteConv(dtype="int8"), "vpmaddwd", 0),
    ],
)
def test_the_quickest_instruction_that_is_exact(machine: KernelMachine, layer: ByteConv, name: str, shift: int) -> None:
    dot = dot_of(machine, layer)
    assert (dot.name, dot.shift) == (name, shift)


PAIRS = ("vpmaddubsw", "vpmaddwd")


@pytest.mark.parametrize(
    ("features", "expected", "tables"),
    [
        (("avx512_vnni", "avx512vl", "avx512bw", "avx512vbmi"), (("vpdpbusd", *PAIRS), 512), True),
        (("avx512_vnni", "avx512vl", "avx512bw"), (("vpdpbusd", *PAIRS), 512), False),
        (("avx512_vnni", "avx512bw"), (PAIRS, 512), False),
        (("avx_vnni", "avx2"), (("vpdpbusd", *PAIRS), 256), False),
        (("avx2", "ssse3"), (PAIRS, 256), False),
        (("ssse3",), (PAIRS, 128), False),
        ((), ((), 0), False),
    ],
)
def test_a_machine_has_the_dot_products_that_its_target_requires(
    features: tuple[str, ...], expected: tuple[tuple[str, ...], int], tables: bool
) -> None:
    target = targets.load("x86_64_v4")
    processor = msgspec.structs.replace(target.processor, requires=features)
    machine = KernelMachine.of(msgspec.structs.replace(target, processor=processor))
    assert ((machine.dots, machine.dot_bits), machine.byte_tables) == (expected, tables)
