"""What a network in a narrower type gains, in words: for the page's first screen and for the terminal. No markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mbench.analysis import disturbances, headline, labels, pairs, type_waterfall, waterfall
from mbench.analysis.layer_causes import Cause
from mbench.analysis.type_pairs import TypePair
from mbench.analysis.waterfall import Step, Waterfall
from mbench.core import dtypes, units
from mbench.core.quantized import QuantizationOutcome, SignalToNoise
from mbench.core.records import Record, Result
from mbench.hardware import byte_instructions, half_sums

_MOST = 0.5
"""Of all that is lost, from which share on a cause is most of it."""
NO_DOT_PRODUCT = "no dot product of bytes on this processor"
_NAMED = 2
"""Layers that a cause names."""
_SMALL = 0.005
"""Of the expected gain: what is less is no loss to speak of."""


_LOST_TO: dict[Cause, str] = {
    "kernel": "kernels below the roofline",
    "bandwidth": "memory bandwidth",
    "vectors": "narrow channels, which leave places of vectors empty",
    "no_macs": "layers without multiply-adds",
    "layout": "layers that move data",
    "runtime": "the runtime between the layers",
    "rest": "time that no reading accounts for",
    "extra_macs": "multiply-adds beyond the needed ones",
    "beside": "instructions beside the multiply-adds",
}
"""What the rest of an expected gain is lost to; other causes as `labels` call them."""


def costs(pair: TypePair) -> str:
    """Return what the network takes in both types: `1.94 ms in float32, 0.61 ms in int8`."""
    if pair.by_instructions:
        wide, narrow = (units.count(pairs.instructions(each)) for each in (pair.wide, pair.narrow))
        return f"{wide} instructions in {pair.wide.variant.dtype}, {narrow} in {pair.narrow.variant.dtype}"
    found = [f"{_time(each)} in {each.variant.dtype}" for each in (pair.wide, pair.narrow)]
    return ", ".join(found)


def _time(result: Result) -> str:
    seconds = pairs.latency_s(result)
    return disturbances.seconds(seconds, headline.disturbed(result)) if seconds else "not timed"


def gain(pair: TypePair) -> str:
    """Return what the narrow type gives: `3.2 times quicker, where 4 are expected of int8`."""
    dtype, expected = pair.narrow.variant.dtype, f"{pair.expected:g}"
    came = pair.fewer if pair.by_instructions else pair.achieved
    if came is None:
        return f"{expected} times quicker is expected of {dtype}"
    if pair.disturbed and not pair.by_instructions:
        return f"its gain is {disturbances.WORD}, where {expected} times are expected of {dtype}"
    better, worse = ("fewer instructions", "more instructions") if pair.by_instructions else ("quicker", "slower")
    if came < 1:
        return f"{units.times(1 / came)} {worse}, where {expected} times {better} is expected of {dtype}"
    if came >= pair.expected:
        return f"{units.times(came)} {better}, at least the {expected} expected of {dtype}"
    return f"{units.times(came)} {better}, where {expected} are expected of {dtype}"


def loss(pair: TypePair, found: Waterfall | str, record: Record) -> str:
    """Return where most of the rest of what is expected is lost, or why that is not known; nothing if none is lost."""
    if isinstance(found, str):
        known = found.startswith(disturbances.WORD) or found in (waterfall.UNTIMED, waterfall.UNCOUNTED)
        return "" if known else f"where the rest is lost is not known: {found}"
    lost = [step for step in found.steps if step.change < 0]
    if not lost or found.achieved >= found.predicted * (1 - _SMALL):
        return ""
    first = lost[0]
    much = "most" if first.change <= _MOST * sum(step.change for step in lost) else "the largest part"
    return f"{much} of the rest is lost to {cause(first, pair, record)}"


def cause(step: Step, pair: TypePair, record: Record) -> str:
    """Return a step's cause, with what explains it: layers, or the instructions that the processor lacks."""
    words = _LOST_TO.get(step.cause, labels.CAUSES[step.cause])
    if step.cause == "instructions":
        return f"{words} ({_instructions(pair, record)})"
    named = ", ".join(share.layer for share in step.shares[:_NAMED])
    more = f" and {len(step.shares) - _NAMED} more" if len(step.shares) > _NAMED else ""
    return f"{words} ({units.signed_ratio(step.change)}{f': {named}{more}' if named else ''})"


def _instructions(pair: TypePair, record: Record) -> str:
    dtype, ratio = pair.narrow.variant.dtype, type_waterfall.peak_ratio(record, pair.narrow.variant.dtype)
    lacks = NO_DOT_PRODUCT if without_dot_product(record, dtype) else ""
    peak = "" if pair.by_instructions or ratio is None else f"its {dtype} peak is {units.times(ratio)} that of float32"
    return "; ".join(filter(None, (lacks, peak))) or "they multiply less than a whole vector of bytes"


def without_dot_product(record: Record, dtype: str) -> bool:
    """Return whether a type is of bytes and the processor has no instruction that multiplies and adds them up."""
    found = byte_instructions.of(record.target.family, record.target.processor)
    return dtype == dtypes.INT8 and found is not None and not found.is_dot_product


def sums(record: Record) -> str | None:
    """Return what a record's networks of float16 are summed in, where that is not float32 alone."""
    terms = half_sums.of_target(record.target)
    if not terms or all(result.variant.dtype != half_sums.TYPE for result in record.results):
        return None
    return f"float16: up to {terms} multiply-adds are summed in float16; of longer sums, float32 adds up such parts"


def several(found: Sequence[tuple[TypePair, str]]) -> str | None:
    """Return what the types give to several networks, each with its name; None where nothing is known of any."""
    known = [
        (came, name)
        for pair, name in found
        if (came := pair.fewer if pair.by_instructions else pair.achieved) is not None
        and (pair.by_instructions or not pair.disturbed)
    ]
    if not known:
        return None
    types = ", ".join(dict.fromkeys(pair.narrow.variant.dtype for pair, _ in found))
    expected = units.ranged((pair.expected for pair, _ in found), "{:g}".format)
    (least, slowest), (most, quickest) = min(known), max(known)
    less = "instructions fewer" if all(pair.by_instructions for pair, _ in found) else "quicker"
    return (
        f"{types}: from {units.times(least)} ({slowest}) to {units.times(most)} {less} ({quickest}) than float32, "
        f"of the {expected} expected"
    )


def quality(found: QuantizationOutcome) -> str:
    """Return what quantisation cost in quality: of the output, on how many images, and what stayed float."""
    said = []
    signals = [each.sqnr_db for each in found.outputs if each.sqnr_db is not None]
    if signals:
        said.append(f"output {units.ranged(signals, decibels)} signal to noise")
    if found.agreement is not None:
        images = f"{found.images} drawn images, no accuracy" if found.drawn else f"{found.images} images"
        said.append(f"{units.percent(found.agreement, 0)} agree with float32 ({images})")
    if found.evaluation is not None:
        given = found.evaluation
        after, before = (units.percent(right / given.images) for right in (given.int8_correct, given.float32_correct))
        said.append(f"top-1 {after}, {before} in float32 ({given.images} images)")
    left = len(found.left_float)
    said.append(f"{left or 'no'} operation{'' if left == 1 else 's'} left float")
    return "; ".join(said)


def decibels(value: float | None) -> str:
    """Return a signal to noise: `19.5 dB`."""
    return units.NOT_AVAILABLE if value is None else f"{value:.1f} dB"


def lowest(values: Iterable[SignalToNoise]) -> SignalToNoise | None:
    """Return the value with most noise; None where none is known."""
    known = [value for value in values if value.sqnr_db is not None]
    return min(known, key=lambda value: value.sqnr_db or 0.0, default=None)
