"""What kernels do with bytes, read off what their graphs became."""

from __future__ import annotations

import byte_layers as layers
import pytest
from byte_layers import ByteConv
from tvm import te

from mbench.compile import axis_computations, byte_anchors
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("bias", [True, False])
def test_zero_points_are_those_of_the_layer(dtype: str, bias: bool) -> None:
    """With a bias, that of the image is a part of it."""
    layer = ByteConv(zero_point=9, other_zero_point=-3, dtype=dtype, bias=bias, kernel=(3, 3), padding=(1, 1, 1, 1))
    kernel = layers.sums_of(layer)
    store = kernel.store(kernel.anchor)
    assert byte_anchors.zero_points(store) == (0 if bias else 9, -3)
    assert byte_anchors.dtype(str(kernel.anchor), store, kernel.parameter_dtypes) == dtype == kernel.dtype


@pytest.mark.parametrize(("how", "known"), [("max", "uint8"), ("min", None), ("sum", None)])
def test_of_reductions_the_largest_is_known(how: str, known: str | None) -> None:
    x = te.placeholder((2, 5, 6, 44), "uint8", name="x")
    kernel = Kernel(te.create_prim_func([x, axis_computations.reduced(Laid(x, last=True), how, (2, 3), (0, 1))]))
    assert byte_anchors.dtype(str(kernel.anchor), kernel.store(kernel.anchor), kernel.parameter_dtypes) == known
    assert kernel.reduced_pixels == (known and how)


def test_weights_of_another_type_are_not_known() -> None:
    kernel = layers.sums_of(ByteConv())
    types = ("uint8", "uint8", *kernel.parameter_dtypes[2:])
    assert byte_anchors.dtype(str(kernel.anchor), kernel.store(kernel.anchor), types) is None
