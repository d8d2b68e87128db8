"""Where the time of a network goes, by layer and by kind."""

from __future__ import annotations

import statistics

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import spending

RECORD = factory.record(factory.PAIR[:1])


def test_shares_are_those_of_the_medians_the_largest_first() -> None:
    [result] = RECORD.results
    medians = {layer.name: statistics.median(layer.latency_s or ()) for layer in result.layers}
    parts = spending.of_layers(result, instructions=False)
    whole = sum(medians.values())
    assert {part.layer.name: part.share for part in parts} == pytest.approx(
        {name: seconds / whole for name, seconds in medians.items()}
    )
    assert parts[0].layer.name == max(medians, key=medians.__getitem__)
    assert all(result.layers[part.place] is part.layer for part in parts)


def test_kinds_of_layers_add_up_to_all() -> None:
    kinds = spending.by_kind(spending.of_layers(RECORD.results[0], instructions=False))
    assert sum(kind.share for kind in kinds) == pytest.approx(1)
    assert sum(kind.layers for kind in kinds) == len(RECORD.results[0].layers)
    assert kinds[0].op == "pointwise_conv2d"


def test_without_every_layer_nothing_is_known() -> None:
    [result] = RECORD.results
    first = msgspec.structs.replace(result.layers[0], latency_s=None)
    assert (
        spending.of_layers(msgspec.structs.replace(result, layers=(first, *result.layers[1:])), instructions=False)
        == ()
    )
    assert spending.of_layers(result, instructions=True) == ()


@pytest.mark.parametrize(
    ("value", "doubtful", "shown"),
    [
        (0.4632, False, "46.3 %"),
        (0.4632, True, "~46 %"),
        (0.0032, True, "~0.3 %"),
        (0.0, True, "~0 %"),
        (None, True, "\u2013"),
    ],
)
def test_a_doubtful_share_looks_so(value: float | None, doubtful: bool, shown: str) -> None:
    assert spending.share(value, doubtful=doubtful, decimals=1) == shown
