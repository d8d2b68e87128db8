"""Numbers of channels as panels have them, and which parameters of a kernel are such."""

from __future__ import annotations

import numpy as np
import pytest
from byte_layers import VNNI, ByteConv

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.schedules.cpu import byte_dots, panel_parameters
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.cpu.panel_parameters import PanelParameters
from mbench.networks import folding

ORDER = (2, 0, 3, 1)


def kernel_of(layer: ByteConv) -> Kernel:
    module = to_relax.lower(folding.as_compiled(layer.graph()).graph).module
    kernels = [Kernel(function) for _, function in to_relax.kernel_calls(module)]
    return next(kernel for kernel in kernels if kernel.convolution is not None)


def panels_of(kernel: Kernel, channels: int) -> WeightPanels:
    dot = byte_dots.of(kernel, VNNI)
    assert dot is not None
    return WeightPanels(
        dot=dot, channels=channels, lanes=2, vectors=2, words=1, zero_points=(0, 0), order=ORDER
    )  # fmt: skip


def test_each_panel_has_its_own_in_the_order_of_its_lanes() -> None:
    kernel = kernel_of(ByteConv(channels=6, inputs=6, groups=6))
    found = PanelParameters.of(kernel, panels_of(kernel, 6))
    assert found is not None
    numbers = np.arange(6)
    for place in found.places:
        packed = found.packs[place](numbers.reshape(1, 1, 1, 6))
        assert packed.tolist() == [2, 0, 3, 1, 4, 2, 5, 3]  # of channels 0 to 3, and of 2 to 5
        assert found.elements[place] == len(packed)
    assert len(found.places) == 2, "a bias and a multiplier"


def test_several_pixels_have_the_same_numbers() -> None:
    kernel = kernel_of(ByteConv(channels=3, inputs=3, groups=3))
    packed = panel_parameters.packed(panels_of(kernel, 6), np.array([5, 6, 7]), rows=2)
    assert packed.tolist() == [7, 5, 5, 6] * 2 + [6, 7, 7, 5] * 2  # of 5 6 7 5, and of 7 5 6 7


@pytest.mark.parametrize("table", [False, True])
def test_tables_are_read_by_value(table: bool) -> None:
    assert panel_parameters.places(kernel_of(ByteConv(channels=8, inputs=8, groups=8, table=table))) is not None


@pytest.mark.parametrize("side", [1, 5])
def test_what_is_computed_is_not_packed(side: int) -> None:
    """Of one pixel it has the shape that numbers of channels have."""
    kernel = kernel_of(ByteConv(channels=8, inputs=8, groups=8, height=side, width=side, residual=True))
    assert panel_parameters.places(kernel) is None
    assert PanelParameters.of(kernel, panels_of(kernel, 8)) is None
