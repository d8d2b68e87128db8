"""torch → Relax: BatchNorm folded, NHWC, one fused PrimFunc a layer, and the list of which kernel serves which layer.

Nothing is scheduled or built here.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import torch
import tvm
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tvm import relax, te, tirx, topi
from tvm.relax.frontend.torch import from_fx

from mbench import models
from mbench.compile.kernel import Kernel
from mbench.errors import BuildError
from mbench.models import network
from mbench.records import Variant


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCall:
    """One call of a compiled function, in order of execution. `layer` is the layer's name."""

    kernel: str
    layer: str
    anchor: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lowered:
    """A network as Relax, with what it is checked against.

    `module` takes the (N, 3, R, R) input and returns (N, 1000), both of the variant's dtype, as `example` is;
    `expected` is PyTorch's own output for it, in float32.
    """

    module: tvm.IRModule
    calls: tuple[KernelCall, ...]
    example: np.ndarray
    expected: np.ndarray


def lower(variant: Variant) -> Lowered:
    """Lower a variant.

    Raises:
        BuildError: a kernel could not be matched to the layer it should come from.
    """
    reference = network.build(variant)
    example = network.example_input(variant)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TVM's importer warns of its own internals
        with network.one_thread():
            expected = reference(example).numpy()
        plain = _plain(reference, half=variant.dtype == "float16")
        traced = fx.symbolic_trace(plain)  # torch.export imports for two seconds to see the same
        module = from_fx(traced, [(tuple(example.shape), variant.dtype)], unwrap_unit_return_tuple=True)
    module = _fuse(module)
    calls = _attribute(module, models.layers(variant))
    given = example.numpy().astype(variant.dtype)
    return Lowered(module=module, calls=calls, example=given, expected=expected)


class _Mean(nn.Module):  # type: ignore[misc]
    """Global average pooling as the mean that it is: TVM's adaptive pooling is two blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean over each channel of `x`: (N, C, H, W) → (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


class _MeanOfHalves(nn.Module):  # type: ignore[misc]
    """The same in float32, between float16 and float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean over each channel of `x`: (N, C, H, W) → (N, C, 1, 1)."""
        return x.float().mean((2, 3), keepdim=True).half()


class _Halves(nn.Module):  # type: ignore[misc]
    """Rounds to float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` in float16."""
        return x.half()


def _plain(reference: nn.Sequential, *, half: bool) -> nn.Sequential:
    """Return the same network with each BatchNorm folded into its convolution, and pooling as a mean.

    With `half`, weights and what passes from layer to layer are float16; sums, biases and activations are float32 (as
    TVM's importer has it: its convolutions and products return float32).
    """
    plain = nn.Sequential()
    for name, module in reference.named_children():
        first, *more = module if isinstance(module, nn.Sequential) else (module,)
        if isinstance(first, nn.Conv2d):
            first, more = fuse_conv_bn_eval(first, more[0]), more[1:]
        elif isinstance(first, nn.AdaptiveAvgPool2d):
            first = _MeanOfHalves() if half else _Mean()
        if half and isinstance(first, nn.Conv2d | nn.Linear):
            first.weight.data = first.weight.data.half()
            more = [*more, _Halves()]
        plain.add_module(name, nn.Sequential(first, *more))
    return plain.eval()


def _fuse(module: tvm.IRModule) -> tvm.IRModule:
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]}),
        relax.transform.Normalize(),
        _rewrite("FoldLayouts", _FoldLayouts),
        _rewrite("ReadImageAsItComes", _ReadImageAsItComes),
        _rewrite("ReadHalvesAsTheyCome", _ReadHalvesAsTheyCome),
        relax.transform.FoldConstant(),
        relax.get_pipeline("zero"),
        _inline_blocks,
        relax.transform.RewriteDataflowReshape(),  # reshapes become views: it has to see them before they are scheduled
        relax.transform.DeadCodeElimination(),
    ]
    return tvm.transform.Sequential(passes)(module)


@relax.expr_functor.mutator
class _FoldLayouts(relax.PyExprMutator):  # type: ignore[misc]
    """Transposes and reshapes constants with numpy. FoldConstant does it through LLVM, in seconds."""

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        source = call.args[0] if call.args else None
        if isinstance(source, relax.Var):
            source = self.lookup_binding(source)
        if not isinstance(source, tvm.ir.Constant):
            return call
        value = source.value.numpy()
        if call.op.name == "relax.permute_dims":
            axes = None if call.attrs.axes is None else [int(axis) for axis in call.attrs.axes]
            return relax.const(np.ascontiguousarray(np.transpose(value, axes)))
        if call.op.name == "relax.reshape":
            return relax.const(value.reshape([int(extent) for extent in call.ty.shape]))
        return call


@relax.expr_functor.mutator
class _ReadImageAsItComes(relax.PyExprMutator):  # type: ignore[misc]
    """Lets the first convolution read (N, C, H, W), so that the image is not laid out anew in a pass over memory."""

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        if call.op.name != "relax.nn.conv2d" or call.attrs.groups != 1:
            return call
        laid_out = self.lookup_binding(call.args[0]) if isinstance(call.args[0], relax.Var) else None
        if not isinstance(laid_out, relax.Call) or laid_out.op.name != "relax.permute_dims":
            return call
        if [int(axis) for axis in laid_out.attrs.axes] != [0, 2, 3, 1]:
            return call
        stride, padding = (tuple(int(step) for step in steps) for steps in (call.attrs.strides, call.attrs.padding))
        return self.builder_.call_te(
            _conv2d_nchw_nhwc, laid_out.args[0], call.args[1], stride, padding, primfunc_name_hint="conv2d"
        )


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
    return te.compute(
        shape,
        lambda n, y, x, c: te.sum(
            padded[n, ci, y * stride[0] + ky, x * stride[1] + kx].astype("float32")
            * weight[ky, kx, ci, c].astype("float32"),
            axis=[ky, kx, ci],
        ),
        name="conv2d_nchw_nhwc",
    )


@relax.expr_functor.mutator
class _ReadHalvesAsTheyCome(relax.PyExprMutator):  # type: ignore[misc]
    """Lets pooling read float16. Else the layer before it would write float32 for its sake."""

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        if call.op.name != "relax.mean" or not isinstance(call.args[0], relax.Var):
            return call
        cast = self.lookup_binding(call.args[0])
        if not isinstance(cast, relax.Call) or cast.op.name != "relax.astype":
            return call
        return self.builder_.call_te(_mean_nhwc, cast.args[0], primfunc_name_hint="mean")


def _mean_nhwc(data: te.Tensor) -> Any:
    """Average (n, y, x, c) over y and x to (n, 1, 1, c) of float32, in the form of TVM's own mean."""
    batch, height, width, channels = data.shape
    y, x = te.reduce_axis((0, height), name="ry"), te.reduce_axis((0, width), name="rx")
    total = te.compute(
        (batch, 1, 1, channels),
        lambda n, _y, _x, c: te.sum(data[n, y, x, c].astype("float32"), axis=[y, x]),
        name="mean_red",
    )
    return te.compute(total.shape, lambda *at: total(*at) / tirx.const(int(height * width), "float32"), name="T_divide")


def _rewrite(name: str, mutator: Any) -> tvm.transform.Pass:
    """Return a pass that runs a mutator over `main`."""

    @tvm.transform.module_pass(opt_level=0, name=name)  # type: ignore[untyped-decorator]
    def run(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        rewriter = mutator(module)
        rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
        return rewriter.builder_.get()

    return run


@tvm.transform.module_pass(opt_level=0, name="OneBlockEach")  # type: ignore[untyped-decorator]
def _inline_blocks(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
    """Make each kernel that only moves data a single block, so that a reshape among them can be told."""
    for variable, function in list(module.functions.items()):
        if not isinstance(function, tirx.PrimFunc):
            continue
        kernel = Kernel(function)
        if kernel.anchor is None and len(kernel.blocks) > 1:
            for name in kernel.blocks[:-1]:
                kernel.schedule.compute_inline(kernel.block(name))
            module.update_func(variable, kernel.result())
    return module


def _attribute(module: tvm.IRModule, specs: tuple[models.LayerSpec, ...]) -> tuple[KernelCall, ...]:
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
                wanted = waiting[0] if waiting else "no further layer"
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


def _same_shape(function: tirx.PrimFunc, spec: models.LayerSpec) -> bool:
    shapes = [tuple(int(extent) for extent in var.shape) for var in function.params]
    if spec.op == "pool":
        return shapes[0] == _nhwc(spec.input_shape) and np.prod(shapes[-1]) == np.prod(spec.output_shape)
    if spec.op == "dense":
        return shapes[0] == spec.input_shape and shapes[-1] == spec.output_shape
    weights = (spec.kernel, spec.kernel, spec.input_shape[1] // spec.groups, spec.output_shape[1])
    inputs = (_nhwc(spec.input_shape), spec.input_shape)
    return shapes[0] in inputs and (shapes[1], shapes[-1]) == (weights, _nhwc(spec.output_shape))


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    batch, channels, height, width = shape
    return (batch, height, width, channels)
