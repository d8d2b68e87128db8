from __future__ import annotations

import dataclasses

import kernel_cases as kernels
import numpy as np
import planted_faults
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, Conv, Dense, Product
from tvm import te

from mbench.compile import computations
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import BatchMatmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.dispatch import schedule

RULE = "cpu.batch_matmul"
LEADS = [((), ()), ((1,), (1,)), ((3,), (3,)), ((2, 3), (2, 1)), ((2, 3), (1, 1)), ((2, 1), (1, 3)), ((2, 3), ())]


@st.composite
def products(draw: st.DrawFn) -> Product:
    left, right = draw(st.sampled_from([*LEADS, *((one, other) for other, one in LEADS)]))
    epilogues = [name for name in kernels.EPILOGUES if name != "bias+gate" or len(left) == len(right) == 1]
    return Product(
        left=left,
        right=right,
        rows=draw(kernels.sides() | st.integers(1, 60)),
        depth=draw(kernels.channels()),
        columns=draw(kernels.channels()),
        epilogue=draw(st.sampled_from(epilogues)),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=products(), machine=kernels.machines())
def test_products_are_what_torch_computes(data: st.DataObject, layer: Product, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


@kernels.repeatable(40)
@given(layer=products())
def test_a_product_is_read_off_its_blocks(layer: Product) -> None:
    kernel = Kernel(layer.function())
    product = kernel.batch_matmul
    assert product is not None
    assert kernel.matmul is None  # whose right operand is weights, which are packed when a network is built
    assert (*product.lead, product.rows, product.columns) == layer.output_shape
    assert product.reduction == layer.depth
    assert np.broadcast_shapes(product.left, product.right) == product.lead
    assert product.batch * product.rows * product.columns == np.prod(layer.output_shape)


def test_operands_are_read_in_their_order() -> None:
    x, y = te.placeholder((5, 7), "float32", "x"), te.placeholder((7, 5), "float32", "y")
    assert Kernel(te.create_prim_func([x, y, computations.product(x, y)])).batch_matmul is not None
    assert Kernel(te.create_prim_func([y, x, computations.product(x, y)])).batch_matmul is None
    square = te.placeholder((5, 5), "float32", "square")
    alone = Kernel(te.create_prim_func([square, computations.product(square, square)]))
    assert alone.batch_matmul is None
    assert schedule(alone.function, AVX2).rule == "fallback"


@pytest.mark.parametrize("lead", [(), (3,), (2, 5)])
def test_a_fully_connected_layer_of_many_axes_is_one_product_of_rows(lead: tuple[int, ...]) -> None:
    x, weights = te.placeholder((*lead, 4, 16), "float32", "x"), te.placeholder((16, 24), "float32", "weights")
    function = te.create_prim_func([x, weights, computations.linear(x, weights)])
    product = Kernel(function).matmul
    assert product is not None
    assert (product.rows, product.reduction, product.columns) == (4 * int(np.prod(lead, initial=1)), 16, 24)
    arrays = [np.random.default_rng(1).standard_normal(each, dtype=np.float32) for each in ((*lead, 4, 16), (16, 24))]
    plan = schedule(function, AVX2).plan
    assert plan.pack is not None
    output = kernels.run(kernels.compiled(plan.function), [arrays[0], plan.pack(arrays[1])], (*lead, 4, 24))
    np.testing.assert_allclose(output, arrays[0] @ arrays[1], rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = Product(left=(2, 3), right=(2, 1), rows=11, depth=10, columns=20)
PARAMETERS = {"rows": 4, "vectors": 2, "row_parts": 2, "panel_parts": 1}
FAULTS = {name: planted_faults.OF_TILES[name] for name in ("a tile cut short", "a panel beyond the last channel")}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], RULE, LAYER, PARAMETERS)


def test_another_matrix_is_seen() -> None:
    kernel = Kernel(LAYER.function())
    assert isinstance(kernel.batch_matmul, BatchMatmul)
    kernel.batch_matmul = dataclasses.replace(kernel.batch_matmul, right=(1, 1))  # cached: as if it were read wrongly
    plan = cpu.RULES[RULE].build(kernel, AVX2, PARAMETERS)
    assert plan is not None
    arrays = kernels.drawn(LAYER)
    assert kernels.wrong(LAYER, kernels.executed(plan, LAYER, arrays), arrays) is not None


# ----------------------------------------------------------------------------------------------------------- candidates
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vectors": 3}, "a tile of 4 rows x 24 columns is larger than 11 x 20"),
        ({"rows": 12}, "a tile of 12 rows x 16 columns is larger than 11 x 20"),
        ({"rows": 0}, "parameter 'rows' is 0"),
    ],
)
def test_a_tile_that_makes_no_sense_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, **changed})


def test_no_kernel_of_another_kind_is_taken() -> None:
    for layer in (Conv(), Dense()):
        assert not kernels.candidates(RULE, layer, AVX2)
        assert cpu.RULES[RULE].build(Kernel(layer.function()), AVX2, PARAMETERS) is None
