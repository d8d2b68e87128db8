"""Which of a layer's samples the page holds: all of a few, a part of many. All of them are in the raw data."""

from __future__ import annotations

from collections.abc import Sequence

from mbench.core import sessions
from mbench.core.records import Layer, Result

MOST = 50
"""Samples of a layer that are drawn and listed: of many layers, more than that would be most of the page."""
_FEWEST = 3
"""Of each session."""


def of_layer(result: Result, layer: Layer) -> tuple[tuple[float, ...], ...]:
    """Return a layer's samples session by session, evenly chosen where there are many: the first, and each n-th."""
    parts = [part for part in sessions.of_layer(layer.latency_s or (), result.sessions) if part]
    wanted = max(MOST // len(parts), _FEWEST) if parts else MOST
    return tuple(tuple(_some(part, wanted)) for part in parts)


def _some(part: Sequence[float], wanted: int) -> Sequence[float]:
    return part[:: -(-len(part) // wanted)]
