"""exp, log, tanh and erf as kernels for CPUs have them, beside numpy and torch in float64."""

from __future__ import annotations

from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from tvm import te, tirx
from tvm.s_tir import Schedule

from mbench.compile import math_functions

FUNCTIONS = {
    "exp": (tirx.exp, torch.exp, (-100.0, 90.0)),
    "log": (tirx.log, torch.log, (1e-3, 1e6)),
    "tanh": (tirx.tanh, torch.tanh, (-12.0, 12.0)),
    "erf": (tirx.erf, torch.erf, (-6.0, 6.0)),
}
LARGEST = {"exp": 1.3e-7, "log": 1.2e-7, "tanh": 4.5e-7, "erf": 4.5e-7}
SMALLEST_NORMAL = 2.0**-126
STRANGE = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0, -0.0, 1e-30, 88.7, 88.8, -104.5, 700, -700], np.float32)


def kernel(name: str, elements: int, lanes: int, dtype: str = "float32") -> tirx.PrimFunc:
    x = te.placeholder((elements,), dtype, "x")
    y = te.compute((elements,), lambda i: FUNCTIONS[name][0](x[i]), "y")
    schedule = Schedule(te.create_prim_func([x, y]))
    [loop] = schedule.get_loops(schedule.get_sblock("y"))
    if lanes > 1:
        schedule.vectorize(schedule.split(loop, [None, lanes])[1])
    return schedule.mod["main"]


def computed(name: str, x: np.ndarray, lanes: int = 8) -> np.ndarray:
    library = kernels.compiled(kernel(name, x.size, lanes, str(x.dtype)))
    return kernels.run(library, [x], x.shape, str(x.dtype))


def exact(name: str, x: np.ndarray) -> np.ndarray:
    found: np.ndarray = FUNCTIONS[name][1](torch.from_numpy(x.astype(np.float64))).numpy()
    return found


def samples(name: str) -> np.ndarray:
    low, high = FUNCTIONS[name][2]
    near_zero = np.logspace(-20, 0, 4096)
    around = [1 - near_zero / 2, 1 + near_zero, 1e38 * near_zero] if name == "log" else [-near_zero]
    return np.concatenate([np.linspace(low, high, 2**17), near_zero, *around]).astype(np.float32)


@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_relative_errors_are_as_small_as_the_module_says(name: str, lanes: int) -> None:
    x = samples(name)
    expected = exact(name, x)
    normal = (np.abs(expected) >= SMALLEST_NORMAL) & (np.abs(expected) <= np.finfo(np.float32).max)
    errors = np.abs(computed(name, x, lanes)[normal] - expected[normal])
    sizes = np.abs(expected[normal])
    errors /= np.maximum(sizes, 1) if name == "log" else sizes
    assert errors.max() <= LARGEST[name]


def test_subnormal_results_are_within_one_unit() -> None:
    x = np.linspace(-104.5, -87.0, 2**14).astype(np.float32)
    assert np.abs(computed("exp", x) - exact("exp", x)).max() <= 2.0**-149 * 1.5


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_infinite_or_huge_gives_the_limit_and_nan_stays(name: str) -> None:
    x = np.resize(STRANGE, 16)
    x = np.append(x, np.float32(1e-42)) if name == "log" else x
    with np.errstate(over="ignore"):
        expected = exact(name, x).astype(np.float32)
    np.testing.assert_allclose(computed(name, x), expected, rtol=LARGEST[name], atol=2.0**-149)


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_nothing_is_beyond_one(name: str) -> None:
    assert np.abs(computed(name, samples(name))).max() == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_halves_are_computed_in_float32_and_rounded_once(name: str) -> None:
    x = np.linspace(0.01 if name == "log" else -5, 5, 1024).astype(np.float16)
    np.testing.assert_array_equal(computed(name, x), computed(name, x.astype(np.float32)).astype(np.float16))


def test_doubles_are_left_to_tvm() -> None:
    x = np.linspace(-5, 5, 64)
    np.testing.assert_allclose(computed("exp", x, 1), np.exp(x), rtol=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vectors_stay_vectors(name: str) -> None:
    """No call is left, whose lanes would be taken one by one."""
    library: Any = kernels.compiled(kernel(name, 64, 8))
    code = library.inspect_source("ll")
    assert "<8 x float>" in code
    assert f"@{name}" not in code
    assert f"@llvm.{name}" not in code


def test_another_constant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_functions, "_LN2_HIGH", 0.6934)
    x = samples("exp")
    assert np.nanmax(np.abs(computed("exp", x) / np.maximum(exact("exp", x), 1e-30) - 1)) > LARGEST["exp"]


def test_registering_twice_keeps_what_tvm_had() -> None:
    math_functions.register()
    before = dict(math_functions._registered)
    math_functions.register()
    assert math_functions._registered == before
    assert set(before) == {"tirx.exp", "tirx.log", "tirx.tanh", "tirx.erf"}
