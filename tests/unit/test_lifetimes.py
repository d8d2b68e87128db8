from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import lifetimes


@dataclasses.dataclass
class Layer:
    name: str
    inputs: tuple[str, ...] = ()


def test_in_a_chain_only_what_the_next_layer_reads_is_alive() -> None:
    chain = [Layer("a"), Layer("b", ("a",)), Layer("c", ("b",))]
    assert lifetimes.alive(chain) == [("",), ("a",), ("b",)]


def test_a_residual_is_alive_across_its_block() -> None:
    block = [Layer("stem"), Layer("expand", ("stem",)), Layer("dw", ("expand",)), Layer("project", ("dw", "stem"))]
    assert lifetimes.alive(block) == [("",), ("stem",), ("stem", "expand"), ("stem", "dw")]


def test_what_no_layer_reads_is_an_output_and_stays() -> None:
    heads = [Layer("stem"), Layer("first head", ("stem",)), Layer("second head", ("stem",)), Layer("last", ("stem",))]
    assert lifetimes.alive(heads)[-1] == ("stem", "first head", "second head")


def test_the_networks_input_is_alive_until_its_last_reader() -> None:
    layers = [Layer("a"), Layer("b"), Layer("c", ("a", "b")), Layer("d", ("c",))]
    assert lifetimes.alive(layers) == [("",), ("", "a"), ("a", "b"), ("c",)]


@given(st.lists(st.integers(0, 10), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_all_that_a_layer_reads_is_alive_then(counts: list[int], choose: random.Random) -> None:
    layers: list[Layer] = []
    for number, count in enumerate(counts):
        names = [layer.name for layer in layers]
        layers.append(Layer(f"n{number}", tuple(choose.sample(names, min(count, len(names))))))
    for layer, alive in zip(layers, lifetimes.alive(layers), strict=True):
        assert set(lifetimes.reads(layer)) <= set(alive)
