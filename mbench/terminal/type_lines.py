"""What narrower types give, in a line or two, and what quantisation costs in quality. Renderables only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from mbench.analysis import labels, type_pairs, type_waterfall, type_words
from mbench.analysis.type_pairs import TypePair
from mbench.core import units
from mbench.core.records import Record, Result
from mbench.terminal.table import text
from mbench.terminal.totals import FEW


def of_record(record: Record) -> Iterator[Text]:
    """Yield what the narrower types of a record give, and what that costs: of few networks each, of many the range."""
    found = type_pairs.of_record(record)
    if summed := type_words.sums(record):
        yield text(f"{summed}.")
    if len(record.results) <= FEW:
        yield from (_gain(pair, record) for pair in found)
        yield from (_quality(result) for result in record.results if result.quantized is not None)
        return
    said = type_words.several([(pair, labels.untyped(pair.narrow.variant)) for pair in found])
    if said is not None:
        yield text(f"{said}.")
    yield from _range([result for result in record.results if result.quantized is not None])


def _gain(pair: TypePair, record: Record) -> Text:
    lost = type_words.loss(pair, type_waterfall.of_pair(pair, record), record)
    return text(f"{pair.narrow.variant.dtype}: {type_words.gain(pair)}{f'; {lost}' if lost else ''}.")


def _quality(result: Result) -> Text:
    assert result.quantized is not None
    return text(f"Quality: {type_words.quality(result.quantized)}.")


def _range(results: Sequence[Result]) -> Iterator[Text]:
    known = [result.quantized for result in results if result.quantized is not None]
    signals = [each.sqnr_db for found in known for each in found.outputs[:1]]
    if not any(value is not None for value in signals):
        return
    left = units.ranged((float(len(found.left_float)) for found in known), "{:.0f}".format)
    yield text(
        f"Quality: outputs {units.ranged(signals, type_words.decibels)} signal to noise; {left} operations left float."
    )
