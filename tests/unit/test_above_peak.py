"""Which layers may exceed the measured peak, and which show that it is wrong."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
import torch

from mbench.analysis import above_peak
from mbench.core.records import Layer, Result

RESULT = factory.record(factory.PAIR[:1]).results[0]


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride"), [(7, 3, 1), (14, 3, 2), (1, 3, 1), (7, 5, 1), (7, 1, 1), (6, 2, 2)]
)
def test_the_share_of_taps_inside_is_what_a_convolution_of_ones_sums(inputs: int, kernel: int, stride: int) -> None:
    ones, padding = torch.ones(1, 1, inputs, inputs), (kernel - 1) // 2
    summed = torch.nn.functional.conv2d(ones, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
    layer = msgspec.structs.replace(
        next(layer for layer in RESULT.layers if layer.kernel_size),
        input_shape=(1, 8, inputs, inputs), output_shape=(1, 8, *summed.shape[2:]), kernel_size=(kernel, kernel),
        stride=(stride, stride),
    )  # fmt: skip
    assert above_peak.taps_inside(layer) == pytest.approx(float(summed.sum()) / (summed.numel() * kernel**2))


def at(share: float, name: str = "block2.pw") -> Result:
    """Return a result with one layer at a share of its roofline, and the others at a half."""

    def placed(layer: Layer) -> Layer:
        of_bound = share if layer.name == name else 0.5
        return msgspec.structs.replace(
            layer, roofline=layer.roofline and msgspec.structs.replace(layer.roofline, fraction_of_bound=of_bound)
        )

    return msgspec.structs.replace(RESULT, layers=tuple(map(placed, RESULT.layers)))


def with_rules(result: Result, rules: dict[str, str], schedules: dict[str, str]) -> Result:
    artifact = msgspec.structs.replace(result.artifact, rules=rules, schedules=schedules)
    return msgspec.structs.replace(result, artifact=artifact)


def test_a_layer_above_its_peak_without_a_reason() -> None:
    assert above_peak.unexplained(at(95.43)) == {"block2.pw"}
    assert above_peak.unexplained(at(1.09)) == frozenset()


def test_padding_explains_what_it_makes_up_for() -> None:
    [layer] = [layer for layer in RESULT.layers if layer.name == "block13.dw"]
    most = above_peak.LIMIT / above_peak.taps_inside(layer)
    assert most > 1.3  # of 7x7, with a border around it
    assert above_peak.unexplained(at(0.99 * most, "block13.dw")) == frozenset()
    assert above_peak.unexplained(at(1.01 * most, "block13.dw")) == {"block13.dw"}


def test_winograd_explains_it_by_the_rule_of_the_kernel() -> None:
    [layer] = [layer for layer in RESULT.layers if layer.name == "block2.pw"]
    assert above_peak.unexplained(with_rules(at(2.0), {layer.kernel: "cpu.winograd"}, {})) == frozenset()
    assert above_peak.unexplained(with_rules(at(2.0), {layer.kernel: "cpu.matmul"}, {})) == {"block2.pw"}
    older = with_rules(at(2.0), {}, {layer.kernel: "cpu.winograd 8x1x16 (tuned)"})
    assert above_peak.unexplained(older) == frozenset()
