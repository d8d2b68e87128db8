"""What else differs where something changed, and may explain it. Hints with figures, not proofs."""

from __future__ import annotations

from collections.abc import Iterator

from mbench.analysis import pairs
from mbench.core import units
from mbench.core.records import Result
from mbench.gating.matching import Match, total

_MOVED = 0.01
"""A change of time, as a fraction, that wants a cause."""


def of_layer(match: Match, base: Result, head: Result, ratio: float | None) -> tuple[str, ...]:
    """Return what may have changed a layer's time: its schedule, its instructions, its bytes, or none of them.

    Args:
        match: the layer in both runs.
        base: the network's result in the base.
        head: likewise.
        ratio: of the latencies, head over base; None: not timed.
    """
    found = (*_shapes(match), *_schedules(match, base, head), *_counts(match), *_bytes(match))
    if found or ratio is None or abs(ratio - 1) < _MOVED:
        return found
    word = "slower" if ratio > 1 else "quicker"
    if all(layer.counters for layer in (*match.base, *match.head)):
        return (f"the same instructions and bytes, but {word}: noise, frequency, or where data lie",)
    return (f"the same schedule and sizes, but {word}: count instructions (--counts) to see whether the code differs",)


def of_network(base: Result, head: Result) -> tuple[str, ...]:
    """Return what differs between two whole networks, as their files have them and as compiled."""
    if base.variant.imported and base.variant.parameters != head.variant.parameters:
        return (_imported(base, head),)
    changed = sorted(
        kernel
        for kernel in base.artifact.schedules.keys() | head.artifact.schedules.keys()
        if base.artifact.schedules.get(kernel) != head.artifact.schedules.get(kernel)
    )
    if changed:
        return (f"schedules of {len(changed)} kernels differ",)
    if base.artifact.digest == head.artifact.digest:
        return ("both are the same build",)
    return ()


def _imported(base: Result, head: Result) -> str:
    """A function has no file whose digest could be compared: what it returned differs."""
    files = [side.variant.parameters.get("file_sha256") for side in (base, head)]
    if files[0] != files[1]:
        return "the user's files differ"
    if files[0] is None:
        return "the user's function returned another network or other inputs, or versions differ"
    return "the user's file was imported with other inputs or versions"


def _shapes(match: Match) -> Iterator[str]:
    """What the user changed in a layer comes first: it explains the rest."""
    if len(match.base) != 1 or len(match.head) != 1:
        return
    before, after = match.base[0], match.head[0]
    for word, field, shown in (
        ("kernel", "kernel_size", units.shape), ("stride", "stride", units.sides), ("groups", "groups", str),
        ("input", "input_shape", units.shape), ("output", "output_shape", units.shape),
    ):  # fmt: skip
        was, now = getattr(before, field), getattr(after, field)
        if was != now:
            yield f"{word} {shown(was) if was else 'none'} → {shown(now) if now else 'none'}"


def _schedules(match: Match, base: Result, head: Result) -> Iterator[str]:
    before = " + ".join(dict.fromkeys(str(pairs.schedule(layer, base)) for layer in match.base))
    after = " + ".join(dict.fromkeys(str(pairs.schedule(layer, head)) for layer in match.head))
    if before != after:
        yield f"schedule changed: {before} → {after}"
    if len(match.base) != len(match.head):
        yield f"fusion changed: {len(match.base)} layers → {len(match.head)}"


def _counts(match: Match) -> Iterator[str]:
    for metric in ("instructions", "loads", "stores", "load_bytes", "store_bytes"):
        before, after = (total(side, metric) for side in (match.base, match.head))
        if before is not None and after is not None and before != after:
            change = pairs.ratio(after - before, before)
            yield f"{metric.replace('_', ' ')} {units.exact(before)} → {units.exact(after)} ({units.change(change, 2)})"


def _bytes(match: Match) -> Iterator[str]:
    for metric in ("weight_bytes", "activation_bytes", "workspace_bytes"):
        before, after = (total(side, metric) for side in (match.base, match.head))
        if before != after:
            yield f"{metric.replace('_', ' ')} {units.data_size(before)} → {units.data_size(after)}"
