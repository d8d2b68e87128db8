"""The digest of a network: the same wherever it is compiled, another for another network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.core import network_digest
from mbench.core.records import Layer

NAME = "mobilenet_v1_0.25_32"


def layers(name: str = NAME) -> tuple[Layer, ...]:
    return factory.record((name,)).results[0].layers


DIGEST = network_digest.of_layers(layers())


def test_it_is_the_same_at_any_batch_and_however_it_was_compiled() -> None:
    assert network_digest.of_layers(layers(f"{NAME}_b8")) == DIGEST
    compiled = (msgspec.structs.replace(layer, kernel="another", workspace_bytes=7) for layer in layers())
    assert network_digest.of_layers(compiled) == DIGEST


@pytest.mark.parametrize(
    "other", ["mobilenet_v1_0.5_32", "mobilenet_v1_0.25_64", f"{NAME}_standard", f"{NAME}_shallow"]
)
def test_another_network_has_another(other: str) -> None:
    assert network_digest.of_layers(layers(other)) != DIGEST


@pytest.mark.parametrize(
    "changes",
    [{"name": "x"}, {"op": "other"}, {"inputs": ("conv0", "block1.dw")}, {"stride": (2, 2)}, {"groups": 1},
     {"kernel_size": (5, 5)}, {"output_shape": (1, 9, 16, 16)}],
    ids=str,
)  # fmt: skip
def test_whatever_changes_what_is_computed_changes_it(changes: dict[str, Any]) -> None:
    found = layers()
    changed = (*found[:1], msgspec.structs.replace(found[1], **changes), *found[2:])
    assert network_digest.of_layers(changed) != DIGEST


def test_it_is_the_same_from_a_file() -> None:
    documents = [msgspec.to_builtins(layer) for layer in layers()]
    assert network_digest.of_documents(documents) == DIGEST
