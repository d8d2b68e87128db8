"""Faults in how CPU kernels are tiled, to be planted in a test: a check that misses one is none."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import kernel_cases as kernels
import numpy as np
import pytest
from kernel_cases import AVX2, Layer

from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tiling

_even_parts, _pack, _runs = tiling.even_parts, tiling.pack, tiling.runs


class Fault(NamedTuple):
    """What stands in the place of a function, and what the check has to say of it."""

    where: object
    name: str
    planted: object
    said: str


def last_panel_dropped(channels: int, width: int) -> list[int]:
    """Return the starts of all panels of channels but the last."""
    return list(range(0, channels - width, width))


def last_part_cut_short(extent: int, limit: int) -> list[int]:
    """Return sizes of tiles that leave one element out."""
    *others, last = _even_parts(extent, limit)
    return [*others, last - 1]


def panels_unmoved(panel: Any, width: int, _channels: int) -> Any:
    """Return a start of the last panel that lies beyond the last channel."""
    return panel * width


def steps_swapped(weights: np.ndarray, starts: Sequence[int], width: int) -> np.ndarray:
    """Return weights in another order than they are read in."""
    return _pack(weights[[1, 0, *range(2, len(weights))]], starts, width)


def with_padding(**line: int) -> list[tiling.Run]:
    """Take each tap as if it lay within the image."""
    return [dataclasses.replace(run, inside=tuple((True,) * run.size for _ in run.inside)) for run in _runs(**line)]


OF_TILES = {
    "a panel dropped": Fault(tiling, "panel_starts", last_panel_dropped, "not written"),
    "a tile cut short": Fault(tiling, "even_parts", last_part_cut_short, "not written"),
    "weights swapped": Fault(tiling, "pack", steps_swapped, "the worst"),
    "a panel beyond the last channel": Fault(emit, "panel_start", panels_unmoved, "outside of its output|the worst"),
}
OF_TAPS = {"taps on the padding": Fault(tiling, "runs", with_padding, "the worst|not written")}


@functools.cache
def _right(rule: str, layer: Layer, parameters: tuple[tuple[str, int], ...]) -> None:
    """Check a layer without a fault, once for all faults."""
    kernels.check(rule, layer, AVX2, dict(parameters))


def check_seen(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, rule: str, layer: Layer, parameters: Mapping[str, int]
) -> None:
    """Fail unless a layer is right without a fault, and found to be wrong with it."""
    _right(rule, layer, tuple(parameters.items()))
    monkeypatch.setattr(fault.where, fault.name, fault.planted)
    with pytest.raises(AssertionError, match=fault.said):
        kernels.check(rule, layer, AVX2, parameters)
