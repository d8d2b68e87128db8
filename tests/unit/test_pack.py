from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import kernel_cases as kernels
import network_cases as networks
import numpy as np
import pytest
import torch
import tvm
from kernel_cases import AVX2
from tvm import relax

from mbench.compile import codegen, pack, to_relax
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.networks import variants

WEIGHTS = np.random.default_rng(7).standard_normal((2, 6, 6), dtype=np.float32)


def two_layers_of_one_shape() -> tvm.IRModule:
    """Return relu(relu(x w0) w1): two calls of one kernel, with other weights each."""
    x = relax.Var("x", relax.TensorType((3, 6), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for weights in WEIGHTS:
                y = builder.emit(relax.op.nn.relu(builder.emit(relax.op.matmul(y, relax.const(weights)))))
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    passes = [relax.get_pipeline("zero"), relax.transform.DeadCodeElimination()]
    return tvm.transform.Sequential(passes)(builder.get())


@pytest.fixture(scope="module")
def scheduled() -> dict[str, Scheduled]:
    return schedule_all(to_relax.kernel_calls(two_layers_of_one_shape()), AVX2)


def constants(module: tvm.IRModule) -> Iterator[np.ndarray]:
    """Yield the constants that are passed to kernels, in the order of the calls."""
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            for argument in binding.value.args[1].fields:
                if isinstance(argument, tvm.ir.Constant):
                    yield argument.value.numpy()


def test_each_call_gets_its_own_weights_packed(scheduled: dict[str, Scheduled]) -> None:
    [(name, kernel)] = scheduled.items()
    assert kernel.plan.pack is not None
    installed = pack.install(two_layers_of_one_shape(), scheduled)
    assert [called for called, _ in to_relax.kernel_calls(installed)] == [f"{name}_packed"] * 2
    assert pack.installed_name(name, kernel) == f"{name}_packed"
    assert name not in {variable.name_hint for variable in installed.functions}
    for found, weights in zip(constants(installed), WEIGHTS, strict=True):
        np.testing.assert_array_equal(found, kernel.plan.pack(weights))
        assert found.shape != weights.shape


def test_the_network_computes_the_same_with_packed_weights(scheduled: dict[str, Scheduled]) -> None:
    target = kernels.host_target()
    planned = codegen.plan(pack.install(two_layers_of_one_shape(), scheduled), target)
    vm = relax.VirtualMachine(codegen.generate(planned, target), tvm.cpu())
    x = np.random.default_rng(8).standard_normal((3, 6), dtype=np.float32)
    expected = torch.from_numpy(x)
    for weights in WEIGHTS:
        expected = torch.relu(expected @ torch.from_numpy(weights))
    np.testing.assert_allclose(vm["main"](tvm.runtime.tensor(x)).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


@relax.expr_functor.mutator
class _LastCallsOther(relax.PyExprMutator):  # type: ignore[misc]
    """Makes the last of two calls one of another function, which does the same."""

    def __init__(self, module: tvm.IRModule, name: str) -> None:
        super().__init__(module)
        function = module[name].with_attr("difference", 1)
        self._other, self._calls = self.builder_.add_func(function, f"{name}_other"), 0

    def done(self, main: relax.Function) -> tvm.IRModule:
        """Return the module with `main` changed."""
        self.builder_.update_func(self.builder_.get().get_global_var("main"), self.visit_expr(main))
        return self.builder_.get()

    def visit_call_(self, call: relax.Call) -> relax.Call:
        call = self.visit_expr_post_order(call)
        self._calls += 1
        if self._calls < len(WEIGHTS):
            return call
        return relax.Call(call.op, [self._other, call.args[1]], call.attrs, call.ty_args)


def test_kernels_that_become_alike_keep_their_names() -> None:
    """As two kernels do whose difference no instruction of the target knows."""
    module = two_layers_of_one_shape()
    [name] = dict(to_relax.kernel_calls(module))
    module = _LastCallsOther(module, name).done(module["main"])
    both = schedule_all(to_relax.kernel_calls(module), AVX2)
    assert len(both) == 2
    alike = {each: dataclasses.replace(both[name], reason="") for each in both}
    called = [each for each, _ in to_relax.kernel_calls(pack.install(module, alike))]
    assert called == [pack.installed_name(each, kernel) for each, kernel in alike.items()]


def test_a_kernel_that_packs_nothing_keeps_its_name() -> None:
    lowered = networks.lowered(variants.parse("mobilenet_v1_0.25_32"))
    kernels_of = schedule_all(to_relax.kernel_calls(lowered.module), AVX2)
    plain = {name for name, kernel in kernels_of.items() if kernel.plan.pack is None}
    assert plain
    assert plain != kernels_of.keys()
    installed = dict(to_relax.kernel_calls(pack.install(lowered.module, kernels_of)))
    assert installed.keys() == {pack.installed_name(name, kernel) for name, kernel in kernels_of.items()}
    for name in plain:
        assert pack.installed_name(name, kernels_of[name]) == name
        tvm.ir.assert_structural_equal(installed[name].body, kernels_of[name].plan.function.body, map_free_vars=True)
