"""Transposed convolutions, resized images and norms by channel, of images in both layouts, beside torch."""

from __future__ import annotations

from typing import Any

import graph_programs as programs
import kernel_cases as kernels
import pytest
from tvm import tirx

from mbench.compile import image_computations
from mbench.networks import resizing
from mbench.networks.graph_builder import GraphBuilder


@pytest.mark.parametrize(("channels", "last"), [(9, True), (9, False), (1, True)])
def test_images_are_resized(channels: int, last: bool) -> None:
    builder = GraphBuilder()
    x = programs.image(builder, (2, channels, 5, 6), last=last)
    ways: list[dict[str, Any]] = [
        {"mode": "nearest", "coordinates": "asymmetric", "rounding": "floor", "size": (10, 18)},
        {"mode": "nearest", "coordinates": "half_pixel", "rounding": "round_prefer_floor", "size": (7, 4)},
        {"mode": "nearest", "coordinates": "align_corners", "rounding": "ceil", "size": (3, 11)},
        {"mode": "linear", "coordinates": "half_pixel", "size": (10, 12)},
        {"mode": "linear", "coordinates": "align_corners", "size": (1, 9)},
        {"mode": "linear", "coordinates": "asymmetric", "size": (11, 13), "scales": (2.3, 2.2)},
        {"mode": "cubic", "coordinates": "pytorch_half_pixel", "size": (10, 1)},
    ]
    outputs = []
    for place, way in enumerate(ways):
        y = builder.add("resize2d", f"resize{place}", x, **way)
        skipped = programs.image(builder, builder.shape(y))
        outputs.append(builder.add("relu", f"relu{place}", builder.add("add", f"sum{place}", y, skipped)))
    program = programs.checked(builder.graph(*outputs), kernels.AVX512)
    fused = {name: rule for name, rule in program.rules.items() if name.startswith("fused_resize2d_add_relu")}
    assert len(fused) == len(ways)
    assert set(fused.values()) == {"cpu.elementwise"}


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize("coordinates", resizing.COORDINATES)
def test_places_in_whole_numbers_are_those_of_the_table(size: int, coordinates: str) -> None:
    """Whatever arithmetic is found gives the table, place by place."""
    for rounding in ("floor", "round_prefer_floor", "round_prefer_ceil", "ceil"):
        attributes = {"mode": "nearest", "coordinates": coordinates, "rounding": rounding, "size": (size, size)}
        wanted = resizing.taps(attributes, 0, 6).elements[0]
        place = image_computations._in_whole_numbers(wanted, 6)
        if place is not None:
            assert [int(place(tirx.const(each))) for each in range(size)] == wanted.tolist()
        if coordinates == "asymmetric" and rounding == "floor":
            assert place is not None


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("shape", [(2, 6, 5, 7), (1, 40, 3, 3)])
def test_images_are_normalised(shape: tuple[int, ...], last: bool) -> None:
    builder = GraphBuilder()
    x = programs.image(builder, shape, last=last)
    outputs = []
    norms: list[tuple[str, dict[str, Any]]] = [
        ("instance_norm", {}), ("group_norm", {"groups": 2}), ("group_norm", {"groups": 1}),
    ]  # fmt: skip
    for op, how in norms:
        name = f"{op}{how}"
        given = [builder.parameter(f"{name}.{part}", (shape[1],)) for part in ("weight", "bias")]
        y = builder.add(op, name, x, *given, epsilon=1e-3, **how)
        outputs.append(builder.add("relu", f"{name}.relu", y))
    for size, beta in ((5, 0.75), (2, 0.5), (11, 0.6)):
        outputs.append(builder.add("lrn", f"lrn{size}", x, size=size, alpha=0.3, beta=beta, bias=1.0))
    programs.checked(builder.graph(*outputs))


def test_a_norm_of_what_is_no_image() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 6, 9))
    given = [builder.parameter(part, (6,)) for part in ("weight", "bias")]
    programs.checked(builder.graph(builder.add("group_norm", "norm", x, *given, epsilon=1e-3, groups=3)))


def test_transposed_convolutions() -> None:
    builder = GraphBuilder()
    outputs = []
    cases: list[tuple[tuple[int, ...], ...]] = [  # kernel, strides, padding, added, dilation, (groups,)
        ((2, 2), (2, 2), (0, 0, 0, 0), (0, 0), (1, 1), (1,)),
        ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), (1, 1), (1,)),
        ((4, 3), (2, 3), (1, 0, 0, 2), (0, 1), (1, 2), (2,)),
        ((1, 2), (3, 1), (0, 0, 0, 0), (0, 0), (1, 3), (8,)),
    ]
    for place, (kernel, strides, padding, added, dilation, (groups,)) in enumerate(cases):
        x = programs.image(builder, (2, 8, 5, 6), last=place != 1)
        weight = builder.parameter(f"weight{place}", (8, 16 // groups, *kernel))
        given = [weight, builder.parameter(f"bias{place}", (16,))][: 1 + place % 2]
        y = builder.add(
            "conv2d_transpose", f"up{place}", x, *given, strides=strides, padding=padding, output_padding=added,
            dilation=dilation, groups=groups,
        )  # fmt: skip
        y = builder.batch_norm(f"norm{place}", y) if place == 2 else y
        outputs.append(builder.add("leaky_relu", f"relu{place}", y, alpha=0.1))
    program = programs.checked(builder.graph(*outputs))
    assert "batch_norm" not in {node.op for node in program.graph.nodes}
    assert "multiply" not in {node.op for node in program.graph.nodes}
