"""Small networks, from torch through the rules for GPUs, their weights packed, to the output, on a CPU."""

from __future__ import annotations

import functools

import cuda_on_cpu
import cuda_programs
import network_cases as networks
import numpy as np
import pytest
import tvm
from cuda_programs import output
from quantized_cases import images, quantized
from tvm import relax

from mbench.compile import memory, to_relax
from mbench.compile.schedules import gpu
from mbench.compile.schedules.gpu import FLOATS as DTYPES
from mbench.core import dtypes
from mbench.measure import numerics
from mbench.networks import architectures, costs, variants
from mbench.networks.graph_builder import GraphBuilder


def installed(lowered: to_relax.Lowered, target: str, also: frozenset[str] = frozenset()) -> tvm.IRModule:
    module, made = cuda_programs.installed(lowered.module, target)
    assert {kernel.rule for kernel in made.values()} <= gpu.RULES.keys() | also
    return module


@pytest.mark.parametrize(
    ("variant", "batch", "dtype", "target"),
    [
        ("mobilenet_v1_0.25_32", 2, "float32", "cuda_sm90"),
        ("mobilenet_v1_0.25_32_standard", 1, "float32", "cuda_sm80"),
        ("mobilenet_v1_0.25_32", 1, "float16", "cuda_sm80"),
        ("mobilenet_v1_0.25_32", 16, "float16", "cuda_sm90"),
        ("mobilenet_v1_0.25_32_standard", 2, "float16", "cuda_sm90"),
    ],
)
def test_a_network_is_what_torch_computes(variant: str, batch: int, dtype: str, target: str) -> None:
    lowered = networks.lowered(variants.parse(variant, batch=batch, dtype=dtype))
    module = installed(lowered, target)
    found = output(module, lowered.example)
    assert (str(lowered.example.dtype), str(found.dtype)) == (dtype, dtype)
    seen = numerics.compare(found, lowered.expected, dtypes.of(dtype).network_tolerance)
    assert seen.passed, seen.detail


@pytest.mark.parametrize(
    ("variant", "target"), [("mobilenet_v2_0.35_32", "cuda_sm87"), ("mobilenet_v3_small_0.75_32", "cuda_sm80")]
)
def test_a_network_of_bytes_is_exact(variant: str, target: str) -> None:
    case = quantized(architectures.graph(variants.parse(variant)))
    assert not case.left_float
    made = cuda_programs.program(case.network.graph, case.network.parameters, target)
    assert made.rules <= gpu.RULES.keys()
    inputs = images(case.graph, 1, seed=9)[0]
    assert dict(cuda_programs.differing({"network": made}, {"network": inputs})) == {}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_of_many_operations_is_what_torch_computes(dtype: str) -> None:
    lowered = networks.of_graph(networks.mixed(dtype))
    found = output(installed(lowered, "cuda_sm80"), lowered.example.astype(dtype))
    seen = numerics.compare(found, lowered.expected, dtypes.of(dtype).network_tolerance)
    assert seen.passed, seen.detail


def test_operations_of_users_files_are_what_torch_computes() -> None:
    """Some of them by the fall-back."""
    lowered = networks.of_graph(networks.of_files())
    found = output(installed(lowered, "cuda_sm80", frozenset({"fallback"})), lowered.example)
    seen = numerics.compare(found, lowered.expected, dtypes.of("float32").network_tolerance)
    assert seen.passed, seen.detail


def is_expected(found: np.ndarray, lowered: networks.Network) -> bool:
    return numerics.compare(found, lowered.expected, dtypes.of("float32").network_tolerance).passed


@functools.cache
def group_norm() -> tuple[networks.Network, tvm.IRModule]:
    """Return a network of one group norm, which the fall-back makes three kernels of, and which is right."""
    builder = GraphBuilder()
    x = builder.input("image", (2, 16, 8, 8))
    given = [builder.parameter(f"norm.{part}", (16,)) for part in ("weight", "bias")]
    lowered = networks.of_graph(builder.graph(builder.add("group_norm", "norm", x, *given, groups=4, epsilon=1e-5)))
    module = installed(lowered, "cuda_sm80", frozenset({"fallback"}))
    assert is_expected(output(module, lowered.example), lowered)
    return lowered, module


def with_mistake(text: str, replacement: str) -> bool:
    """Whether the group norm is still right with a text of its CUDA C replaced."""
    lowered, module = group_norm()

    def plant(source: str) -> str:
        assert source.count(text) == 1
        return source.replace(text, replacement)

    return is_expected(output(module, lowered.example, plant=plant), lowered)


MISTAKES = {
    "the first kernel leaves its sums as they were": ("norm_mean_total_ptr[((int)threadIdx.x)] = 0x0p+0f", "0"),
    "the second kernel sums up other values": ("norm_variance_total_ptr[((int)threadIdx.x)] + ((", "1 + (("),
    "the third kernel reads the next group's sum": ("- (norm_mean_total_ptr[((((", "- (norm_mean_total_ptr[1 ^ (((("),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_any_of_the_kernels_of_the_fall_back_is_noticed(mistake: str) -> None:
    assert not with_mistake(*MISTAKES[mistake])


def test_a_kernel_of_the_fall_back_that_writes_beside_an_array_of_its_own_is_noticed() -> None:
    with pytest.raises(cuda_on_cpu.FaultError, match="outside of norm_mean_total"):
        with_mistake("norm_mean_total_ptr[((int)threadIdx.x)] = 0x0p+0f", "norm_mean_total_ptr[8] = 0x0p+0f")


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_are_as_large_as_the_costs_say(dtype: str) -> None:
    variant = variants.parse("mobilenet_v1_0.25_32", dtype=dtype)
    expected = costs.total(costs.of_layer(spec, dtype) for spec in architectures.layers(variant))
    assert memory.constant_bytes(networks.lowered(variant).module) == expected.weight_bytes


def test_in_float16_a_network_differs_by_what_float16_rounds() -> None:
    """It is float16, and not float32 under another name: the error lies between what each of them shows."""
    lowered = networks.lowered(variants.parse("mobilenet_v1_0.25_32", dtype="float16"))
    seen = numerics.compare(output(installed(lowered, "cuda_sm80"), lowered.example), lowered.expected, 1.0)
    assert seen.max_rel_error is not None
    assert dtypes.of("float32").network_tolerance < seen.max_rel_error < dtypes.of("float16").network_tolerance


def test_one_layer_whose_weights_lie_elsewhere_is_noticed() -> None:
    lowered = networks.lowered(variants.parse("mobilenet_v1_0.25_32"))
    module = installed(lowered, "cuda_sm80")
    name = next(str(var.name_hint) for var in module.get_global_vars() if str(var.name_hint).endswith("_packed"))

    @relax.expr_functor.mutator
    class Rolled(relax.PyExprMutator):
        def visit_call_(self, call: relax.Call) -> relax.Call:
            call = self.visit_expr_post_order(call)
            if call.op != tvm.ir.Op.get("relax.call_tir") or call.args[0].name_hint != name:
                return call
            image, weights, *rest = call.args[1].fields
            rolled = relax.const(np.roll(weights.value.numpy(), 4))
            return relax.Call(call.op, [call.args[0], relax.Tuple([image, rolled, *rest])], call.attrs, call.ty_args)

    rewriter = Rolled(module)
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    wrong = output(rewriter.builder_.get(), lowered.example)
    assert not numerics.compare(wrong, lowered.expected, dtypes.of("float32").network_tolerance).passed
