"""Words for the kinds of things in a record, names of networks and places, as the page shows them."""

from __future__ import annotations

from mbench.analysis import above_peak, instruction_counts, pairs, replacements
from mbench.analysis.layer_causes import Cause
from mbench.analysis.waterfall import Part
from mbench.core import dtypes, units
from mbench.core.records import Record, Result, Variant
from mbench.hardware import platforms
from mbench.networks import architectures, variants

OPS = {
    "conv2d": "standard convolution",
    "depthwise_conv2d": "depthwise",
    "pointwise_conv2d": "pointwise (1x1)",
    "grouped_conv2d": "grouped convolution",
    "transposed_conv2d": "transposed convolution",
    "inverted_residual": "inverted residual, fused",
    "depthwise_separable": "depthwise + pointwise, fused",
    "expand_depthwise": "expand + depthwise, fused",
    "dense": "fully connected",
    "matmul": "matrix product",
    "softmax": "softmax",
    "layer_norm": "layer norm",
    "norm": "norm by channel",
    "pool": "pooling",
    "resize": "resizing",
    "reduce": "reduction",
    "elementwise": "element-wise",
    "transpose": "transpose",
    "concat": "concatenation",
    "slice": "slice",
    "pad": "padding",
    "gather": "gather",
    "expand": "repetition",
    "other": "other",
}
PARTS: dict[Part, str] = {
    "depthwise": "depthwise layers",
    "pointwise": "pointwise layers",
    "fused": "fused blocks",
    "shared": "layers that both have",
    "standard": "standard convolutions",
    "whole": "whole network",
    "types": "layers of both types",
}
_OF_NO_PART = ("whole", "types")
CAUSES: dict[Cause, str] = {
    "arithmetic": "multiply-adds",
    "bandwidth": "fed by memory",
    "threads": "starting threads",
    "vectors": "vectors not filled",
    "kernel": "below the roofline",
    "layout": "layout",
    "no_macs": "no multiply-adds",
    "extra_macs": "more multiply-adds",
    "beside": "other instructions",
    "runtime": "between the layers",
    "rest": "unattributed",
    "instructions": "instructions of the processor",
    "stayed_float": "layers that stayed float",
    "rounding": "quantise and dequantise passes",
}
OPPOSITE: dict[Cause, str] = {
    "kernel": "exceeds the measured peak",
    "extra_macs": "fewer multiply-adds",
    "beside": "fewer other instructions",
}
"""What a cause is called where its cost is negative, as with Winograd."""
_OPPOSITE_OF_TYPES: dict[Cause, str] = {
    "kernel": "closer to the roofline than float32",
    "bandwidth": "less fed by memory than float32",
    "vectors": "fuller vectors than in float32",
    "instructions": "instructions that do more than expected",
    "extra_macs": "fewer multiply-adds than float32",
    "beside": "fewer other instructions than float32",
}
"""What a cause is called of which a network has less than the same network in float32, over the expected gain."""
REASONS: dict[Cause, str] = {
    "bandwidth": "bandwidth-bound: what the memory level that feeds a layer adds to its arithmetic under the roofline",
    "threads": "thread overhead: starting and joining the threads for each parallel loop, at what an empty one took",
    "vectors": "low vector use: lanes that its channels leave empty in the last vector, at peak",
    "kernel": "what a layer takes beyond its roofline: threads that wait for one another, instructions beside the "
    "multiply-adds; below zero where it does fewer multiply-adds than its shape implies (Winograd, Strassen)",
    "layout": "layers that only move data from one layout to another",
    "no_macs": "a layer without multiply-adds, such as pooling",
    "extra_macs": "multiply-adds executed beyond those needed in whole vectors; below zero where a kernel does fewer "
    "than its shape implies (Winograd, Strassen)",
    "beside": "loads, stores, addresses and loops around the multiply-adds",
    "runtime": "the runtime between the kernels, from the time balance",
    "rest": "end to end minus layers minus runtime: the unattributed part of the time balance",
    "instructions": "the multiply-adds at the peak of each type: what the measured peak lacks of the expected gain, or "
    "how many instructions the processor needs beyond one for each vector of bytes",
    "stayed_float": "layers that are computed in floating point in both networks: they gain nothing",
    "rounding": "passes that only bring numbers from one type to the other",
}

_INSTRUCTIONS = {
    "avx512f": "AVX\u2011512",
    "avx2": "AVX2",
    "avx": "AVX",
    "sse4_2": "SSE4.2",
    "sve": "SVE",
    "asimd": "NEON",
}

ABOVE_PEAK = "exceeds the measured peak, which was too low when it was measured: measure it again with --no-cache"
"""Why a share of a measured peak is no figure."""


def op(kind: str) -> str:
    """Return the words for a kind of layer; one that is not known, as it is called."""
    return OPS.get(kind, kind)


def step(part: Part, cause: Cause, excess: float) -> str:
    """Return the name of a step from the predicted speed-up to the one achieved: `depthwise layers: fed by memory`."""
    costs = -excess if part == "standard" else excess
    opposite = _OPPOSITE_OF_TYPES if part == "types" else OPPOSITE
    words = opposite.get(cause, CAUSES[cause]) if costs < 0 else CAUSES[cause]
    return words if part in _OF_NO_PART else f"{PARTS[part]}: {words}"


def family(name: str) -> str:
    """Return a family's name for people: `MobileNetV2`; one that is not known, as it is."""
    return architectures.title(name)


def variant(item: Variant) -> str:
    """Return a variant's name for people: `MobileNetV1 1.0 224, standard convolutions`; its type and its name's batch.

    An imported network is called as its file.
    """
    return _named(item, dtype=item.dtype)


def untyped(item: Variant) -> str:
    """Return the same without the type."""
    return _named(item, dtype=dtypes.DEFAULT)


def _named(item: Variant, *, dtype: str) -> str:
    words = (item.family,) if item.imported else (family(item.family), *item.parameters.values())
    standard = ", standard convolutions" if item.convolution == "standard" else ""
    typed = "" if dtype == dtypes.DEFAULT else f", {dtype}"
    batch = f", batch {item.batch}" if variants.batch_suffix(item) else ""
    return f"{' '.join(map(str, words))}{standard}{typed}{batch}"


def of_roof(share: float | None, *, above: bool) -> str:
    """Return a share of a measured peak: `94 %`; of a layer that exceeds it for no reason that is known, `>100 %`."""
    return ">100 %" if above and share is not None and share > above_peak.LIMIT else units.percent(share, 0)


def replaced(standard: Result) -> str | None:
    """Return what became of a network's layers in its standard twin, in a sentence; None where that is not recorded.

    `17 depthwise and 17 pointwise layers became 17 standard convolutions: 301 → 1,225 million multiply-adds`
    """
    before = replacements.macs_before(standard)
    if before is None:
        return None
    depthwise = len(standard.replaced)
    pointwise = sum(len(each.layers) - 1 for each in standard.replaced)
    kinds = f"{depthwise} depthwise" + (f" and {pointwise} pointwise" if pointwise else "")
    layers = "layer" if depthwise + pointwise == 1 else "layers"
    became = "a standard convolution" if depthwise == 1 else f"{depthwise} standard convolutions"
    return f"{kinds} {layers} became {became}: {units.count_change(before, pairs.macs(standard))} multiply-adds"


def where(record: Record) -> str:
    """Return where the record's networks ran, for people: `host (x86-64, AVX-512), 2 threads`, or `…, emulated`.

    A GPU is named without the host's threads, which compute nothing of the network.
    """
    required = record.target.processor.requires
    instructions = next((words for feature, words in _INSTRUCTIONS.items() if feature in required), None)
    kind = ", ".join(filter(None, (platforms.of(record.target).words, instructions)))
    how = "emulated" if instruction_counts.emulated(record) else threads(record)
    return ", ".join(filter(None, (f"{record.target.name} ({kind})", how)))


def threads(record: Record) -> str | None:
    """Return how many threads compute a network, `2 threads`; None on a GPU."""
    if not platforms.of(record.target).on_host:
        return None
    number = 1 if instruction_counts.emulated(record) else record.settings.threads
    return f"{number} thread{'s' if number > 1 else ''}"


def given(record: Record) -> str:
    """Return the labels of a run, such as `branch main, change 42`; nothing where it has none."""
    return ", ".join(f"{key} {value}" for key, value in record.labels.items())
