"""The weights as arrays, beside torch's own modules; and the process that draws them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from torch.nn import functional

from mbench.core.children import Died
from mbench.networks import architectures, torch_network, variants, weights

PARTS = ("weight", "bias")
VARIANT = variants.parse("mobilenet_v1_0.25_32")


@pytest.mark.parametrize("name", ["mobilenet_v1_0.33_33", "mobilenet_v1_0.25_32_standard"])
def test_each_layer_computes_with_them_what_torchs_module_does(name: str) -> None:
    variant = variants.parse(name)
    drawn = weights.draw(variant)
    x = torch.from_numpy(drawn.example)
    with torch.no_grad():
        for spec, module in zip(architectures.layers(variant), torch_network.build(variant).children(), strict=True):
            expected = module(x)
            if spec.weight_shape is not None:
                weight, bias = (torch.from_numpy(drawn.parameters[f"{spec.name}.{each}"]) for each in PARTS)
                assert (tuple(weight.shape), tuple(bias.shape)) == (spec.weight_shape, spec.bias_shape)
                if spec.is_conv:
                    weight, own = weight.permute(3, 2, 0, 1), {"padding": spec.kernel // 2, "groups": spec.groups}
                    seen = functional.conv2d(x, weight, bias.flatten(), spec.stride, **own).relu()
                else:
                    seen = x @ weight + bias
                torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)
            x = expected


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_they_are_checked_against_is_torchs_own(dtype: str) -> None:
    variant = variants.parse(VARIANT.name, batch=2, dtype=dtype)
    drawn = weights.draw(variant)
    image = torch_network.example_input(variant)
    with torch.no_grad():
        expected = torch_network.build(variant)(image).numpy()
    np.testing.assert_array_equal(drawn.example, image.numpy().astype(dtype))
    np.testing.assert_allclose(drawn.expected, expected, rtol=1e-5, atol=1e-4)  # threads sum in another order
    assert drawn.expected.dtype == "float32"
    assert {name.split(".")[-1]: str(value.dtype) for name, value in drawn.parameters.items()} == {
        "weight": dtype,
        "bias": "float32",
    }


def test_a_layer_without_batchnorm_is_as_it_is() -> None:
    layer = nn.Linear(3, 2)
    weight, bias = torch_network.folded(layer)
    assert torch.equal(weight, layer.weight)
    assert torch.equal(bias, layer.bias)


# ---------------------------------------------------------------------------------------------- in a process of its own
def drawing_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_another_process_draws_the_same_and_is_kept_and_replaced_when_it_dies() -> None:
    first, here = weights.begin(VARIANT).result(), weights.draw(VARIANT)
    assert first.parameters.keys() == here.parameters.keys()
    assert all(np.array_equal(first.parameters[name], here.parameters[name]) for name in here.parameters)
    np.testing.assert_array_equal(first.expected, here.expected)
    [process] = drawing_processes()
    dying = weights.begin(VARIANT)
    process.kill()
    with pytest.raises(Died):
        dying.result()
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected, here.expected)
    [other] = drawing_processes()
    assert other.pid != process.pid
    other.kill()
    os.waitpid(other.pid, 0)  # as who looks after all children does; multiprocessing does not learn that it has ended
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected, here.expected)


DRAWN = f"""
import sys

from mbench.networks import variants, weights


def drawn():
    drawing = weights.begin(variants.parse({VARIANT.name!r}))
    import tvm

    drawing.result()
    return sys.modules["torch"]
"""
BUILDER = """
import sys

import psutil

sys.path.insert(0, sys.argv[1])
from task import drawn

from mbench.build import builders

if __name__ == "__main__":
    with builders.children() as pool:
        assert pool.submit(drawn).result() is None
        assert len(psutil.Process().children(recursive=True)) > 2  # a builder, and torch
    left = [" ".join(each.cmdline()) for each in psutil.Process().children(recursive=True)]
    assert not [each for each in left if "spawn_main" in each], left
"""


def test_a_builder_that_has_them_drawn_imports_no_torch_and_leaves_no_process_behind(tmp_path: Path) -> None:
    program = tmp_path / "builder.py"
    program.write_text(BUILDER)
    (tmp_path / "task.py").write_text(DRAWN)
    subprocess.run([sys.executable, program, tmp_path], check=True, timeout=120)


def test_a_process_that_may_start_none_draws_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the workers of `multiprocessing.Pool` are, and of clusters."""
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    monkeypatch.setattr(weights, "_beside", lambda: pytest.fail("a process was started"))
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected, weights.draw(VARIANT).expected)
