"""Kernels of a small network, for tests of how they are made."""

from __future__ import annotations

from typing import Any

import pytest
import tvm

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.schedules.dispatch import signature
from mbench.networks import architectures, variants


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """Return the kernels of a small network by their signatures."""
    lowered = to_relax.lower(architectures.folded(variants.parse("mobilenet_v1_0.25_32")).graph)
    found = ((signature(Kernel(function)), function) for _, function in to_relax.kernel_calls(lowered.module))
    return {name: function for name, function in found if name}


@pytest.fixture(scope="module")
def product(functions: dict[str, Any]) -> tuple[str, Any]:
    """Return a 1x1 convolution that the rule for matrix products takes."""
    return next((name, made) for name, made in functions.items() if Kernel(made).matmul and "k1x1" in name)


@pytest.fixture(scope="module")
def product_json(product: tuple[str, Any]) -> str:
    """Return it as child processes are given it."""
    return str(tvm.ir.save_json(product[1]))
