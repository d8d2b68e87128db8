from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import kernel_cases as kernels
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Conv, Dense, Layer, Pool
from tvm import te, tirx, topi

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Matmul
from mbench.compile.schedules.dispatch import schedule, signature

UNPADDED = (0, 0, 0, 0)
POINTWISE = Conv(kernel=1, padding=UNPADDED)


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    window = draw(kernels.windows((1, 2, 3, 5)))
    groups = draw(st.integers(1, 4))
    return Conv(
        batch=draw(st.integers(1, 3)),
        inputs=groups * draw(st.integers(1, 4)),
        channels=groups * draw(st.integers(1, 4)),
        groups=groups,
        channels_last=draw(st.booleans()),
        epilogue=draw(st.sampled_from(kernels.EPILOGUES)),
        **dataclasses.asdict(window),
    )


@kernels.repeatable(80)
@given(layer=convolutions())
def test_a_convolution_is_read_off_its_blocks(layer: Conv) -> None:
    kernel = Kernel(layer.function())
    batch, height, width, channels = layer.output_shape
    assert kernel.convolution == Convolution(
        batch=batch,
        input_height=layer.height,
        input_width=layer.width,
        input_channels=layer.inputs,
        height=height,
        width=width,
        channels=channels,
        kernel_height=layer.sides[0],
        kernel_width=layer.sides[1],
        strides=layer.strides,
        padding=layer.padding,
        dilation=layer.apart,
        groups=layer.groups,
        channels_last=layer.channels_last,
    )
    assert kernel.convolution.pixels == batch * height * width
    assert kernel.convolution.reduction == layer.reduction
    plain = (*layer.sides, *layer.strides, *layer.padding, layer.groups) == (1, 1, 1, 1, 0, 0, 0, 0, 1)
    plain = plain and layer.channels_last
    wanted = Matmul(rows=batch * height * width, reduction=layer.inputs, columns=channels) if plain else None
    assert kernel.matmul == wanted


def test_what_is_depthwise_has_as_many_groups_as_channels_and_more_than_one() -> None:
    cases = {(8, 8, 8): True, (8, 16, 8): True, (8, 8, 4): False, (1, 4, 1): False}
    for (inputs, channels, groups), depthwise in cases.items():
        found = Kernel(Conv(inputs=inputs, channels=channels, groups=groups).function()).convolution
        assert found is not None
        assert found.depthwise == depthwise


@pytest.mark.parametrize("layer", [Dense(), Pool()], ids=str)
def test_what_is_no_convolution(layer: Layer) -> None:
    assert Kernel(layer.function()).convolution is None


def convolved_by(read: Callable[..., Any]) -> Kernel:
    """Return a kernel of a convolution's axes and name that reads (n, 5, 5, 4) in another way."""
    x, weights = te.placeholder((1, 5, 5, 4), "float32", "x"), te.placeholder((3, 3, 2, 6), "float32", "weights")
    ky, kx, ci = (te.reduce_axis((0, extent), name) for name, extent in (("ky", 3), ("kx", 3), ("ci", 2)))
    sums = te.compute(
        (1, 3, 3, 6),
        lambda n, i, j, c: te.sum(x[(n, *read(i, j, c, ky, kx, ci))] * weights[ky, kx, ci, c], axis=[ky, kx, ci]),
        "conv2d_nhwc",
    )
    return Kernel(te.create_prim_func([x, weights, sums]))


def test_groups_that_take_other_channels_are_no_convolution() -> None:
    own = convolved_by(lambda i, j, c, ky, kx, ci: (i + ky, j + kx, c // 3 * 2 + ci)).convolution
    assert own is not None
    assert own.groups == 2
    assert convolved_by(lambda i, j, c, ky, kx, ci: (i + ky, j + kx, c % 2 * 2 + ci)).convolution is None
    assert convolved_by(lambda i, j, c, ky, kx, ci: (i + ky, j + kx, c // 3 + ci * 2)).convolution is None


def test_a_dense_layer_is_a_matrix_product() -> None:
    kernel = Kernel(Dense(rows=3, reduction=20, columns=30).function())
    assert kernel.matmul == Matmul(rows=3, reduction=20, columns=30)
    assert (kernel.anchor, kernel.extents) == ("matmul", (3, 30, 20))
    assert Kernel(Pool().function()).matmul is None


def test_blocks_anchor_and_epilogue() -> None:
    kernel = Kernel(Conv(height=6, width=6).function())
    assert kernel.blocks == ("pad_temp", "conv2d_nhwc", "T_add", "T_chain")
    assert (kernel.anchor, kernel.epilogue) == ("conv2d_nhwc", ("T_add", "T_chain"))
    assert kernel.extents == (1, 6, 6, 16, 3, 3, 8)
    assert kernel.parameter_shapes == ((1, 6, 6, 8), (3, 3, 8, 16), (1, 1, 1, 16), (1, 6, 6, 16))
    alone = Kernel(Conv(epilogue="none").function())
    assert (alone.blocks, alone.epilogue) == (("pad_temp", "conv2d_nhwc"), ())


def test_a_kernel_that_reduces_nothing_has_no_anchor() -> None:
    x = te.placeholder((4, 6), "float32", "x")
    kernel = Kernel(te.create_prim_func([x, topi.transpose(x)]))
    assert (kernel.anchor, kernel.epilogue, kernel.convolution, kernel.matmul) == (None, (), None, None)
    with pytest.raises(ValueError, match="has no such block"):
        kernel.block(kernel.anchor)


# ---------------------------------------------------------------------------------------------------- what tuning files
LAYERS: list[Layer] = [
    Conv(),
    Conv(batch=2),
    Conv(height=8),
    Conv(width=8),
    Conv(inputs=9),
    Conv(channels=17),
    Conv(kernel=5),
    Conv(strides=(2, 2)),
    Conv(padding=UNPADDED),
    Conv(channels_last=False),
    Conv(inputs=16),
    Conv(inputs=16, groups=16),
    Conv(groups=2),
    Conv(groups=4),
    Conv(inputs=8, channels=32, groups=8),
    Conv(kernel=(1, 3)),
    Conv(kernel=(3, 1)),
    Conv(strides=(2, 1)),
    Conv(strides=(1, 2)),
    Conv(padding=(0, 0, 1, 1)),
    Conv(padding=(1, 0, 1, 0)),
    Conv(dilation=2),
    Conv(dilation=(2, 1)),
    POINTWISE,
    Dense(rows=49, reduction=8, columns=16),
    Dense(rows=49, reduction=16, columns=8),
    Dense(rows=8, reduction=49, columns=16),
]


def test_kernels_of_another_shape_have_another_signature() -> None:
    words = [signature(Kernel(layer.function())) for layer in LAYERS]
    assert None not in words
    assert len(set(words)) == len(LAYERS)
    assert words[0] == "conv2d_nhwc_1x7x7x8_k3x3_s1_p1_16"
    assert words[11] == "depthwise_nhwc_1x7x7x16_k3x3_s1_p1_16"
    assert words[12] == "conv2d_g2_nhwc_1x7x7x8_k3x3_s1_p1_16"
    assert words[17] == "conv2d_nhwc_1x7x7x8_k3x3_s2x1_p1_16"
    assert words[19] == "conv2d_nhwc_1x7x7x8_k3x3_s1_p0x0x1x1_16"
    assert words[21:23] == ["conv2d_nhwc_1x7x7x8_k3x3_s1_p1_d2_16", "conv2d_nhwc_1x7x7x8_k3x3_s1_p1_d2x1_16"]
    assert words[24] == "matmul_49x8x16"


def test_what_follows_the_sum_does_not_change_the_signature() -> None:
    words = {signature(Kernel(Conv(epilogue=epilogue).function())) for epilogue in kernels.EPILOGUES}
    assert len(words) == 1


def test_kinds_that_are_not_tuned_have_no_signature() -> None:
    assert signature(Kernel(Pool().function())) is None


# ---------------------------------------------------------------------------------------------------------- epilogues
def text_of(layer: Layer, total: str = "total") -> tuple[str | None, str]:
    """Return what the sum starts with and what becomes of it, as text."""
    kernel = Kernel(layer.function())
    epilogue, parameters = kernel.epilogue_of_sum, kernel.function.params
    assert epilogue is not None
    indices = [tirx.Var(name, "int32") for name in "nyxc"[-len(layer.output_shape) :]]

    def load(parameter: Any, at: list[Any]) -> Any:
        number = next(number for number, each in enumerate(parameters) if each.same_as(parameter))
        return tirx.Var(f"p{number}[{','.join(map(str, at))}]", "float32")

    start = epilogue.start(indices, load) if epilogue.start else None
    return None if start is None else str(start.name), str(epilogue.finish(tirx.Var(total, "float32"), indices, load))


@pytest.mark.parametrize(
    ("epilogue", "start", "finish"),
    [
        ("none", None, "total"),
        ("relu", None, "T.max(total, T.float32(0.0))"),
        ("bias", "p2[0,0,0,c]", "total"),
        ("bias+relu", "p2[0,0,0,c]", "T.max(total, T.float32(0.0))"),
        ("bias+clip", "p2[0,0,0,c]", "T.min(T.max(total, T.float32(-0.5)), T.float32(1.5))"),
        ("residual", None, "T.max(total + p2_n_y_x_c_, T.float32(0.0))"),
        ("bias+residual", "p2[0,0,0,c]", "total + p3_n_y_x_c_"),
        ("bias+tanh", "p2[0,0,0,c]", "T.tanh(total)"),
    ],
)
def test_a_bias_is_what_the_sum_starts_with(epilogue: str, start: str | None, finish: str) -> None:
    assert text_of(Conv(batch=2, epilogue=epilogue)) == (start, finish)


def test_a_gate_is_read_by_image_and_channel() -> None:
    start, finish = text_of(Conv(batch=2, epilogue="bias+gate"))
    assert (start, finish.endswith("* p3_n_0_0_c_")) == ("p2[0,0,0,c]", True)


@pytest.mark.parametrize("bias_first", [True, False])
def test_a_bias_may_be_either_summand(bias_first: bool) -> None:
    x, weights, bias = (te.placeholder(shape, "float32", "p") for shape in ((2, 16), (16, 24), (24,)))
    k = te.reduce_axis((0, 16), "k")
    sums = te.compute((2, 24), lambda i, j: te.sum(x[i, k] * weights[k, j], axis=k), "matmul")
    y = te.compute((2, 24), lambda i, j: bias[j] + sums[i, j] if bias_first else sums[i, j] + bias[j], "added")
    epilogue = Kernel(te.create_prim_func([x, weights, bias, y])).epilogue_of_sum
    assert epilogue is not None
    assert epilogue.start is not None


def test_what_begins_a_maximum_is_no_bias() -> None:
    x, bias = te.placeholder((2, 16, 24), "float32", "x"), te.placeholder((24,), "float32", "bias")
    k = te.reduce_axis((0, 16), "k")
    largest = te.compute((2, 24), lambda i, j: te.max(x[i, k, j], axis=k), "largest")
    kernel = Kernel(te.create_prim_func([x, bias, topi.add(largest, bias)]))
    assert kernel.epilogue_of_sum is not None
    assert kernel.epilogue_of_sum.start is None


def test_an_epilogue_that_is_not_understood_is_none() -> None:
    x, weights = te.placeholder((2, 16), "float32", "x"), te.placeholder((16, 24), "float32", "weights")
    k = te.reduce_axis((0, 16), "k")
    sums = te.compute((2, 24), lambda i, j: te.sum(x[i, k] * weights[k, j], axis=k), "matmul")
    function = te.create_prim_func([x, weights, te.compute((2, 24), lambda i, j: tirx.atan(sums[i, j]), "sine")])
    assert Kernel(function).epilogue_of_sum is None


def convolved(following: str) -> Kernel:
    """Return a convolution 4x4x4 → 4x4x4 whose epilogue reads its sums at other places than it writes."""
    x, weights = te.placeholder((1, 4, 4, 4), "float32", "x"), te.placeholder((3, 3, 4, 4), "float32", "weights")
    sums = topi.nn.conv2d_nhwc(x, weights, 1, 1, 1)
    if following == "flat":
        y = te.compute((1, 64), lambda n, i: sums[n, i // 16, i // 4 % 4, i % 4], "flat")
    elif following == "channels first":
        y = te.compute((1, 4, 4, 4), lambda n, c, i, j: sums[n, i, j, c], "moved")
    else:
        y = te.compute((1, 4, 4, 4), lambda n, i, j, c: sums[n, i, j, c] + sums[n, i, j, 3 - c], "mixed")
    return Kernel(te.create_prim_func([x, weights, y]))


@pytest.mark.parametrize("following", ["flat", "channels first", "mixed"])
def test_sums_that_are_read_elsewhere_than_written_are_no_epilogue(following: str) -> None:
    kernel = convolved(following)
    assert kernel.anchor == "conv2d_nhwc"
    assert kernel.epilogue_of_sum is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_kernels_that_sum_in_other_types_than_float32_are_nobodys(dtype: str) -> None:
    x, image = te.placeholder((3, 4), dtype, "x"), te.placeholder((1, 5, 5, 4), dtype, "image")
    weights, taps = te.placeholder((4, 6), dtype, "weights"), te.placeholder((3, 3, 4, 6), dtype, "taps")
    k, ky, kx = (te.reduce_axis((0, extent), name) for name, extent in (("k", 4), ("ky", 5), ("kx", 5)))
    product = te.compute((3, 6), lambda i, j: te.sum(x[i, k] * weights[k, j], axis=k), "matmul")
    total = te.compute((1, 1, 1, 4), lambda n, _i, _j, c: te.sum(image[n, ky, kx, c], axis=[ky, kx]), "total")
    functions = (
        te.create_prim_func([x, weights, product]),
        te.create_prim_func([image, taps, topi.nn.conv2d_nhwc(image, taps, 1, 1, 1, out_dtype=dtype)]),
        te.create_prim_func([image, total]),
    )
    rules = [schedule(function, kernels.AVX2).rule for function in functions]
    known = dtype == "float32"
    assert rules == (["cpu.matmul", "cpu.convolution", "cpu.pool"] if known else ["fallback"] * 3)
    assert [signature(Kernel(function)) is not None for function in functions] == [known, known, False]


HALVES = (
    kernels.Conv(height=5, width=5, inputs=4, channels=8, dtype="float16"),
    kernels.Conv(height=5, width=5, inputs=4, channels=8, kernel=1, padding=(0, 0, 0, 0), dtype="float16"),
    kernels.Dense(rows=3, reduction=8, columns=6, dtype="float16"),
    kernels.Pool(dtype="float16"),
)


@pytest.mark.parametrize("layer", HALVES, ids=["convolution", "pointwise", "dense", "pool"])
def test_halves_are_known_by_their_sums_and_are_for_gpus(layer: kernels.Layer) -> None:
    same = dataclasses.replace(layer, dtype="float32")
    half, single = Kernel(layer.function()), Kernel(same.function())
    assert (half.dtype, single.dtype) == ("float16", "float32")
    assert half.sums_pixels == single.sums_pixels
    assert signature(half) == (None if signature(single) is None else f"{signature(single)}_float16")
    scheduled = schedule(layer.function(), kernels.AVX2)
    assert (scheduled.rule, bool(scheduled.reason)) == ("fallback", True)


def test_operands_of_two_types_are_nobodys() -> None:
    x, weights = te.placeholder((3, 4), "float16", "x"), te.placeholder((4, 6), "float32", "weights")
    k = te.reduce_axis((0, 4), "k")
    product = te.compute((3, 6), lambda i, j: te.sum(x[i, k].astype("float32") * weights[k, j], axis=k), "matmul")
    kernel = Kernel(te.create_prim_func([x, weights, product]))
    assert (kernel.dtype, kernel.matmul) == (None, None)


def test_a_layer_is_what_its_dataclass_says() -> None:
    # the tests above would say little if the helper made all kernels alike
    shapes = {Kernel(dataclasses.replace(POINTWISE, inputs=n).function()).parameter_shapes for n in (1, 2, 3)}
    assert len(shapes) == 3
