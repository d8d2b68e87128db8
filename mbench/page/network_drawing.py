"""A network drawn as blocks: where each box and each line between them lies, in pixels. No HTML, no colours.

Blocks stand in order of execution, like words of a text; each holds its layers, one under the other. What a block
reads comes from its left. A layer that reads something else than the layer above it has a line at its block's right
side: from the block's head where it reads the block's input (a residual), else from the layer that it reads (a branch).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mbench.analysis import labels, pairs
from mbench.core import units
from mbench.core.records import Layer
from mbench.networks import lifetimes
from mbench.page.view_types import LayerView, ResultView

MOST_WIDTH = 1200
"""Of the drawing: what a wide window shows."""
HEAD, LAYER, INNER, PAD = 38, 36, 128, 6
"""Height of a block's head and of a layer, a layer's width, and the room around it."""
TRACK, FIRST_TRACK = 6, 8
"""Between two lines at a block's right side, and from the layers to the first."""
ACROSS, DOWN = 20, 30
"""Between blocks."""
_OVER = 12
"""How far lines lie above blocks that are not neighbours."""
_LONGEST, _LONGEST_DETAIL = 13, 20
_LEFTWARDS, _RIGHTWARDS, _DOWNWARDS = "m4 -3l-4 3l4 3", "m-4 -3l4 3l-4 3", "m-3 -4l3 4l3 -4"
"""Heads of arrows, drawn from their points."""
_COST = {"time": "time", "instructions": "instructions", "macs": "multiply-adds"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerBox:
    """A layer: its words, the address of its own view, and a bar as wide as its share."""

    anchor: str
    label: str
    detail: str
    share: str
    tooltip: str
    x: int
    y: int
    bar: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockBox:
    """A block with its layers. `shade` is 1 for the block with the largest share."""

    label: str
    detail: str
    share: str
    tooltip: str
    shade: float
    x: int
    y: int
    width: int
    height: int
    layers: tuple[LayerBox, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnLine:
    """What one box reads of another, as an SVG path."""

    kind: Literal["flow", "skip"]
    path: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkDrawing:
    """All of it. `cost`: what the shares are of."""

    title: str
    description: str
    cost: str
    width: int
    height: int
    blocks: tuple[BlockBox, ...]
    lines: tuple[DrawnLine, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SideLine:
    """A line beside a block, from the place of a layer in it (-1: its head) to that of a later one, on a track."""

    start: int
    end: int
    track: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Block:
    """A block before it has a place."""

    number: int
    name: str
    rows: tuple[LayerView, ...]
    skips: tuple[_SideLine, ...]
    reads: tuple[int, ...]
    """Numbers of the other blocks that it reads."""

    @property
    def width(self) -> int:
        tracks = 1 + max((skip.track for skip in self.skips), default=-1)
        return 2 * PAD + INNER + (FIRST_TRACK + TRACK * tracks if tracks else 0)

    @property
    def height(self) -> int:
        return HEAD + LAYER * len(self.rows)


def of_result(item: ResultView, *, emulated: bool) -> NetworkDrawing:
    """Return the drawing of a network.

    Args:
        item: the network.
        emulated: whether shares are of instructions; without them or without quiet times, they are of multiply-adds.
    """
    cost, shares = _shares(item, emulated=emulated)
    blocks = _blocks(item.layers)
    places = dict(_places(blocks))
    most = max(shares.values(), default=0.0)
    spent = {block.number: sum(shares[row.layer.name] for row in block.rows) for block in blocks}
    boxes = tuple(
        _box(block, places[block.number], shares, most, spent[block.number], max(spent.values())) for block in blocks
    )
    lines = tuple(line for block in blocks for line in _lines(block, places, blocks))
    return NetworkDrawing(
        title=f"{item.label}, block by block",
        description=_description(blocks, spent, _COST[cost]),
        cost=_COST[cost],
        width=max(box.x + box.width for box in boxes) + PAD,
        height=max(box.y + box.height for box in boxes) + PAD,
        blocks=boxes,
        lines=lines,
    )


def _shares(item: ResultView, *, emulated: bool) -> tuple[str, dict[str, float]]:
    """Return each layer's share of what all of them cost, by name, and what that is."""
    if item.slowest and (emulated or not item.disturbed):
        return "instructions" if emulated else "time", {each.row.layer.name: each.share for each in item.slowest}
    whole = pairs.macs(item.result) or 1
    return "macs", {layer.name: layer.macs / whole for layer in item.result.layers}


def _blocks(rows: Sequence[LayerView]) -> list[_Block]:
    """Return the blocks in order of first appearance; layers of no block follow each other in one without a name."""
    found: dict[tuple[str | None, int], list[LayerView]] = {}
    apart = 0
    for row, before in zip(rows, (None, *rows), strict=False):
        apart += row.layer.block is None and before is not None and before.layer.block is not None
        found.setdefault((row.layer.block, apart if row.layer.block is None else 0), []).append(row)
    homes = {row.layer.name: number for number, inside in enumerate(found.values()) for row in inside}
    return [
        _Block(
            number=number,
            name=name or "",
            rows=tuple(inside),
            skips=tuple(_tracked(_skips([row.layer for row in inside]))),
            reads=tuple(sorted({homes[each] for row in inside for each in row.layer.inputs} - {number})),
        )
        for number, ((name, _), inside) in enumerate(found.items())
    ]


def _skips(layers: Sequence[Layer]) -> Iterator[_SideLine]:
    """Yield what each layer of a block reads that is not the layer above it; the first reads the head in any case."""
    places = {layer.name: place for place, layer in enumerate(layers)}
    for place, layer in enumerate(layers):
        sources = {places.get(name, -1) for name in lifetimes.reads(layer)}
        yield from (_SideLine(start=start, end=place) for start in sorted(sources) if start != place - 1)


def _tracked(skips: Iterable[_SideLine]) -> Iterator[_SideLine]:
    """Yield the lines on as few tracks as keep them apart; those of one start share a track."""
    tracks: list[list[_SideLine]] = []
    for skip in sorted(skips, key=lambda each: (each.end - each.start, each.start)):
        free = (
            number
            for number, taken in enumerate(tracks)
            if all(other.start == skip.start or other.end <= skip.start or skip.end <= other.start for other in taken)
        )
        track = next(free, len(tracks))
        tracks[track:track] = [[]] if track == len(tracks) else []
        tracks[track].append(skip)
        yield dataclasses.replace(skip, track=track)


def _places(blocks: Sequence[_Block]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield where each block's upper left corner lies: in lines, as many blocks in each as fit."""
    x, y, tallest = PAD, PAD + _OVER, 0
    for block in blocks:
        if x > PAD and x + block.width > MOST_WIDTH:
            x, y, tallest = PAD, y + tallest + DOWN, 0
        yield block.number, (x, y)
        x, tallest = x + block.width + ACROSS, max(tallest, block.height)


def _box(
    block: _Block, at: tuple[int, int], shares: Mapping[str, float], most: float, spent: float, most_spent: float
) -> BlockBox:
    x, y = at
    given = block.rows[-1].layer.output_shape
    shape = units.shape(given[1:]) if len(given) > 1 else ""
    return BlockBox(
        label=_shortened(block.name or "no block", _LONGEST),
        detail=_shortened(shape, _LONGEST_DETAIL),
        share=units.percent(spent),
        tooltip=f"{block.name or 'layers of no block'}: {units.percent(spent)}, output {units.shape(given)}",
        shade=round(spent / most_spent, 3) if most_spent else 0.0,
        x=x,
        y=y,
        width=block.width,
        height=block.height,
        layers=tuple(
            _layer(row, x + PAD, y + HEAD + LAYER * place, shares[row.layer.name], most)
            for place, row in enumerate(block.rows)
        ),
    )


def _layer(row: LayerView, x: int, y: int, share: float, most: float) -> LayerBox:
    layer = row.layer
    kind = labels.op(layer.op)
    return LayerBox(
        anchor=row.anchor,
        label=_shortened(kind if layer.role == "other" else layer.role, _LONGEST),
        detail=_shortened(_detail(layer), _LONGEST_DETAIL),
        share=units.percent(share),
        tooltip=f"{layer.name}, {kind}: {units.percent(share)}",
        x=x,
        y=y,
        bar=round(INNER * share / most, 1) if most else 0.0,
    )


def _detail(layer: Layer) -> str:
    """Return what a layer computes in short: `3x3 /2, 144 ch`; of what is no convolution, what it gives."""
    if layer.kernel_size is None or layer.stride is None:
        return f"to {units.shape(layer.output_shape[1:] or layer.output_shape)}"
    steps = layer.stride if len(set(layer.stride)) > 1 else layer.stride[:1]
    stride = f" /{units.shape(steps)}" if steps != (1,) else ""
    channels = layer.output_shape[min(1, len(layer.output_shape) - 1)]
    return f"{units.shape(layer.kernel_size)}{stride}, {channels} ch"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _lines(block: _Block, places: Mapping[int, tuple[int, int]], blocks: Sequence[_Block]) -> Iterator[DrawnLine]:
    x, y = places[block.number]
    for place in range(1, len(block.rows)):
        above = block.rows[place - 1].layer.name
        if above in block.rows[place].layer.inputs:
            middle, top = x + PAD + INNER // 2, y + HEAD + LAYER * place - PAD
            yield DrawnLine(kind="flow", path=f"M{middle} {top}v{PAD}")
    for skip in block.skips:
        yield DrawnLine(kind="skip", path=_beside(x, y, skip))
    for number in block.reads:
        yield _between(blocks[number], block, places)


def _beside(x: int, y: int, skip: _SideLine) -> str:
    """Return a line at the right side of a block: out of its head or a layer, down, and into another layer."""
    edge, far = x + PAD + INNER, x + PAD + INNER + FIRST_TRACK + TRACK * skip.track
    start = y + HEAD // 2 if skip.start < 0 else y + HEAD + LAYER * skip.start + 2 * LAYER // 3
    end = y + HEAD + LAYER * skip.end + LAYER // 3
    return f"M{edge} {start}H{far}V{end}H{edge}{_LEFTWARDS}"


def _between(source: _Block, block: _Block, places: Mapping[int, tuple[int, int]]) -> DrawnLine:
    """Return the line from a block to one that reads it: straight to the next, above all others."""
    (from_x, from_y), (x, y) = places[source.number], places[block.number]
    start, level, end = from_x + source.width, from_y + HEAD // 2, y + HEAD // 2
    if block.number == source.number + 1:
        if from_y == y:
            return DrawnLine(kind="flow", path=f"M{start} {level}H{x}{_RIGHTWARDS}")
        return DrawnLine(kind="flow", path=f"M{start} {level}h{ACROSS // 2}M{x - PAD} {end}h{PAD}{_RIGHTWARDS}")
    over, under = from_y - _OVER, y - _OVER
    out, into = from_x + source.width - PAD, x + PAD
    if from_y == y:
        return DrawnLine(kind="skip", path=f"M{out} {from_y}V{over}H{into}V{y}{_DOWNWARDS}")
    return DrawnLine(kind="skip", path=f"M{out} {from_y}V{over}h{PAD}M{into - PAD} {under}h{PAD}V{y}{_DOWNWARDS}")


def _description(blocks: Sequence[_Block], spent: Mapping[int, float], cost: str) -> str:
    layers = sum(len(block.rows) for block in blocks)
    again = sum(1 for block in blocks for skip in block.skips if skip.start < 0)
    largest = max(blocks, key=lambda block: spent[block.number])
    read = f"; {units.counted(again, 'layer')} read{'' if again > 1 else 's'} a block's input again" if again else ""
    return (
        f"{units.counted(len(blocks), 'block')} with {units.counted(layers, 'layer')} in order of execution{read}. "
        f"{largest.name or 'What is in no block'} has the largest share of the {cost}: "
        f"{units.percent(spent[largest.number])}."
    )
