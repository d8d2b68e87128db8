"""Tables of 256 bytes: many bytes are looked up at once, in rows or in halves of the table."""

from __future__ import annotations

import byte_layers as layers
import numpy as np
import pytest
from byte_layers import ByteConv

from mbench.compile.schedules.cpu import lookup


@pytest.mark.parametrize("channels", [16, 32, 64])
@pytest.mark.parametrize("name", layers.MACHINES)
def test_each_of_256_bytes_has_its_own(name: str, channels: int) -> None:
    """Sums are the bytes that are read, so that all 256 places of the table are looked up."""
    layers.needs_dot_products()
    layer = ByteConv(height=16, width=16, inputs=4, channels=channels, table=True, bias=False, result_zero_point=0)
    graph = layer.graph()
    parameters, inputs = layers.drawn(graph)
    parameters["weight"][:] = np.array([1, 0, 0, 0]).reshape(1, 4, 1, 1)
    parameters["multiplier"][:] = 1
    parameters["table"] = np.random.default_rng(3).permutation(256).astype(np.uint8)
    inputs["x"][0, 0] = np.arange(256).reshape(16, 16)
    program = layers.exact(graph, parameters, inputs, layers.MACHINES[name])
    assert "cpu.integer_matmul" in program.rules.values()


def test_other_numbers_of_bytes_are_not_looked_up_at_once() -> None:
    assert [count for count in range(1, 100) if lookup.takes(count)] == [16, 32, 64]
