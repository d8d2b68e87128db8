"""What disturbed the results of a record, in few words: causes that differ only in their numbers are one.

A result is disturbed where no quiet session counts: see `mbench.analysis.headline`. What follows from its latency then
is no figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mbench.analysis import headline
from mbench.core import units
from mbench.core.records import Result

WORD = "disturbed"
"""What stands where a figure would."""
MARK = "~"
"""Before a figure that is doubtful since something disturbed it; such a figure has two digits."""
STATIC = "static"
"""The component of modelled energy that grows with time, as `mbench.analysis.energy` calls it, which needs numpy."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*[A-Za-z_])")
"""A number that stands alone: not one in a layer's or a network's name."""


def seconds(value: float | None, doubtful: object) -> str:
    """Return a time: `5.04 ms`; where it is doubtful, as of a disturbed network, `~5.0 ms`."""
    return units.about(value) if doubtful else units.seconds(value)


def of_results(results: Iterable[Result]) -> tuple[tuple[str, tuple[Result, ...]], ...]:
    """Return each cause with the results that it disturbed: `other processes kept 1.57 to 1.61 processors busy`."""
    said: dict[str, list[str]] = {}
    whose: dict[str, dict[str, Result]] = {}
    for result in results:
        for why in headline.disturbed(result):
            form = cause(why)
            said.setdefault(form, []).append(why)
            whose.setdefault(form, {})[result.variant.name] = result
    return tuple((_folded(texts), tuple(whose[form].values())) for form, texts in said.items())


def cause(text: str) -> str:
    """Return what a text says without its numbers: equal for two that have one cause."""
    return _NUMBER.sub("#", text)


def folded(causes: Iterable[str]) -> tuple[str, ...]:
    """Return causes in few words: those that differ only in their numbers are one, with the range of each number."""
    said: dict[str, list[str]] = {}
    for why in causes:
        said.setdefault(cause(why), []).append(why)
    return tuple(_folded(texts) for texts in said.values())


def of_result(result: Result) -> str | None:
    """Return what disturbed a result, in a line; None where nothing was seen."""
    return "; ".join(why for why, _ in of_results([result])) or None


def of_energy(result: Result) -> bool:
    """Return whether a result's modelled energy is no figure: static power over a disturbed latency is in it."""
    return STATIC in result.energy.components_j and bool(headline.disturbed(result))


def _folded(texts: Sequence[str]) -> str:
    """Return texts that differ only in their numbers as one, with the range of each number."""
    places = iter(zip(*(_NUMBER.findall(text) for text in texts), strict=True))

    def between(_: re.Match[str]) -> str:
        numbers = sorted(next(places), key=float)
        return numbers[0] if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"

    return _NUMBER.sub(between, texts[0])
