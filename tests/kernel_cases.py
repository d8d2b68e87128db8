"""Single kernels for tests: made as `compile.to_relax` makes them, built as `codegen` does, checked with PyTorch.

As a program (`python kernels.py`) it prints the bits of some kernels' outputs at several numbers of threads: the
largest number is set once, when TVM is loaded, so that this takes another process.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import tvm
from epilogue_cases import FOLLOWING
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch.nn import functional
from tvm import relax, te, tirx

from mbench.compile import computations, image_computations, to_relax, tvm_passes
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import llvm
from mbench.networks import layout

SSE = KernelMachine(
    kind="cpu", vector_bits=128, registers=16, broadcasts_from_memory=True, l1_bytes=2**15, l2_bytes=2**18, cores=2
)  # fmt: skip
AVX2 = dataclasses.replace(SSE, vector_bits=256)
AVX512 = dataclasses.replace(SSE, vector_bits=512, registers=32, l2_bytes=2**20)
NEON = dataclasses.replace(SSE, registers=32, broadcasts_from_memory=False)
MACHINES = {"sse": SSE, "avx2": AVX2, "avx512": AVX512, "neon": NEON}
"""Run on whatever processor there is: LLVM splits vectors that are too long, and what is computed stays the same."""
CHANNELS = (1, 2, 3, 5, 8, 16, 24, 40, 44, 48, 89, 96, 179)
SIDES = (1, 2, 5, 7, 10, 12, 14, 20, 28)
EPILOGUES = tuple(FOLLOWING)
GUARD = 4096
"""Elements around each array: more than any tile is large."""


def repeatable(examples: int) -> settings:
    """Return the settings of a property that compiles: the same examples each time, as many as the time allows."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# ------------------------------------------------------------------------------------------------------------- kernels
@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution, and what follows it. Only what a test is about has to be given."""

    batch: int = 1
    height: int = 7
    width: int = 7
    inputs: int = 8
    channels: int = 16
    kernel: int | tuple[int, int] = 3
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (1, 1, 1, 1)
    """Top, left, bottom, right."""
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    channels_last: bool = True
    epilogue: str = "bias+relu"
    dtype: str = "float32"
    """Of input, weights and output."""

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.kernel if isinstance(self.kernel, tuple) else (self.kernel, self.kernel)

    @property
    def apart(self) -> tuple[int, int]:
        """Dilation down and across."""
        return self.dilation if isinstance(self.dilation, tuple) else (self.dilation, self.dilation)

    @property
    def reduction(self) -> int:
        return math.prod(self.sides) * self.inputs // self.groups

    @property
    def weights_shape(self) -> tuple[int, ...]:
        return *self.sides, self.inputs // self.groups, self.channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        last = (self.height, self.width, self.inputs)
        return (self.batch, *last) if self.channels_last else (self.batch, self.inputs, self.height, self.width)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The sums' shape (n, y, x, c); some epilogues move them to another."""
        top, left, bottom, right = self.padding
        down, across = ((side - 1) * apart + 1 for side, apart in zip(self.sides, self.apart, strict=True))
        height = (self.height + top + bottom - down) // self.strides[0] + 1
        width = (self.width + left + right - across) // self.strides[1] + 1
        return self.batch, height, width, self.channels

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        steps: dict[str, Any] = {"strides": self.strides, "padding": self.padding, "dilation": self.apart}

        def convolve(x: Any, weights: Any) -> te.Tensor:
            return computations.convolution(
                x, weights, **steps, groups=self.groups, channels_first=not self.channels_last
            )

        return written(self, convolve)

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64."""
        x, weights = (torch.from_numpy(array.astype(np.float64)) for array in arrays[:2])
        top, left, bottom, right = self.padding
        x = functional.pad(x.permute(0, 3, 1, 2) if self.channels_last else x, (left, right, top, bottom))
        steps = {"stride": self.strides, "dilation": self.apart, "groups": self.groups}
        found: np.ndarray = functional.conv2d(x, weights.permute(3, 2, 0, 1), **steps).permute(0, 2, 3, 1).numpy()
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transposed:
    """A transposed convolution, and what follows it."""

    batch: int = 1
    height: int = 5
    width: int = 6
    inputs: int = 8
    channels: int = 16
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (1, 1, 1, 1)
    """Top, left, bottom, right."""
    added: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    channels_last: bool = True
    epilogue: str = "bias+relu"
    dtype: str = "float32"

    @property
    def reduction(self) -> int:
        return math.prod(self.kernel) * self.inputs // self.groups

    @property
    def weights_shape(self) -> tuple[int, ...]:
        return *self.kernel, self.inputs // self.groups, self.channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        shape = (self.batch, self.inputs, self.height, self.width)
        return layout.lying(shape, last=self.channels_last)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a node has."""
        known = {"strides": self.strides, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        return {**known, "output_padding": self.added}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The sums' shape (n, y, x, c)."""
        return self.expected([np.zeros(self.input_shape), np.zeros(self.weights_shape)]).shape

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        batch, *sides, channels = self.output_shape

        def convolve(x: te.Tensor, weights: te.Tensor) -> te.Tensor:
            laid = Laid(x, self.channels_last)
            shape = (batch, channels, *sides)
            return image_computations.transposed_convolution(laid, weights, self.attributes, shape)

        return written(self, convolve)

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64: all of it, then without the padding."""
        x, weights = (torch.from_numpy(array.astype(np.float64)) for array in arrays[:2])
        top, left, bottom, right = self.padding
        own = self.channels // self.groups
        split = weights.reshape(*self.kernel, self.inputs // self.groups, self.groups, own)
        given = split.permute(3, 2, 4, 0, 1).reshape(self.inputs, own, *self.kernel)
        image = x.permute(0, 3, 1, 2) if self.channels_last else x
        steps = {"stride": self.strides, "dilation": self.dilation, "groups": self.groups}
        whole = functional.conv_transpose2d(image, given, **steps)
        padded = functional.pad(whole, (0, self.added[1], 0, self.added[0]))
        found: np.ndarray = padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right].numpy()
        return found.transpose(0, 2, 3, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense:
    """A fully connected layer, and what follows it."""

    rows: int = 1
    reduction: int = 16
    columns: int = 24
    epilogue: str = "bias"
    dtype: str = "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.rows, self.reduction

    @property
    def weights_shape(self) -> tuple[int, ...]:
        return self.reduction, self.columns

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.rows, self.columns

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        return written(self, computations.linear)

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64."""
        x, weights = (torch.from_numpy(array.astype(np.float64)) for array in arrays[:2])
        found: np.ndarray = functional.linear(x, weights.T).numpy()
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """Products of two operands, whose leading axes broadcast, and what follows them."""

    left: tuple[int, ...] = ()
    right: tuple[int, ...] = ()
    rows: int = 9
    depth: int = 16
    columns: int = 24
    epilogue: str = "none"
    dtype: str = "float32"

    @property
    def reduction(self) -> int:
        return self.depth

    @property
    def input_shape(self) -> tuple[int, ...]:
        return *self.left, self.rows, self.depth

    @property
    def weights_shape(self) -> tuple[int, ...]:
        return *self.right, self.depth, self.columns

    @property
    def output_shape(self) -> tuple[int, ...]:
        return *np.broadcast_shapes(self.left, self.right), self.rows, self.columns

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        return written(self, computations.product)

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64."""
        left, right = (torch.from_numpy(array.astype(np.float64)) for array in arrays[:2])
        found: np.ndarray = torch.matmul(left, right).numpy()
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class PooledImage:
    """An image (n, y, x, c) that is pooled, without weights."""

    batch: int = 1
    height: int = 7
    width: int = 7
    channels: int = 16
    epilogue: str = "none"
    dtype: str = "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.batch, self.height, self.width, self.channels

    @property
    def weights_shape(self) -> None:
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool(PooledImage):
    """The mean over all pixels, and what follows it."""

    @property
    def reduction(self) -> int:
        return self.height * self.width

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, 1, 1, self.channels

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        return written(self, lambda x, _weights: computations.global_average(x))

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64."""
        x = torch.from_numpy(arrays[0].astype(np.float64)).permute(0, 3, 1, 2)
        found: np.ndarray = functional.adaptive_avg_pool2d(x, 1).permute(0, 2, 3, 1).numpy()
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowPool(PooledImage):
    """A pool of windows, and what follows it."""

    kind: str = "max"
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (1, 1, 1, 1)
    """Top, left, bottom, right."""
    ceil_mode: bool = False
    count_include_pad: bool = True

    @property
    def reduction(self) -> int:
        return math.prod(self.kernel)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.expected([np.zeros(self.input_shape)]).shape

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc."""
        known: dict[str, Any] = {"kernel": self.kernel, "strides": self.strides, "padding": self.padding}
        known |= {"ceil_mode": self.ceil_mode, "count_include_pad": self.count_include_pad}
        sides = self.output_shape[1:3]
        return written(self, lambda x, _weights: computations.pooling(x, self.kind, known, sides))

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return what PyTorch computes, in float64."""
        x = torch.from_numpy(arrays[0].astype(np.float64)).permute(0, 3, 1, 2)
        top, left, bottom, right = self.padding
        steps = {"kernel_size": self.kernel, "stride": self.strides, "ceil_mode": self.ceil_mode}
        if self.kind == "max":
            alike = (top, left) == (bottom, right)
            x = x if alike else functional.pad(x, (left, right, top, bottom), value=-math.inf)
            pooled = functional.max_pool2d(x, **steps, padding=(top, left) if alike else 0)
        elif (top, left) == (bottom, right):
            pooled = functional.avg_pool2d(x, **steps, padding=(top, left), count_include_pad=self.count_include_pad)
        else:
            ones = torch.ones_like(x)
            x, inside = (functional.pad(each, (left, right, top, bottom)) for each in (x, ones))
            pooled = functional.avg_pool2d(x, **steps)
            pooled = pooled if self.count_include_pad else pooled / functional.avg_pool2d(inside, **steps)
        found: np.ndarray = pooled.permute(0, 2, 3, 1).numpy()
        return found


Layer = Conv | Transposed | Dense | Product | Pool | WindowPool


def written(layer: Layer, compute: Callable[[Any, Any], te.Tensor]) -> tirx.PrimFunc:
    """Return the one kernel of a layer, as `compute` writes it, and of what follows it."""
    following = FOLLOWING[layer.epilogue]
    shapes = [shape for shape in (layer.input_shape, layer.weights_shape) if shape is not None]
    others = following.other_shapes(layer.output_shape)
    types = [relax.TensorType(shape, layer.dtype) for shape in shapes]
    types += [relax.TensorType(shape, "float32") for shape in others]
    variables = [relax.Var(f"p{number}", own) for number, own in enumerate(types)]

    def kernel(*tensors: te.Tensor) -> te.Tensor:
        operands = [*tensors[: len(shapes)], None]
        return following.write(compute(operands[0], operands[1]), tensors[len(shapes) :], layer.dtype)

    builder = relax.BlockBuilder()
    with builder.function("main", variables):
        with builder.dataflow():
            y = builder.emit_output(builder.emit_te(kernel, *variables, primfunc_name_hint="kernel"))
        builder.emit_func_output(y)
    [(_, function)] = to_relax.kernel_calls(builder.get())
    return function


def lowered(
    shapes: Mapping[str, tuple[int, ...]],
    emit: Callable[[relax.BlockBuilder, Mapping[str, Any]], Any],
    dtypes: Mapping[str, str] | None = None,
) -> list[tirx.PrimFunc]:
    """Return the kernels that Relax makes of a function of arrays, in order; those without a dtype are float32."""
    types = {name: relax.TensorType(shape, (dtypes or {}).get(name, "float32")) for name, shape in shapes.items()}
    variables = {name: relax.Var(name, own) for name, own in types.items()}
    builder = relax.BlockBuilder()
    with builder.function("main", list(variables.values())):
        with builder.dataflow():
            y = builder.emit_output(emit(builder, variables))
        builder.emit_func_output(y)
    passes = [relax.get_pipeline("zero"), relax.transform.DeadCodeElimination()]
    return [function for _, function in to_relax.kernel_calls(tvm.transform.Sequential(passes)(builder.get()))]


# ------------------------------------------------------------------------------------------------------------- running
@functools.cache
def host_target() -> tvm.target.Target:
    """Return this machine as TVM's target."""
    return tvm.target.Target(llvm.host_target().tvm_options)


def compiled(function: tirx.PrimFunc, target: tvm.target.Target | None = None) -> Any:
    """Build a kernel with the passes of the project."""
    tvm_passes.register()
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    return tvm.tirx.build(module, target=target or host_target(), pipeline=tvm_passes.PIPELINE)


def drawn(layer: Layer, seed: int = 0) -> list[np.ndarray]:
    """Return the inputs of a layer's kernel: of mean 0 and variance 1, half of the sums negative."""
    generator = np.random.default_rng(seed)
    operands = [shape for shape in (layer.input_shape, layer.weights_shape) if shape is not None]
    others = FOLLOWING[layer.epilogue].other_shapes(layer.output_shape)
    given = [(shape, layer.dtype) for shape in operands] + [(shape, "float32") for shape in others]
    return [generator.standard_normal(shape, dtype=np.float32).astype(dtype) for shape, dtype in given]


def others(layer: Layer, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Return what a layer's kernel reads beside its operands."""
    return arrays[1 if layer.weights_shape is None else 2 :]


class Guarded:
    """An array of TVM's with guards on both sides, in one piece of memory."""

    def __init__(self, values: np.ndarray, guard: Any) -> None:
        size, aligned = values.itemsize, 128 // values.itemsize  # to 128 bytes
        raw = np.full(values.size + 2 * GUARD + aligned, guard, values.dtype)
        start = -(-(raw.ctypes.data // size + GUARD) // aligned) * aligned - raw.ctypes.data // size
        self._sides = (raw[:start], raw[start + values.size :])
        self._before = [side.tobytes() for side in self._sides]
        self.values = raw[start : start + values.size].reshape(values.shape)
        self.values[...] = values
        self.tensor = tvm.runtime.from_dlpack(self.values)

    def untouched(self) -> bool:
        """Whether the guards are as they were, to the bit."""
        return [side.tobytes() for side in self._sides] == self._before


def unwritten(shape: tuple[int, ...], dtype: str) -> Guarded:
    """Return an array between guards in which it is seen where nothing is written."""
    kind = np.dtype(dtype)
    return Guarded(np.full(shape, _strange(kind), kind), 1 if kind == np.bool_ else 123)


def run(
    library: Any, arrays: Sequence[np.ndarray], output_shape: tuple[int, ...], dtype: str = "float32"
) -> np.ndarray:
    """Run a built kernel of one output between guards; see `run_all`."""
    [output] = run_all(library, arrays, [te.placeholder(output_shape, dtype)])
    return output


def run_all(library: Any, arrays: Sequence[np.ndarray], outputs: Sequence[te.Tensor]) -> list[np.ndarray]:
    """Run a built kernel between guards, and return what it gives of the shapes and types of `outputs`.

    What it reads beyond its inputs is NaN, and so is what it does not write of its output. Written outside of the
    output, or to an input, is an error.
    """
    inputs = [Guarded(array, _strange(array.dtype)) for array in arrays]
    written = [unwritten(tuple(map(int, output.shape)), str(output.dtype)) for output in outputs]
    library["main"](*(array.tensor for array in (*inputs, *written)))
    assert all(output.untouched() for output in written), "the kernel wrote outside of its output"
    for array, original in zip(inputs, arrays, strict=True):
        assert array.untouched(), "the kernel wrote beside an input"
        assert array.values.tobytes() == original.tobytes(), "the kernel wrote to an input"
    return [output.values.copy() for output in written]


def _strange(dtype: np.dtype[Any]) -> Any:
    """Return a number that is seen where nothing is written."""
    return np.nan if np.issubdtype(dtype, np.floating) else np.array(-1).astype(dtype)


def executed(plan: KernelPlan, layer: Layer, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Build and run a plan, its weights packed."""
    ready = list(arrays)
    if plan.pack is not None:
        ready[1] = plan.pack(ready[1])
    return run(compiled(plan.function), ready, layer.output_shape, layer.dtype)


def tolerance(layer: Layer, arrays: Sequence[np.ndarray], half_terms: int = 0) -> np.ndarray:
    """Return by how much each element may differ from the exact one: 2 sqrt(K + 4) u S.

    K products a b are summed in float32, in any order, with a unit roundoff of u = 2^-24; S is the sum of the |a b|
    and of what the epilogue adds, no less than any partial sum. Without luck the error is at most (K + 1) u S (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1); of roundings with independent signs it is some sqrt(K) u S.
    Up to K = 5 this is the bound of the worst case. Kernels were seen to use half of it, at small K. An output in
    float16 is rounded once more, by 2^-11 of itself, and one in bfloat16 by 2^-8; and where `half_terms` products are
    summed in float16, so are they by the same rule with u = 2^-11.
    """
    following, rest = FOLLOWING[layer.epilogue], others(layer, arrays)
    terms, total = layer.expected([np.abs(array) for array in arrays]), layer.expected(arrays)
    error = 2 * math.sqrt(layer.reduction + 4) * 2.0**-24
    if layer.dtype == "float16" and half_terms:
        error += 2 * math.sqrt(min(layer.reduction, half_terms) + 4) * 2.0**-11
    allowed = following.allowed(total, rest, terms, error)
    rounding = {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(layer.dtype, 0.0)
    rounded: np.ndarray = allowed + rounding * np.abs(following.value(total, rest))
    return rounded


def wrong(layer: Layer, output: np.ndarray, arrays: Sequence[np.ndarray], half_terms: int = 0) -> str | None:
    """Compare an output with what PyTorch computes in float64; return what is wrong, None if nothing is."""
    following, allowed = FOLLOWING[layer.epilogue], tolerance(layer, arrays, half_terms)
    expected = following.value(layer.expected(arrays), others(layer, arrays))
    if output.shape != expected.shape:
        return f"shape {output.shape}, not {expected.shape}"
    if not np.isfinite(output).all():
        places = np.argwhere(~np.isfinite(output)).tolist()
        return f"{len(places)} of {output.size} elements not written, or of data beyond the inputs: {places[:4]}"
    excess = np.abs(output - expected) - allowed
    if excess.max() <= 0:
        return None
    place = tuple(int(index) for index in np.unravel_index(excess.argmax(), excess.shape))
    count = np.count_nonzero(excess > 0)
    return f"{count} of {output.size}, the worst {place}: {output[place]}, not {expected[place]} +- {allowed[place]}"


# ------------------------------------------------------------------------------------------------------- rules at work
def candidates(rule: str, layer: Layer, machine: KernelMachine) -> list[Mapping[str, int]]:
    """Return all that a rule offers for a layer, best first."""
    return list(cpu.RULES[rule].candidates(Kernel(layer.function()), machine))


def built(rule: str, layer: Layer, machine: KernelMachine, parameters: Mapping[str, int]) -> KernelPlan:
    """Make a layer by a rule with given parameters."""
    plan = cpu.RULES[rule].build(Kernel(layer.function()), machine, parameters)
    assert plan is not None
    return plan


def statements(function: tirx.PrimFunc) -> int:
    """Return how many statements a kernel is: what TVM and LLVM take grows with it, and faster."""

    def count(statement: Any) -> int:
        return 1 + sum(map(count, tvm_passes.inner(statement)))

    return count(tvm_passes.flat(function).body)


def check(rule: str, layer: Layer, machine: KernelMachine, parameters: Mapping[str, int], seed: int = 0) -> None:
    """Make a layer by a rule, run it, and compare it with PyTorch.

    Raises:
        AssertionError: it is wrong somewhere.
    """
    arrays = drawn(layer, seed)
    output = executed(built(rule, layer, machine, parameters), layer, arrays)
    problem = wrong(layer, output, arrays, machine.half_terms)
    assert problem is None, f"{rule} {dict(parameters)}: {problem}"


def check_any(data: st.DataObject, rule: str, layer: Layer, machine: KernelMachine) -> None:
    """Check a layer with one of the first candidates of a rule."""
    offered = candidates(rule, layer, machine)[:30]
    assert offered, f"{rule} does not take {layer}"
    check(rule, layer, machine, data.draw(st.sampled_from(offered), label="parameters"))


def machines() -> st.SearchStrategy[KernelMachine]:
    """Draw a kind of machine, and a number of cores."""
    kinds = st.sampled_from(sorted(MACHINES))
    return st.builds(
        lambda kind, cores: dataclasses.replace(MACHINES[kind], cores=cores), kinds, st.sampled_from([1, 2, 8])
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel slides, and an image that it fits."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    height: int
    width: int


@st.composite
def windows(draw: st.DrawFn, kernels: Sequence[int] = (1, 3, 3, 3, 5)) -> Window:
    """Draw a window: most are square, step alike down and across, and pad all sides alike."""
    square, alike = draw(st.booleans()), draw(st.booleans())
    one, other = (draw(st.sampled_from(kernels)) for _ in range(2))
    step, padded = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    strides = (step, step) if alike else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = (padded,) * 4 if alike else draw(st.tuples(*[st.integers(0, 3)] * 4))
    dilation = (1, 1) if alike else draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    kernel = (one, one) if square else (one, other)
    reach = [(side - 1) * apart + 1 for side, apart in zip(kernel, dilation, strict=True)]
    least = [max(1, reach[axis] - padding[axis] - padding[axis + 2]) for axis in (0, 1)]
    height, width = (draw(sides(each)) for each in least)
    return Window(
        kernel=kernel, strides=strides, padding=padding, dilation=dilation, height=height, width=width
    )  # fmt: skip


def channels() -> st.SearchStrategy[int]:
    """Draw a number of channels: those of networks and of vectors, ones that fill no vector, any."""
    return st.sampled_from(CHANNELS) | st.integers(1, 200)


def sides(least: int = 1) -> st.SearchStrategy[int]:
    """Draw a height or a width."""
    return st.sampled_from([side for side in SIDES if side >= least])


# ------------------------------------------------------------------------------------------------- numbers of threads
SHARED: dict[str, Layer] = {
    "cpu.matmul": Conv(height=14, width=14, inputs=96, channels=179, kernel=1, padding=(0, 0, 0, 0)),
    "cpu.strassen": Conv(height=15, width=13, inputs=96, channels=192, kernel=1, padding=(0, 0, 0, 0)),
    "cpu.depthwise": Conv(batch=2, height=28, width=28, inputs=89, channels=89, groups=89),
    "cpu.convolution": Conv(height=14, width=12, inputs=24, channels=44),
    "cpu.pool": Pool(batch=3, height=28, width=28, channels=179),
    "cpu.window_pool": WindowPool(batch=2, height=28, width=28, channels=179),
    "cpu.transposed": Transposed(height=14, width=12, inputs=24, channels=44, kernel=(4, 4)),
    "cpu.batch_matmul": Product(left=(2, 3), right=(2, 1), rows=49, depth=64, columns=49),
}
"""Layers that are large enough to be shared out to threads."""


def tasks(parameters: Mapping[str, int]) -> int:
    """Return how many tasks there are."""
    return math.prod(count for name, count in parameters.items() if name.endswith("_parts"))


def fingerprints(counts: Sequence[int]) -> Iterator[str]:
    """Yield, for each number of threads and rule: the rule, its tasks, the threads in use, a hash of the output."""
    machine = dataclasses.replace(AVX2, cores=8)
    libraries = {}
    for rule, layer in SHARED.items():
        parameters = max(candidates(rule, layer, machine), key=tasks)
        plan, arrays = built(rule, layer, machine, parameters), drawn(layer)
        if plan.pack:
            arrays[1] = plan.pack(arrays[1])
        libraries[f"{rule} {tasks(parameters)}"] = (compiled(plan.function), arrays, layer.output_shape)
    for count in counts:
        tvm.get_global_func("runtime.config_threadpool")(1, count)
        used = tvm.get_global_func("runtime.NumThreads")()
        for name, made in libraries.items():
            yield f"{name} {used} {hashlib.sha256(run(*made).tobytes()).hexdigest()}"


if __name__ == "__main__":
    print("\n".join(fingerprints([3, 2, 1])))  # noqa: T201 - the program's output
