from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.analysis import live_memory


def test_what_is_alive_is_input_and_output() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    found = {item.layer.name: item for item in live_memory.of_result(result)}
    first = found["conv0"]
    assert first.input_bytes == 4 * 3 * 224 * 224
    assert first.output_bytes == 4 * 32 * 112 * 112
    assert found["fc"].input_bytes == 4 * 1024


def test_the_peak_is_the_first_pointwise_layer() -> None:
    """32 and 64 channels of 112x112 in float32: 4.8 MB, more than any other layer of MobileNetV1 has."""
    [result] = factory.record(factory.PAIR[:1]).results
    top = live_memory.peak(result)
    assert top is not None
    assert (top.layer.name, top.total_bytes) == ("block1.pw", 4 * (32 + 64) * 112 * 112)


def test_workspace_counts() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    layers = (msgspec.structs.replace(result.layers[0], workspace_bytes=10**8), *result.layers[1:])
    top = live_memory.peak(msgspec.structs.replace(result, layers=layers))
    assert top is not None
    assert top.layer.name == "conv0"


def test_layers_that_are_no_chain_say_nothing() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    odd = msgspec.structs.replace(result, layers=(result.layers[0], *result.layers[2:4], *result.layers[5:]))
    assert live_memory.of_result(odd) == ()
    assert live_memory.peak(odd) is None
