"""A bias as Arm loads it: each panel's numbers once for every row of a tile."""

from __future__ import annotations

import numpy as np
import pytest
from byte_layers import VNNI, ByteConv
from emulated_bytes import machine_of

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import byte_bias, byte_dots
from mbench.compile.schedules.cpu.byte_bias import SpreadBias
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.networks import folding


def spread(layer: ByteConv, machine: KernelMachine) -> SpreadBias | None:
    """Return that of a pointwise convolution whose tiles have 3 rows x 2 registers of 4 channels."""
    lowered = to_relax.lower(folding.as_compiled(layer.graph()).graph)
    [kernel] = [Kernel(function) for name, function in to_relax.kernel_calls(lowered.module) if "conv2d" in name]
    dot, epilogue = byte_dots.of(kernel, machine), kernel.epilogue_of_sum
    assert dot is not None
    assert epilogue is not None
    panels = WeightPanels.of(kernel, dot, channels=layer.channels, lanes=4, vectors=2, words=2)
    return SpreadBias.of(kernel, epilogue, panels, 3)


def test_each_row_has_its_own() -> None:
    found = spread(ByteConv(channels=12), machine_of("sdot"))
    assert found is not None
    assert (found.place, found.elements) == (2, 2 * 3 * 8)
    packed = found.packed(np.arange(12).reshape(1, 1, 1, 12)).reshape(2, 3, 8)
    assert packed[0].tolist() == [list(range(8))] * 3
    assert packed[1].tolist() == [list(range(4, 12))] * 3, "the last panel begins early"
    assert byte_bias.packed_elements(found.panels, found) == {1: found.panels.elements, 2: 48}
    assert list(byte_bias.packs(found)) == [2]


@pytest.mark.parametrize(
    ("layer", "machine"),
    [(ByteConv(bias=False), machine_of("sdot")), (ByteConv(), VNNI), (ByteConv(), machine_of("smull"))],
)
def test_others_are_left(layer: ByteConv, machine: KernelMachine) -> None:
    assert spread(layer, machine) is None
    assert byte_bias.packs(None) == {}
