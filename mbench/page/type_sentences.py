"""Sentences of the page about networks in two types: what int8 gives, and why not more. Text out of views; no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mbench.analysis import type_words
from mbench.core import units

if TYPE_CHECKING:
    from mbench.core.records import Record
    from mbench.page.view_types import TypePairView


def of_pair(view: TypePairView, record: Record, where: str) -> str:
    """Return what a narrower type gives to a network, and where the rest of what is expected is lost."""
    lost = type_words.loss(view.pair, view.waterfall, record)
    said = f"{view.label} on {where}: {type_words.costs(view.pair)}: {type_words.gain(view.pair)}"
    return units.tied(f"{said}{f'; {lost}' if lost else ''}.")


def several(views: Sequence[TypePairView]) -> Iterator[str]:
    """Yield what narrower types give to several networks."""
    said = type_words.several([(view.pair, view.label) for view in views])
    if said is not None:
        yield f"{said}."


def sums(record: Record) -> Iterator[str]:
    """Yield what networks of float16 are summed in, where that is not float32 alone."""
    said = type_words.sums(record)
    if said is not None:
        yield f"{said}."
