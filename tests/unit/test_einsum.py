"""Einstein's sums against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from network_files import computed

from mbench.networks import layers
from mbench.networks.graph import TensorType
from mbench.networks.importers.einsum import einsum, macs
from mbench.networks.importers.graph_writer import GraphWriter, LayerError

SIDES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}
EQUATIONS = (
    *("ab,bc->ac", "abc,abd->acd", "abcd,aecd->abe", "abc->cab", "abc->b", "ab,ab->", "ab,cd->dbca", "a,b", "bca"),
    *("ab , bc", "abc,cd->ad", "abc,ab->", "ab,bc,cd->d", "ab,bc,ca->b"),
)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_it_is_numpys(equation: str) -> None:
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    generator, writer = np.random.default_rng(0), GraphWriter()
    arrays = {
        f"v{place}": generator.normal(size=[SIDES[letter] for letter in term]).astype(np.float32)
        for place, term in enumerate(terms)
    }
    values = [writer.input(name, TensorType(shape=array.shape)) for name, array in arrays.items()]
    graph = writer.graph([einsum(writer, equation, *values)])
    (got,) = computed(graph, writer.parameters, arrays)
    expected = np.einsum(equation, *arrays.values())
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    counted = sum(layers.macs(graph, node) for node in graph.nodes if node.op == "matmul")
    assert macs(equation, *(array.shape for array in arrays.values())) == counted


@pytest.mark.parametrize("equation", ["...a->a", "aa->a", "ab,bc->ac"])
def test_equations_that_are_not_known(equation: str) -> None:
    writer = GraphWriter()
    with pytest.raises(LayerError, match="its equation is"):
        einsum(writer, equation, writer.input("x", TensorType(shape=(3, 3))))
