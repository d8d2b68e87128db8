"""What several networks have in common is said once, with its range."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import record_factory as factory

from mbench.core import units
from mbench.terminal import merging
from mbench.terminal.merging import among

NAMES = {"block1.pw": "layer", "block2.pw": "layer", "conv0": "layer", "k1": "kernel", "k2": "kernel"}


def merged(*texts: str, names: Mapping[str, str] = NAMES) -> dict[str, tuple[str, ...]]:
    told = {f"net{number}": [text] for number, text in enumerate(texts)}
    return merging.merged(told, dict.fromkeys(told, names))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("others kept 0.40 busy", "others kept 1.57 busy"), "others kept 0.40 to 1.57 busy"),
        (("got 7.8 % of it", "got 7.8 % of it"), "got 7.8 % of it"),
        (("took 30.0 ms of time", "took 1.20 s of time"), "took 30.0 ms to 1.20 s of time"),
        (("took 30.0 ms, at best 5.0 µs", "took 9.0 ms, at best 5.0 µs"), "took 9.0 to 30.0 ms, at best 5.0 µs"),
        (("conv0: slow", "conv0: slow"), "conv0: slow"),
        (("above: block1.pw, block2.pw, conv0; run", "above: conv0; run"), "above: 1 to 3 layers; run"),
        (("above: block1.pw, conv0; run", "above: conv0, block1.pw; run"), "above: 2 layers; run"),
        (("none for k1 (1.2 % of it)", "none for k1, k2 (3 % of it)"), "none for 1 to 2 kernels (1.2 to 3 % of it)"),
        (("block1.pw is slow",), "block1.pw is slow"),
        (("v2 of 16x16 at x86_64",), "v2 of 16x16 at x86_64"),
    ],
)  # fmt: skip
def test_numbers_become_ranges_and_lists_their_length(texts: tuple[str, ...], said: str) -> None:
    assert merged(*texts) == {said: tuple(f"net{number}" for number in range(len(texts)))}


def test_a_long_list_of_one_network_is_its_length() -> None:
    assert list(merged("above: block1.pw, block2.pw, conv0; run")) == ["above: 3 layers; run"]
    assert list(merged("above: block1.pw, block2.pw; run")) == ["above: block1.pw, block2.pw; run"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("others kept 1 processors busy", "others held 1 processors busy"),
        ("took 3.0 s", "took 3.0 %"),
        ("conv0: slow", "conv9: slow"),  # no layer that is known
    ],
)
def test_other_words_are_another_cause(first: str, second: str) -> None:
    assert merged(first, second) == {first: ("net0",), second: ("net1",)}


def test_a_network_that_says_it_twice_counts_once() -> None:
    told = {"a": ["others kept 0.4 busy", "others kept 0.9 busy"], "b": ["others kept 0.5 busy", "it is hot"]}
    assert merging.merged(told, {}) == {"others kept 0.4 to 0.9 busy": ("a", "b"), "it is hot": ("b",)}


def test_whom_it_is_said_of() -> None:
    assert among(["a", "b"], ["a", "b"]) == ""
    assert among(["a"], ["a", "b", "c"]) == " (1 of 3 networks)"


def test_the_names_of_a_result_are_its_layers_and_its_kernels() -> None:
    result = factory.record(factory.PAIR[:1]).results[0]
    known = merging.known_names(result)
    assert {known[layer.name] for layer in result.layers} == {"layer"}
    assert known[result.layers[1].kernel] == "kernel"


@pytest.mark.parametrize("text", ["\0 5", "\x1b[31m 5 conv0", "5\0conv0\0", units.NOT_AVAILABLE, "", "1e5 .5 5."])
def test_strange_texts_do_no_harm(text: str) -> None:
    [(said, of)] = merged(text, text).items()
    assert of == ("net0", "net1")
    assert "\0" not in said
    assert "\x1b" not in said
