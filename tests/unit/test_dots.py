"""How bytes become words, and weights the vectors that meet them."""

from __future__ import annotations

import byte_layers as layers
import msgspec
import numpy as np
import pytest
from byte_layers import VNNI, VNNI_256, ByteConv, dot_of, panels

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import dots
from mbench.hardware import targets


def test_weights_of_a_channel_lie_four_by_four() -> None:
    weights = np.arange(6 * 8).reshape(6, 8)  # the last two of a channel are a word with zeros
    packed = panels(VNNI, ByteConv(channels=8), 2).packed(weights).reshape(2, 2, 4, 4)
    assert packed[0, 0, 1].tolist() == [1, 9, 17, 25]
    assert packed[1, 1, 3].tolist() == [39, 47, 0, 0]


def test_taps_lie_one_after_the_other() -> None:
    weights = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(np.int8)
    packed = panels(VNNI, ByteConv(channels=4), 6).packed(weights).reshape(2, 3, 4, 4)
    assert np.array_equal(packed, weights.swapaxes(2, 3))


def test_sums_begin_with_what_the_zero_point_takes_off_them() -> None:
    layer = ByteConv(channels=4, bias=False, zero_point=5, other_zero_point=2)
    known = panels(VNNI, layer, 1)
    packed = known.packed(np.full((3, 4), 7, np.int8))
    assert len(packed) == known.elements
    assert packed[-16:].view(np.int32).tolist() == [-5 * 3 * (7 - 2)] * 4


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


@pytest.mark.parametrize(("steps", "each", "expected"), [(8, 24, 2), (8, 12, 4), (6, 9, 2), (5, 9, 1), (8, 64, 1)])
def test_loops_have_few_dot_products_in_a_turn(steps: int, each: int, expected: int) -> None:
    assert dots.unrolled(steps, each) == expected


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
