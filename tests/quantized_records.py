"""Records of networks in float32 and int8, made without compiling: shapes are true, times are set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import record_factory as factory

from mbench.core.quantized import Evaluation, FloatLayer, QuantizationOutcome, QuantizationSettings, SignalToNoise
from mbench.core.records import Layer, Record, Result, Roofline
from mbench.networks import variants

replace = msgspec.structs.replace
NETWORK = "mobilenet_v1_0.25_128"
PEAK, BYTE_PEAK = factory.PEAK_FLOPS, 3.5 * factory.PEAK_FLOPS
PASS = "input.quantize"
"""The layer that rounds the image."""
FLOAT_REASON = "it is kept float, as was asked"


def both(name: str = NETWORK, *, latency: bool = True, left_float: Iterable[str] = (), quicker: float = 3.0) -> Record:
    """Return a record of a network in both types: int8 takes 1 / `quicker` of each layer's time, and rounds the image.

    Args:
        name: of the network.
        latency: whether it was timed.
        left_float: layers that are computed in float32.
        quicker: see above; float layers take as long as before.
    """
    record = factory.record((name,), latency=latency)
    calibration = record.device.calibration
    if calibration is not None:
        rates = {**calibration.flops_per_s, "int8": BYTE_PEAK}
        calibration = replace(calibration, flops_per_s=rates)
    [floats] = record.results
    bytes_ = in_int8(floats, frozenset(left_float), quicker)
    names = (floats.variant.name, bytes_.variant.name)
    return replace(
        record,
        device=replace(record.device, calibration=calibration),
        settings=replace(record.settings, variants=names, dtype="float32,int8"),
        imported=(bytes_.variant,),
        results=(floats, bytes_),
    )


def in_int8(floats: Result, left_float: frozenset[str] = frozenset(), quicker: float = 3.0) -> Result:
    """Return the result of a network in int8, beside the one in float32."""
    first, *_ = floats.layers
    layers = tuple(_narrow(layer, layer.name in left_float, quicker) for layer in floats.layers)
    samples = first.latency_s and tuple(seconds / 10 for seconds in first.latency_s)
    rounding = replace(
        first, name=PASS, op="elementwise", role="other", operations=("quantize",), kernel="quantize", macs=0, params=0,
        weight_bytes=0, kernel_size=None, stride=None, groups=None, roofline=None, latency_s=samples, inputs=(),
    )  # fmt: skip
    whole = floats.end_to_end.latency_s and tuple(seconds / quicker for seconds in floats.end_to_end.latency_s)
    memory = floats.memory
    return replace(
        floats,
        variant=variants.of_type(floats.variant, "int8", QuantizationSettings()),
        layers=tuple(replace(layer, index=at) for at, layer in enumerate((rounding, *layers))),
        end_to_end=replace(floats.end_to_end, latency_s=whole, twin_latency_s=whole),
        time_balance=floats.time_balance and replace(
            floats.time_balance, overhead_s=floats.time_balance.overhead_s / quicker
        ),
        memory=replace(
            memory, weight_bytes=memory.weight_bytes // 4, activation_peak_bytes=memory.activation_peak_bytes // 4
        ),
        quantized=outcome(floats, left_float),
    )  # fmt: skip


def outcome(floats: Result, left_float: Iterable[str] = ()) -> QuantizationOutcome:
    """Return what quantisation made of a network: value number n has 40 - n dB, the output 19.5."""
    left = frozenset(left_float)
    values = tuple(
        SignalToNoise(name=f"{layer.name}.relu6", sqnr_db=40.0 - layer.index, layer=layer.name)
        for layer in floats.layers[:-1]
    )
    return QuantizationOutcome(
        left_float=tuple(
            FloatLayer(name=layer.name, op="conv2d", reason=FLOAT_REASON)
            for layer in floats.layers
            if layer.name in left
        ),
        images=4,
        values=values,
        outputs=(SignalToNoise(name=floats.layers[-1].name, sqnr_db=19.5, layer=floats.layers[-1].name),),
        agreement=0.75,
    )


def evaluated(record: Record) -> Record:
    """Return the record as if images and labels had been given: 100, of which 90 and 88 are right."""
    given = Evaluation(images=100, float32_correct=90, int8_correct=88, agreeing=95)
    return changed(record, lambda result: replace(
        result, quantized=result.quantized and replace(result.quantized, evaluation=given, drawn=False)
    ))  # fmt: skip


def changed(record: Record, change: Callable[[Result], Result]) -> Record:
    """Return the record with all results changed."""
    return replace(record, results=tuple(map(change, record.results)))


def _narrow(layer: Layer, stays: bool, quicker: float) -> Layer:
    if stays or layer.latency_s is None:
        return layer
    return timed(
        replace(layer, weight_bytes=layer.weight_bytes // 4, activation_bytes=layer.activation_bytes // 4),
        sorted(layer.latency_s)[len(layer.latency_s) // 2] / quicker, BYTE_PEAK,
    )  # fmt: skip


def timed(layer: Layer, seconds: float, peak: float) -> Layer:
    """Return a layer that takes so many seconds, bound by arithmetic at `peak`."""
    if not layer.macs:
        return replace(layer, latency_s=(seconds,) * 3, roofline=None)
    rate = 2 * layer.macs / seconds
    intensity = 2 * layer.macs / (layer.weight_bytes + layer.activation_bytes)
    roof = Roofline(
        flops_per_s=rate, arithmetic_intensity=intensity, bound="compute", fraction_of_peak=rate / peak,
        fraction_of_bound=rate / peak,
    )  # fmt: skip
    return replace(layer, latency_s=(seconds,) * 3, roofline=roof)
