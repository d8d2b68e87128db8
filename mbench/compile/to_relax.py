"""Layers → Relax: NHWC, one fused PrimFunc a layer, and the list of which kernel serves which layer.

The weights are parameters until `bind` puts them in: neither torch nor any of its arrays is needed to lower a network.
Nothing is scheduled or built here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax, te, tirx, topi

from mbench.compile.kernel import Kernel
from mbench.core import dtypes, units
from mbench.core.errors import BuildError
from mbench.core.records import Variant
from mbench.networks import architectures


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCall:
    """One call of a compiled function, in order of execution. `layer` is the layer's name."""

    kernel: str
    layer: str
    anchor: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lowered:
    """A network as Relax: `module` takes the (N, 3, R, R) input, then the weights; it returns (N, 1000)."""

    module: tvm.IRModule
    calls: tuple[KernelCall, ...]


def lower(variant: Variant) -> Lowered:
    """Lower a variant.

    Input and output have the variant's dtype, and so has what passes from layer to layer, and the weights; sums, biases
    and activations have the type that it is summed in.

    Raises:
        BuildError: a kernel could not be matched to the layer it should come from.
    """
    specs = architectures.layers(variant)
    module = _fuse(_network(specs, variant.dtype))
    return Lowered(module=module, calls=_attribute(module, specs))


def bind(module: tvm.IRModule, parameters: Mapping[str, np.ndarray]) -> tvm.IRModule:
    """Return a lowered network with its weights (`mbench.networks.weights`) in the place of its parameters.

    Raises:
        BuildError: they are not the weights of this network.
    """
    _, *wanted = module["main"].params
    described = {each.name: f"{units.shape(_extents(each.ty.shape))} {each.ty.dtype}" for each in wanted}
    given = {name: f"{units.shape(value.shape)} {value.dtype}" for name, value in parameters.items()}
    for name in sorted(described.keys() | given.keys()):
        ours, theirs = described.get(name, "nothing"), given.get(name, "nothing")
        if ours != theirs:
            raise BuildError(f"the network has {ours} for {name!r}, its weights {theirs}")
    return relax.transform.BindParams("main", dict(parameters))(module)


def _network(specs: Sequence[architectures.LayerSpec], dtype: str) -> tvm.IRModule:
    """Return the layers one after the other, each with its own parameters: NAME.weight and NAME.bias."""
    sums = dtypes.of(dtype).accumulator
    given = {"image": relax.Var("image", relax.TensorType(specs[0].input_shape, dtype))}
    for spec in specs:
        for part, shape, own in (("weight", spec.weight_shape, dtype), ("bias", spec.bias_shape, sums)):
            if shape is not None:
                given[f"{spec.name}.{part}"] = relax.Var(f"{spec.name}.{part}", relax.TensorType(shape, own))
    builder = relax.BlockBuilder()
    with builder.function("main", list(given.values())):
        with builder.dataflow():
            x: Any = given["image"]
            for index, spec in enumerate(specs):
                weight, bias = (given.get(f"{spec.name}.{part}") for part in ("weight", "bias"))
                y = _layer(builder, spec, x, weight, first=index == 0)
                y = y if bias is None else builder.emit(relax.op.add(y, bias))
                y = builder.emit(relax.op.nn.relu(y)) if spec.is_conv else y
                y = builder.emit(relax.op.astype(y, dtype)) if dtype != sums else y
                x = builder.emit(relax.op.reshape(y, spec.output_shape)) if spec.op == "pool" else y
            x = builder.emit_output(x)
        builder.emit_func_output(x)
    return builder.get()


def _layer(builder: relax.BlockBuilder, spec: architectures.LayerSpec, x: Any, weight: Any, *, first: bool) -> Any:
    """Return what a layer sums up of `x`, (N, H, W, C) float32, or (N, C) of the fully connected one.

    The first layer reads (N, C, H, W), so that the image is not laid out anew in a pass over memory; pooling is the
    mean that it is, since TVM's adaptive pooling is two blocks. Both read halves as they come.
    """
    sums = dtypes.of(str(x.ty.dtype)).accumulator
    if spec.op == "pool":
        if x.ty.dtype == sums:
            return builder.emit(relax.op.mean(x, [1, 2], keepdims=True))
        return builder.emit_te(_mean_nhwc, x, primfunc_name_hint="mean")
    if spec.op == "dense":
        return builder.emit(relax.op.matmul(x, weight, out_dtype=sums))
    stride, padding = (spec.stride,) * 2, (spec.kernel // 2,) * 4
    if first:
        return builder.emit_te(_conv2d_nchw_nhwc, x, weight, stride, padding, primfunc_name_hint="conv2d")
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
    return builder.emit(relax.op.nn.conv2d(x, weight, stride, padding, groups=spec.groups, out_dtype=sums, **layouts))


def _fuse(module: tvm.IRModule) -> tvm.IRModule:
    passes = [
        relax.get_pipeline("zero"),
        relax.transform.RewriteDataflowReshape(),  # reshapes become views: it has to see them before they are scheduled
        relax.transform.DeadCodeElimination(),
    ]
    return tvm.transform.Sequential(passes)(module)


def _conv2d_nchw_nhwc(data: te.Tensor, weight: te.Tensor, stride: tuple[int, ...], padding: tuple[int, ...]) -> Any:
    """Convolve (n, ci, h, w) with (ky, kx, ci, c) to (n, y, x, c) of float32, in the form of TVM's own convolutions."""
    batch, inputs, height, width = data.shape
    kernel_height, kernel_width, _, channels = weight.shape
    top, left, bottom, right = padding
    padded = topi.nn.pad(data, (0, 0, top, left), (0, 0, bottom, right), name="pad_temp")
    shape = (
        batch,
        (height + top + bottom - kernel_height) // stride[0] + 1,
        (width + left + right - kernel_width) // stride[1] + 1,
        channels,
    )
    ky, kx = te.reduce_axis((0, kernel_height), name="ry"), te.reduce_axis((0, kernel_width), name="rx")
    ci = te.reduce_axis((0, inputs), name="rc")
    sums = dtypes.of(str(data.dtype)).accumulator
    return te.compute(
        shape,
        lambda n, y, x, c: te.sum(
            padded[n, ci, y * stride[0] + ky, x * stride[1] + kx].astype(sums) * weight[ky, kx, ci, c].astype(sums),
            axis=[ky, kx, ci],
        ),
        name="conv2d_nchw_nhwc",
    )


def _mean_nhwc(data: te.Tensor) -> Any:
    """Average (n, y, x, c) over y and x to (n, 1, 1, c) of float32, in the form of TVM's own mean."""
    batch, height, width, channels = data.shape
    y, x = te.reduce_axis((0, height), name="ry"), te.reduce_axis((0, width), name="rx")
    sums = dtypes.of(str(data.dtype)).accumulator
    total = te.compute(
        (batch, 1, 1, channels),
        lambda n, _y, _x, c: te.sum(data[n, y, x, c].astype(sums), axis=[y, x]),
        name="mean_red",
    )
    return te.compute(total.shape, lambda *at: total(*at) / tirx.const(int(height * width), sums), name="T_divide")


def _attribute(module: tvm.IRModule, specs: Sequence[architectures.LayerSpec]) -> tuple[KernelCall, ...]:
    """Match the calls in `main` with the layers, in order.

    A kernel that convolves, multiplies matrices or pools is the anchor of the next layer, and its shapes must be that
    layer's. Any other kernel belongs to the layer before it.
    """
    waiting = list(specs)
    layer = ""
    calls: list[KernelCall] = []
    for kernel, function in kernel_calls(module):
        anchor = Kernel(function).anchor is not None
        if anchor:
            if not waiting or not _same_shape(function, waiting[0]):
                wanted = waiting[0].name if waiting else "no further layer"
                raise BuildError(f"kernel {kernel!r} does not compute the layer expected next, {wanted}")
            layer = waiting.pop(0).name
        if not layer:
            raise BuildError(f"kernel {kernel!r} comes before the first layer")
        calls.append(KernelCall(kernel=kernel, layer=layer, anchor=anchor))
    if waiting:
        raise BuildError(f"no kernel computes layer {waiting[0].name!r}")
    return tuple(calls)


def kernel_calls(module: tvm.IRModule) -> list[tuple[str, tirx.PrimFunc]]:
    """Return the (name, PrimFunc) that `main` calls, in order of execution."""
    call_tir = tvm.ir.Op.get("relax.call_tir")
    values = [binding.value for block in module["main"].body.blocks for binding in block.bindings]
    called = [value.args[0] for value in values if getattr(value, "op", None) == call_tir]
    return [(str(var.name_hint), module[var]) for var in called]


def _same_shape(function: tirx.PrimFunc, spec: architectures.LayerSpec) -> bool:
    shapes = [_extents(var.shape) for var in function.params]
    if spec.op == "pool":
        return shapes[0] == _nhwc(spec.input_shape) and np.prod(shapes[-1]) == np.prod(spec.output_shape)
    if spec.op == "dense":
        return shapes[0] == spec.input_shape and shapes[-1] == spec.output_shape
    inputs = (_nhwc(spec.input_shape), spec.input_shape)
    return shapes[0] in inputs and (shapes[1], shapes[-1]) == (spec.weight_shape, _nhwc(spec.output_shape))


def _extents(shape: Any) -> tuple[int, ...]:
    return tuple(int(extent) for extent in shape)


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    batch, channels, height, width = shape
    return (batch, height, width, channels)
