from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized

from mbench.analysis import layer_types
from mbench.core.quantized import FloatLayer

replace = msgspec.structs.replace
LEFT = (FloatLayer(name="b", op="softmax", reason="it has no form"),)


@pytest.mark.parametrize(
    ("names", "dtype", "expected"),
    [
        (("a",), "int8", "int8"),
        (("b",), "int8", "float32"),
        (("a", "b"), "int8", "float32"),
        (("b",), "float32", "float32"),
    ],
)
def test_a_layer_that_stayed_float_has_the_type_of_floats(names: tuple[str, ...], dtype: str, expected: str) -> None:
    assert layer_types.of_layer(dtype, names, LEFT) == expected


def test_a_fused_layer_stays_float_with_what_it_contains() -> None:
    narrow = quantized.both(left_float=("block2.pw",)).results[1]
    assert list(layer_types.stayed_float(narrow)) == ["block2.pw"]
    layers = tuple(
        replace(layer, name="block2", contains=("block2.dw", "block2.pw")) if layer.name == "block2.pw" else layer
        for layer in narrow.layers
    )
    assert list(layer_types.stayed_float(replace(narrow, layers=layers))) == ["block2"]
    assert layer_types.stayed_float(quantized.both().results[0]) == {}


@pytest.mark.parametrize(
    ("operations", "macs", "expected"),
    [
        (("quantize",), 0, True),
        (("dequantize",), 0, True),
        (("cast",), 0, True),
        (("dequantize", "softmax"), 0, False),
        (("conv2d", "requantize"), 9, False),
        ((), 0, False),
    ],
)
def test_what_only_rounds(operations: tuple[str, ...], macs: int, expected: bool) -> None:
    layer = replace(quantized.both().results[0].layers[0], operations=operations, macs=macs)
    assert layer_types.only_rounds(layer) is expected


def test_a_layer_has_the_signal_of_the_last_value_that_it_makes() -> None:
    narrow = quantized.both().results[1]
    assert narrow.quantized is not None
    [first, second, *others] = narrow.quantized.values
    again = replace(first, layer=second.layer, sqnr_db=7.0)
    unknown = replace(first, layer=None), replace(first, layer="gone"), replace(first, sqnr_db=None)
    found = replace(narrow, quantized=replace(narrow.quantized, values=(first, second, again, *unknown, *others)))
    signals = layer_types.signals(found)
    assert second.layer is not None
    assert (signals["conv0"], signals[second.layer]) == (40.0, 7.0)
    assert layer_types.signals(quantized.both().results[0]) == {}
