from __future__ import annotations

import dataclasses
import math
import random
import zlib

import pytest

from mbench.fitting import candidates
from mbench.fitting.layer_model import SeenLayer
from mbench.fitting.layer_shapes import LayerShape
from mbench.fitting.network_model import NetworkModel, SeenNetwork
from mbench.hardware import targets
from mbench.networks import variants

TARGET = targets.load("x86_64_v3")
NAMES = variants.expand(["mobilenet_v2_{0.35,0.5,0.75,1.0}_{96,128,160,192,224}"])


def cost(shape: LayerShape) -> float:
    """A machine of our own: rates by kind, a start, and a share that each shape has of its own."""
    rate = {"depthwise_conv2d float32": 5e9}.get(shape.kind, 4e10)
    own = 1 + 0.03 * math.sin(zlib.crc32(repr(shape.key).encode()))
    return (shape.macs / rate + shape.moved / 2e10 + 1e-6) * own


def network(name: str, noise: float = 0.0, seed: int = 0) -> SeenNetwork:
    drawn = random.Random(f"{name} {seed}")
    [described] = candidates.described([variants.parse(name)], TARGET)
    layers = tuple(
        SeenLayer(shape=shape, cost=cost(shape) * math.exp(drawn.gauss(0, noise))) for shape in described.shapes
    )
    whole = 1.02 * sum(layer.cost for layer in layers) * math.exp(drawn.gauss(0, noise))
    return SeenNetwork(name=name, group=described.group, layers=layers, whole=whole)


def predicted_errors(seen: list[str], noise: float) -> tuple[list[float], int]:
    model = NetworkModel([network(name, noise) for name in seen], noise=max(noise, 0.002))
    errors, held = [], 0
    for name in NAMES:
        if name not in seen:
            truth = network(name)
            found = model.predict(truth.group, [layer.shape for layer in truth.layers])
            errors.append(abs(found.value / truth.whole - 1))
            held += found.low <= truth.whole <= found.high
    return sorted(errors), held


def test_networks_that_were_left_out_are_predicted_within_a_few_percent() -> None:
    errors, held = predicted_errors(list(NAMES[::4]), noise=0.01)
    assert errors[len(errors) // 2] < 0.03
    assert errors[-1] < 0.15
    assert held >= 0.8 * len(errors)


def test_every_network_that_was_seen_is_predicted_from_the_others() -> None:
    model = NetworkModel([network(name, 0.01) for name in NAMES[::3]], noise=0.01)
    assert [each.name for each in model.mistakes] == list(NAMES[::3])
    assert max(abs(each.error) for each in model.mistakes) < 0.3


def test_intervals_widen_where_predictions_turn_out_wrong() -> None:
    seen = [network(name, 0.01) for name in NAMES[::3]]
    drawn = random.Random(1)
    wild = [
        dataclasses.replace(each, whole=each.whole * math.exp(drawn.gauss(0, 0.3))) for each in seen
    ]  # fmt: skip
    shapes = [layer.shape for layer in network(NAMES[1]).layers]
    calm, torn = (NetworkModel(each, noise=0.01).predict(seen[0].group, shapes) for each in (seen, wild))
    assert torn.high / torn.low > 1.5 * calm.high / calm.low


def test_a_kind_of_layer_that_was_never_seen_makes_the_interval_wide() -> None:
    model = NetworkModel([network(name, 0.01) for name in NAMES[::3]], noise=0.01)
    [stranger] = candidates.described([variants.parse("mobilenet_v3_small")], TARGET)
    own = network(NAMES[1])
    known = model.predict(own.group, [layer.shape for layer in own.layers])
    unknown = model.predict(stranger.group, stranger.shapes)
    assert unknown.high / unknown.low > 1.5 * known.high / known.low


def test_without_any_network_there_is_no_model() -> None:
    with pytest.raises(ValueError, match="a model needs a network at least"):
        NetworkModel([], noise=0.01)


def test_networks_of_another_group_that_are_hard_to_predict_widen_no_intervals_of_this_one() -> None:
    seen = [network(name, 0.01) for name in NAMES[::4]]
    drawn = random.Random(2)
    wild = [dataclasses.replace(each, group="own", whole=each.whole * math.exp(drawn.gauss(0, 1.0))) for each in seen]
    shapes = [layer.shape for layer in network(NAMES[1]).layers]
    alone, beside = (NetworkModel(each, noise=0.01).predict(seen[0].group, shapes) for each in (seen, [*seen, *wild]))
    assert beside.high / beside.low < 1.5 * alone.high / alone.low
    other = NetworkModel([*seen, *wild], noise=0.01).predict("own", shapes)
    assert other.high / other.low > 5 * beside.high / beside.low
