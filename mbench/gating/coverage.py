"""What no way of comparing took of two runs: named as undecided, so that a verdict passes on all of it or on none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mbench.core.records import Layer, Result
from mbench.gating.comparison import Finding, Way
from mbench.gating.matching import Match, total

Both = tuple[str, Result, Result]
"""A network and its result in both runs."""
_SHOWN = 3
_MEANS: dict[Way, str] = {"counts": "counted", "paired": "measured now", "recorded": "timed"}


def lacking(
    both: Sequence[Both],
    matched: dict[str, tuple[Match, ...]],
    possible: Sequence[Way],
    needed: Sequence[Way],
    found: Sequence[Finding],
) -> Iterator[Finding]:
    """Yield a finding for each thing that both runs have and that was not compared by what was executed.

    Args:
        both: the networks that can be judged in both runs.
        matched: their layers.
        possible: the ways that were taken.
        needed: those of them that every network has to be judged by; of the others one will do.
        found: what was found in these ways.
    """
    running = [way for way in possible if way != "static"]
    for name, ours, theirs in both:
        judged = {each.way for each in found if each.variant == name and each.layer is None}
        reasons = list(_of_network(ours, theirs, running, [way for way in needed if way in possible], judged))
        for way in running:
            reasons += _of_layers(matched[name], way) if way in judged else []
        yield from (undecided(name, running[0] if running else "static", reason) for reason in reasons)


def _of_network(
    ours: Result, theirs: Result, running: Sequence[Way], needed: Sequence[Way], judged: set[Way]
) -> Iterator[str]:
    if (ours.counts is None) != (theirs.counts is None):
        yield f"counted in the {'head' if ours.counts is None else 'base'} alone"
    elif ours.counts and theirs.counts and ours.counts.target != theirs.counts.target and "counts" in running:
        yield f"counted for {ours.counts.target} in the base, for {theirs.counts.target} in the head"
    elif running and not judged.intersection(running):
        yield "nothing that it executed could be compared: neither counts nor latencies on both sides"
        return
    yield from (f"not {_MEANS[way]} on both sides" for way in needed if way not in judged)


def _of_layers(matches: Sequence[Match], way: Way) -> Iterator[str]:
    """Yield what is known of layers in one of the two runs alone."""
    known = _KNOWN.get(way)
    if known is None:
        return
    pairs = _pairs(matches)
    for word, names in (
        ("base", [match.name for match in pairs if known(match.base) and not known(match.head)]),
        ("head", [match.name for match in pairs if known(match.head) and not known(match.base)]),
    ):
        if names:
            yield f"layers {_MEANS[way]} in the {word} alone: {_few(names)}"


def notes(both: Sequence[Both], matched: dict[str, tuple[Match, ...]], possible: Sequence[Way]) -> Iterator[str]:
    """Yield which layers are judged within their network alone, since nothing is known of them in either run."""
    for way, known in _KNOWN.items():
        for name, _, _ in both if way in possible else ():
            pairs = _pairs(matched[name])
            neither = [match.name for match in pairs if not known(match.base) and not known(match.head)]
            which = "its layers" if len(neither) == len(pairs) else f"layers {_few(neither)}"
            if neither:
                yield f"{name}: {which} were {_MEANS[way]} in neither run, and are judged within the network alone"


def _pairs(matches: Sequence[Match]) -> list[Match]:
    return [match for match in matches if match.base and match.head and match.comparable]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def undecided(variant: str, way: Way, reason: str) -> Finding:
    """Return a finding on a network that was not judged."""
    return Finding(
        variant=variant, metric="result", way=way, base=None, head=None, outcome="undecided", reason=reason
    )  # fmt: skip


def _counted(layers: Sequence[Layer]) -> bool:
    return total(layers, "instructions") is not None


def _timed(layers: Sequence[Layer]) -> bool:
    return bool(layers) and all(layer.latency_s for layer in layers)


_KNOWN: dict[Way, Callable[[Sequence[Layer]], bool]] = {"counts": _counted, "recorded": _timed}
