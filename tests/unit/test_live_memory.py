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


def of_v2(name: str = "mobilenet_v2_1.0_224") -> dict[str, live_memory.Live]:
    [result] = factory.record((name,)).results
    return {item.layer.name: item for item in live_memory.of_result(result)}


def test_a_residual_is_alive_across_its_block() -> None:
    """MobileNetV2's block 3 reads 24x56x56 first and adds it last; block 2 has another stride and no residual."""
    found, residual = of_v2(), 4 * 24 * 56**2
    kept = {name: found[f"block3.{name}"].kept_bytes for name in ("expand", "dw", "project")}
    assert kept == {"expand": 0, "dw": residual, "project": 0}
    assert found["block3.expand"].input_bytes == residual
    assert found["block3.project"].input_bytes == residual + 4 * 144 * 56**2
    assert found["block3.dw"].total_bytes == residual + 2 * 4 * 144 * 56**2
    assert found["block2.dw"].kept_bytes == 0


def test_the_peak_of_mobilenet_v2_is_the_first_depthwise_layer_of_stride_2() -> None:
    """96 channels of 112x112 and of 56x56: the 1.5 million activations that Sandler et al. want to avoid (table 3)."""
    [result] = factory.record(("mobilenet_v2_1.0_224",)).results
    top = live_memory.peak(result)
    assert top is not None
    assert (top.layer.name, top.total_bytes) == ("block2.dw", 4 * 96 * (112**2 + 56**2))


def test_what_two_layers_read_is_kept_between_them() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    [*layers, last] = result.layers
    fc = msgspec.structs.replace(last, inputs=("pool", "block1.dw"))
    found = live_memory.of_result(msgspec.structs.replace(result, layers=(*layers, fc)))
    kept = {item.layer.name: item.kept_bytes for item in found}
    shortcut = found[1].output_bytes
    assert found[1].layer.name == "block1.dw"
    assert set(kept.values()) == {0, shortcut}
    assert [name for name, value in kept.items() if not value] == ["conv0", "block1.dw", "block1.pw", "fc"]


def test_layers_that_do_not_say_what_they_read_say_nothing() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    odd = msgspec.structs.replace(result, layers=(result.layers[0], *result.layers[2:4], *result.layers[5:]))
    assert live_memory.of_result(odd) == ()
    assert live_memory.peak(odd) is None
    silent = tuple(msgspec.structs.replace(layer, inputs=()) for layer in result.layers)
    assert live_memory.of_result(msgspec.structs.replace(result, layers=silent)) == ()
