"""Layers of quantised networks for tests: graphs of whole numbers, compiled, and compared with the exact reference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import graph_programs as programs
import kernel_cases as kernels
import numpy as np
from conftest import require
from graph_programs import Program
from hypothesis import strategies as st
from quantized_cases import computed

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import byte_dots
from mbench.compile.schedules.cpu.dots import DotProduct, WeightPanels
from mbench.hardware import host
from mbench.networks import folding, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

Arrays = Mapping[str, np.ndarray]
PAIRS = ("vpmaddubsw", "vpmaddwd")
BW = dataclasses.replace(kernels.AVX512, dots=PAIRS, dot_bits=512)
AVX2 = dataclasses.replace(kernels.AVX2, dots=PAIRS, dot_bits=256)
SSE = dataclasses.replace(kernels.SSE, dots=PAIRS, dot_bits=128)
VNNI = dataclasses.replace(BW, dots=("vpdpbusd", *PAIRS))
VBMI = dataclasses.replace(VNNI, byte_tables=True)
VNNI_256 = dataclasses.replace(AVX2, dots=VNNI.dots)
MACHINES = {
    "avx-512 vnni": VNNI,
    "avx-512 vnni and vbmi": VBMI,
    "avx-vnni": VNNI_256,
    "avx-512 bw": BW,
    "avx2": AVX2,
    "sse": SSE,
}
"""By what they have; code for one with less than this processor runs on it."""


def kernels_of(layer: ByteConv) -> list[Kernel]:
    """Return the kernels of a layer: what lays its image out, the layer, and what lays the result out."""
    graph = folding.as_compiled(layer.graph()).graph
    return [Kernel(function) for _, function in to_relax.kernel_calls(to_relax.lower(graph).module)]


def sums_of(layer: ByteConv) -> Kernel:
    """Return the kernel that sums, of a layer as it is compiled."""
    graph = folding.as_compiled(layer.graph()).graph
    calls = to_relax.kernel_calls(to_relax.lower(graph).module)
    return next(Kernel(function) for name, function in calls if "conv2d" in name)


def at_their_ends(dtype: str) -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a pointwise layer with parameters and inputs: all values and weights are the least or the most.

    Multipliers are such that sums leave the range of 32 bits.
    """
    graph = ByteConv(inputs=64, channels=48, zero_point=255 if dtype == "uint8" else -128, dtype=dtype).graph()
    parameters, inputs = drawn(graph)
    parameters["weight"][:] = np.where(np.arange(48).reshape(48, 1, 1, 1) % 2, -128, 127)
    parameters["multiplier"][0, ::3] = 1e9
    known = np.iinfo(dtype)
    inputs["x"][:] = np.where(inputs["x"] > (known.max + known.min) // 2, known.max, known.min)
    return graph, parameters, inputs


def dot_of(machine: KernelMachine, layer: ByteConv | None = None) -> DotProduct:
    """Return the dot product that a layer has on a machine."""
    found = byte_dots.of(kernels_of(layer or ByteConv())[1], machine)
    assert found is not None
    return found


def panels(machine: KernelMachine, layer: ByteConv, words: int) -> WeightPanels:
    """Return panels of four channels, with so many words of weights."""
    kernel, dot = kernels_of(layer)[1], dot_of(machine, layer)
    return WeightPanels.of(kernel, dot, channels=layer.channels, lanes=4, vectors=1, words=words)


def needs_dot_products() -> None:
    """Skip where the processor has none: their instructions would end the process."""
    features = host.describe().features
    require({"avx512_vnni", "avx512vl", "avx512vbmi"} <= set(features), "a processor with AVX-512 VNNI and VBMI")


def exact(graph: Graph, parameters: Arrays, inputs: Arrays, machine: KernelMachine = kernels.AVX2) -> Program:
    """Compile a graph of whole numbers, and compare every byte of its outputs with the reference."""
    program = programs.compiled(graph, parameters, machine)
    same_bytes(graph, parameters, inputs, program.run(inputs))
    return program


def same_bytes(graph: Graph, parameters: Arrays, inputs: Arrays, outputs: Sequence[np.ndarray]) -> None:
    """Compare every byte of a graph's outputs with the reference."""
    with torch_network.one_thread():
        expected, _ = computed(graph, parameters, inputs)
    for name, one, other in zip(graph.outputs, outputs, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
        differing = np.argwhere(one != other)
        assert not len(differing), f"{name}: {len(differing)} of {one.size} differ, as at {differing[:3].tolist()}"


def linear(rows: int, reduction: int, columns: int) -> Graph:
    """Return a linear layer whose sums become floats as they are."""
    builder = GraphBuilder()
    read = [builder.input("x", (rows, reduction), dtype="uint8")]
    read.append(builder.parameter("weight", (columns, reduction), dtype="int8"))
    read.append(builder.parameter("bias", (columns,), dtype="int32"))
    sums = builder.add("linear", "fc", *read, zero_point=77)
    return builder.graph(builder.add("dequantize", "out", sums, builder.parameter("scale", (columns,))))


def drawn(graph: Graph, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return parameters and inputs of any bytes; multipliers such that few sums are beyond the result's limits."""
    generator = np.random.default_rng(seed)

    def whole(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        known = np.iinfo(dtype)
        return generator.integers(known.min, known.max, shape, endpoint=True).astype(dtype)

    parameters = {}
    reach = {
        node.inputs[1]: node.attributes["largest_weight"] for node in graph.nodes if "largest_weight" in node.attributes
    }
    for name, given in graph.parameters.items():
        if given.dtype == "int32":
            parameters[name] = generator.integers(-4000, 4000, given.shape).astype(np.int32)
        elif given.dtype == "float32":
            sizes = (math.prod(each.shape[1:]) for each in graph.parameters.values() if each.dtype == "int8")
            terms = max(sizes, default=1)
            spread = generator.uniform(0.2, 1.5, given.shape)
            parameters[name] = (spread * 70 / (74 * 74 * math.sqrt(terms))).astype(np.float32)
        else:
            parameters[name] = whole(given.shape, given.dtype)
            if name in reach:
                parameters[name] = np.clip(parameters[name], -reach[name], reach[name])
    return parameters, {name: whole(given.shape, given.dtype) for name, given in graph.inputs.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteConv:
    """A convolution of bytes and its requantisation, with a residual or without."""

    batch: int = 1
    height: int = 7
    width: int = 6
    inputs: int = 8
    channels: int = 32
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    channels_last: bool = True
    zero_point: int = 0
    bias: bool = True
    residual: bool = False
    to: str = "uint8"
    result_zero_point: int | None = None
    bounds: tuple[int, int] | None = None
    table: bool = False
    """Whether a table follows."""
    dtype: str = "uint8"
    """Of the image."""
    other_zero_point: int = 0
    """Of the weights."""
    narrow: bool = False
    """Whether weights are from -64 to 64, and the layer says so."""
    symmetric: bool = False
    """Whether weights are from -127 to 127, and the layer says so."""
    short: bool = False
    """Whether the layer says that what is rounded fits into 16 bits, as it does with drawn multipliers."""

    def graph(self) -> Graph:
        """Return it, with what makes images that lie channels last of inputs that do not."""
        builder = GraphBuilder()
        shape = (self.batch, self.inputs, self.height, self.width)
        x = image(builder, "x", shape, last=self.channels_last, dtype=self.dtype)
        read = [builder.parameter("weight", (self.channels, self.inputs // self.groups, *self.kernel), dtype="int8")]
        read += [builder.parameter("bias", (self.channels,), dtype="int32")] if self.bias else []
        steps: dict[str, Any] = {
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        reach = 64 if self.narrow else 127 if self.symmetric else None
        steps |= {"largest_weight": reach} if reach else {}
        steps |= {"other_zero_point": self.other_zero_point} if self.other_zero_point else {}
        sums = builder.add("conv2d", "conv", x, *read, **steps, zero_point=self.zero_point)
        known = np.iinfo(self.to)
        low, high = self.bounds or (int(known.min), int(known.max))
        more: dict[str, Any] = {
            "scale": 1.0,
            "zero_point": int(known.min) + 60 if self.result_zero_point is None else self.result_zero_point,
            "to": self.to,
            "low": low,
            "high": high,
        }
        more |= {"short": True} if self.short else {}
        read = [sums, builder.parameter("multiplier", (1, self.channels, 1, 1))]
        if self.residual:
            read.append(image(builder, "residual", builder.shape(sums), last=True))
            more |= {"residual_multiplier": float(np.float32(0.37)), "residual_zero_point": 17}
        y = builder.add("requantize", "out", *read, **more)
        if self.table:
            table: dict[str, Any] = {"scale": 1.0, "zero_point": 3, "to": "uint8", "steps": ()}
            y = builder.add("lookup", "looked", y, builder.parameter("table", (256,), dtype="uint8"), **table)
        return builder.graph(y)

    def check(self, rule: str, machine: KernelMachine, number: int = 0, seed: int = 0) -> None:
        """Compile it by one of the candidates of a rule, the first or another, and compare every byte."""
        graph = self.graph()
        chosen = cpu.RULES[rule]

        def one_of(*given: Any) -> list[Any]:
            found = list(chosen.candidates(*given))
            return [found[number % len(found)]] if found else []

        one = dataclasses.replace(chosen, candidates=one_of)
        with mock.patch.dict(cpu.RULES, {rule: one}):
            program = exact(graph, *drawn(graph, seed), machine)
        assert rule in program.rules.values(), f"{rule} does not take {self}"


def image(
    builder: GraphBuilder, name: str, shape: tuple[int, ...], *, last: bool, dtype: str = "uint8"
) -> str:  # fmt: skip
    x = builder.input(name, shape, dtype=dtype)
    if not last:
        return x
    plain: dict[str, Any] = {"kernel": (1, 1), "strides": (1, 1), "padding": (0, 0, 0, 0)}
    return builder.add("max_pool2d", f"{name}.image", x, **plain)


def machines() -> st.SearchStrategy[KernelMachine]:
    """Draw a machine with dot products, and a number of cores."""
    return st.builds(
        lambda name, cores: dataclasses.replace(MACHINES[name], cores=cores),
        st.sampled_from(sorted(MACHINES)), st.sampled_from([1, 2, 8]),
    )  # fmt: skip


@st.composite
def any_layers(draw: st.DrawFn, *, least_channels: int = 4) -> ByteConv:
    """Draw what layers of all kinds differ in, beside their window."""
    dtype = draw(st.sampled_from(["uint8", "uint8", "int8"]))
    return ByteConv(
        batch=draw(st.integers(1, 2)),
        channels=max(least_channels, draw(kernels.channels())),
        zero_point=draw(st.sampled_from([0, 0, 1, 128, 255] if dtype == "uint8" else [0, -128, -5, 127])),
        bias=draw(st.sampled_from([True, True, False])),
        residual=draw(st.booleans()),
        to=draw(st.sampled_from(["uint8", "uint8", "int8"])),
        bounds=draw(st.sampled_from([None, None, (3, 99)])),
        table=draw(st.booleans()),
        dtype=dtype,
        other_zero_point=draw(st.sampled_from([0, 0, 0, -128, 9])),
        narrow=draw(st.booleans()),
        short=draw(st.booleans()),
    )
