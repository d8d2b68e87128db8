"""Matrix products: 1x1 convolutions over all pixels, and fully connected layers.

A tile of `rows` pixels x `vectors` registers of channels is summed in registers over the whole reduction: each step
loads the weights of a panel of channels once and multiplies them by one element of each row. Weights are packed panel
by panel, so that a step reads one contiguous line. A task takes some rows and some panels: all its rows for one panel,
then the next, so that a panel stays in the first cache and the rows in the second. What is done to the rows before, a
prologue, each task does for itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16, tvm_passes
from mbench.compile.fused_kernel import FusedStage
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue, Matmul, float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, pairs, prologue, tile_loops, tiling
from mbench.compile.schedules.cpu.prologue import Operands, Prologue, RowTasks
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

MAX_ROWS = 14
MAX_VECTORS = 4
_MAX_VECTORS_BY_LANE = 2  # Arm: three and more were seen to spill on Cortex-A72
_FETCHING_TILES = range(2, 9)
_FETCHING_BY_TWO_BITS = 256
"""Widest vectors with which two tiles fetch the next panel: of 512 bits, they took a third longer with it (Zen 5)."""
_LEAST_CHUNK, _CHUNK = 8, 64
_LINE_BYTES = 64
"""Steps of the reduction between fetches, at least and at most, and a line of cache."""
FMA_A_CYCLE = 2
_LOADS_A_CYCLE = 1.5
_FMA_LATENCY = 4
_FEW_REGISTERS = 16
_FEW_SUMS, _FEW_SUMS_CYCLES = 8, 0.65
"""Sums that just hide the latency of multiply-adds, and what each step waits for all the same; with every two sums more
it is half of that (AVX2 on Zen 5: tiles of 8, 10 and 12 sums reach 86, 94 and 97 % of the peak)."""
_L2_BYTES_A_CYCLE = 64
_FAR_BYTES_A_CYCLE = 16
"""What moving adds to computing, beside which most of it happens: twice the bandwidths themselves."""
_TASK_CYCLES = 150
_TILE_CYCLES = 2
_CROWDED_SUM_CYCLES = 3.5
"""Starting and ending a tile; more where its sums take over half of the registers (Zen 3: 2, 7, 16 for 8, 10, 12)."""
_GRIDS = 24


def register_tiles(machine: KernelMachine) -> Iterator[tuple[int, int]]:
    """Yield the (rows, vectors) whose accumulators, weights and broadcast inputs fit the registers."""
    most = MAX_VECTORS if machine.broadcasts_from_memory else _MAX_VECTORS_BY_LANE
    for vectors in range(1, most + 1):
        for rows in range(1, MAX_ROWS + 1):
            inputs = 1 if machine.broadcasts_from_memory else rows
            if rows * vectors + vectors + inputs <= machine.registers:
                yield rows, vectors


def step_cycles(rows: int, vectors: int) -> float:
    """Return the cycles of one step of the reduction: as many as its multiply-adds, its loads or their latency take."""
    return max(rows * vectors / FMA_A_CYCLE, (rows + vectors) / _LOADS_A_CYCLE, _FMA_LATENCY)


def tile_cycles(rows: int, vectors: int, reduction: int, machine: KernelMachine) -> float:
    """Return the cycles of one tile whose data are in the first cache."""
    crowded = max(0, rows * vectors - machine.registers // 2)
    return reduction * step_cycles(rows, vectors) + _TILE_CYCLES + _CROWDED_SUM_CYCLES * crowded


def waiting_cycles(rows: int, vectors: int, reduction: int, machine: KernelMachine) -> float:
    """Return what a tile waits besides for its own multiply-adds, where few registers leave it few sums."""
    if machine.registers > _FEW_REGISTERS or not machine.broadcasts_from_memory:
        return 0.0
    return reduction * _FEW_SUMS_CYCLES * math.pow(0.5, max(0, rows * vectors - _FEW_SUMS) / 2)


def _tile(rows: int, vectors: int, reduction: int, machine: KernelMachine) -> float:
    return tile_cycles(rows, vectors, reduction, machine) + waiting_cycles(rows, vectors, reduction, machine)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Product:
    """A matrix product with what comes before it and after it. `stage`: the product, and where its parameters lie.

    `matmul` counts words along the reduction where numbers are multiplied in pairs.
    """

    matmul: Matmul
    epilogue: Epilogue
    stage: FusedStage
    prologue: Prologue | None

    @classmethod
    def of(cls, kernel: Kernel) -> _Product | None:
        """Read it off a kernel; None for one of another kind."""
        found = prologue.read(kernel)
        before, stage = found or (None, FusedStage(kernel=kernel, places=tuple(range(len(kernel.parameter_shapes)))))
        matmul = stage.kernel.matmul
        epilogue = None if matmul is None else stage.kernel.epilogue_of_sum
        if matmul is None or epilogue is None:
            return None
        return cls(matmul=pairs.of_matmul(matmul), epilogue=epilogue, stage=stage, prologue=before)

    @property
    def ways(self) -> tuple[int, ...]:
        """What can be done with its prologue, if it has one."""
        return self.prologue.ways if self.prologue else ()

    @property
    def weights(self) -> int:
        """Where the kernel has the weights among its parameters."""
        place = self.stage.places[1]
        return 1 if place is None else place

    @property
    def reduction(self) -> int:
        """Numbers of a row."""
        own = self.stage.kernel.matmul
        assert own is not None
        return own.reduction

    @property
    def in_words(self) -> tuple[int, ...]:
        """The parameters that are read in words."""
        if not pairs.taken(self.matmul.dtype):
            return ()
        return (self.weights,) if self.reduction % bfloat16.PAIR else (0, self.weights)


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first by the model of `_cycles`."""
    product = _Product.of(kernel)
    if product is not None:
        for _, parameters in ranked(product.matmul, machine, product.ways):
            yield parameters


def ranked(matmul: Matmul, machine: KernelMachine, ways: Sequence[int] = ()) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first. `ways`: of its prologue, if it has one."""
    found: list[tuple[float, Parameters]] = []
    lanes = tiling.vector_lanes(matmul.columns, machine, matmul.dtype)
    for rows, vectors in register_tiles(machine):
        if vectors * lanes > matmul.columns or rows > matmul.rows:
            continue
        panels = -(-matmul.columns // (vectors * lanes))
        tiles = tiling.Cut.of(matmul.rows, rows).count
        compute = tiles * panels * _tile(rows, vectors, matmul.reduction, machine)
        for grid in itertools.islice(tiling.grids([1] * tiles, panels, compute, matmul.moved_bytes, machine), _GRIDS):
            parameters = {"rows": rows, "vectors": vectors, "row_parts": grid.outer, "panel_parts": grid.inner}
            work = _cycles(matmul, parameters, lanes, machine)
            if not ways:
                found.append((grid.cycles(work, matmul.moved_bytes), parameters))
            for way in ways:
                given = {**parameters, "prologue": way}
                whole = grid.cycles(work, matmul.moved_bytes) + _prologue_cycles(matmul, given, machine, machine.cores)
                found.append((whole, given))
    return sorted(found, key=lambda pair: pair[0])


def cycles_alone(matmul: Matmul, parameters: Parameters, machine: KernelMachine) -> float:
    """Return the cycles that one core takes for all of a kernel with given parameters."""
    lanes = tiling.vector_lanes(matmul.columns, machine, matmul.dtype)
    before = _prologue_cycles(matmul, parameters, machine, 1) if "prologue" in parameters else 0
    return _cycles(matmul, parameters, lanes, machine) + before


def _prologue_cycles(matmul: Matmul, parameters: Parameters, machine: KernelMachine, cores: int) -> float:
    """Model of what a prologue takes the busiest core: to change rows or weights, and to move what L1 cannot hold."""
    changes_rows = parameters["prologue"] == prologue.ROWS
    wide = tiling.vector_lanes(matmul.columns, machine, matmul.dtype)
    lanes = machine.sum_lanes(matmul.dtype) if changes_rows else wide
    kept = matmul.rows / parameters["row_parts"] if changes_rows else parameters["vectors"] * lanes
    kept_bytes = kept * matmul.reduction * float_bytes(matmul.dtype)
    parts = {name: parameters[name] for name in ("row_parts", "panel_parts")}
    changed = prologue.vectors(parameters["prologue"], matmul, **parts, cores=cores, lanes=lanes)
    cycles, changed_bytes = prologue.VECTOR_CYCLES * changed, changed * lanes * float_bytes(matmul.dtype)
    cycles += changed_bytes / _L2_BYTES_A_CYCLE if kept_bytes > machine.l1_bytes / 2 else 0
    return cycles + (changed_bytes / _FAR_BYTES_A_CYCLE if kept_bytes >= machine.l2_bytes / 3 else 0)


def _cycles(matmul: Matmul, parameters: Parameters, lanes: int, machine: KernelMachine) -> float:
    """Model of the whole product on one core: computing, and moving what does not fit the caches."""
    rows, vectors = parameters["rows"], parameters["vectors"]
    row_parts, panel_parts = parameters["row_parts"], parameters["panel_parts"]
    cut = tiling.Cut.of(matmul.rows, rows)
    panels = -(-matmul.columns // (vectors * lanes))
    compute = panels * sum(
        (part.end - part.begin) * _tile(part.size, vectors, matmul.reduction, machine) for part in cut.parts
    )
    count = row_parts * panel_parts
    part_tiles, part_panels = cut.count / row_parts, panels / panel_parts
    rows_bytes = matmul.rows / row_parts * matmul.reduction * float_bytes(matmul.dtype)
    panel_bytes = matmul.reduction * vectors * lanes * float_bytes(matmul.dtype)
    near = part_tiles * part_panels * panel_bytes if panel_bytes > machine.l1_bytes / 2 else 0
    near += part_panels * rows_bytes if rows_bytes > machine.l1_bytes / 2 else 0
    far = part_panels * panel_bytes
    far += rows_bytes if rows_bytes < machine.l2_bytes / 3 else part_panels * rows_bytes
    return compute + count * moving_cycles(near, far)


def moving_cycles(near: float, far: float) -> float:
    """Return what a task takes besides to begin, and to move bytes from the second cache and from beyond it."""
    return near / _L2_BYTES_A_CYCLE + far / _FAR_BYTES_A_CYCLE + _TASK_CYCLES


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product = _Product.of(kernel)
    if product is None:
        return None
    matmul = product.matmul
    rows, vectors, row_parts, panel_parts = positive(parameters, "rows", "vectors", "row_parts", "panel_parts")
    way = _way(product, parameters)
    lanes = tiling.vector_lanes(matmul.columns, machine, matmul.dtype)
    width = vectors * lanes
    if width > matmul.columns or rows > matmul.rows:
        raise ValueError(f"a tile of {rows} rows x {width} columns is larger than {matmul.rows} x {matmul.columns}")
    starts = tiling.panel_starts(matmul.columns, width)
    cut = tiling.Cut.of(matmul.rows, rows)
    packed = {product.weights: len(starts) * matmul.reduction * width}
    writer = emit.Writer(kernel, packed_elements=packed, words=product.in_words)
    with writer.function() as arrays, emit.threads(row_parts * panel_parts if way else 1):
        ahead = _ahead(matmul, width, cut.count / row_parts, machine)
        if pairs.taken(matmul.dtype) and 0 not in product.in_words:
            arrays[0] = pairs.in_rows(arrays[0], matmul.rows, product.reduction, row_parts)
        plain = Operands(arrays[0], arrays[product.weights], matmul.reduction, vectors, lanes)
        operands = plain
        if product.prologue is not None:
            tasks = RowTasks(cut=cut, row_parts=row_parts, panel_parts=panel_parts)
            operands = product.prologue.operands(way, arrays, plain, tasks, machine.sum_lanes(matmul.dtype))
        tile = _MatmulTile(product, machine, operands, arrays, ahead)
        with emit.tasks(cut.count, row_parts, len(starts), panel_parts) as shares:
            (first_tile, tiles), (first_panel, panels) = shares
            operands.begin(first_tile, tiles)
            with emit.loop(panels) as step:
                operands.begin_panel(first_panel + step)
                for start, size, number in tile_loops.shared(cut, first_tile, tiles):
                    tile.write(first_panel + step, start, size, number - first_tile)
    function, pack = writer.result(), partial(_packed, product, starts, width)
    if product.prologue is None:
        return KernelPlan(function=function, tile=f"{rows}x{vectors}x{lanes}", pack=pack, lanes=lanes)
    return KernelPlan(
        function=function.with_attr(tvm_passes.OWN_ARRAYS, True),
        tile=f"{rows}x{vectors}x{lanes}, {prologue.NAMES[way]}",
        packs={product.weights: pack},
        lanes=lanes,
    )


def _way(product: _Product, parameters: Parameters) -> int:
    """Return what is done with the prologue; 0 where there is none.

    Raises:
        ValueError: it cannot be done with this one.
    """
    if product.prologue is None:
        return 0
    (way,) = positive(parameters, "prologue")
    if way not in product.ways:
        raise ValueError(f"way {way} of a prologue is none of {', '.join(map(str, product.ways))}")
    return way


def _packed(product: _Product, starts: Sequence[int], width: int, weights: np.ndarray) -> np.ndarray:
    matmul = product.matmul
    return tiling.pack(pairs.packed(weights, product.reduction, matmul.columns, matmul.dtype), starts, width)


def _ahead(matmul: Matmul, width: int, tiles: float, machine: KernelMachine) -> int:
    """Return how many lines of the next panel to fetch with each chunk, so that the tiles of this one fetch it all.

    None where all weights are likely in the second cache; where a panel has too little work to hide them behind; or
    where it has so much that waiting for them once does not count.
    """
    weight_bytes = matmul.reduction * matmul.columns * float_bytes(matmul.dtype)
    if weight_bytes <= machine.l2_bytes / 2 or int(tiles) not in _FETCHING_TILES:
        return 0
    two = int(tiles) == _FETCHING_TILES.start
    if two and machine.vector_bits > _FETCHING_BY_TWO_BITS:
        return 0
    if not machine.broadcasts_from_memory and (two or matmul.reduction % _CHUNK):  # not timed on Arm
        return 0
    steps = _chunk(matmul)
    return math.ceil(steps * width / _line(matmul) / tiles) if steps >= _LEAST_CHUNK else 0


def _chunk(matmul: Matmul) -> int:
    """Return the steps between fetches: a divisor of the reduction, a multiple of the unrolling if there is one."""
    unrolled = float_sums.unrolled(matmul.dtype)
    divisors = [step for step in range(1, _CHUNK + 1) if matmul.reduction % step == 0]
    return max(divisors, key=lambda step: (step % unrolled == 0, step))


def _line(matmul: Matmul) -> int:
    """Return how many elements a line of cache has."""
    return _LINE_BYTES // float_bytes(matmul.dtype)


class _MatmulTile:
    """Writes the code of one tile."""

    def __init__(
        self, product: _Product, machine: KernelMachine, operands: Operands, arrays: Sequence[Any], ahead: int
    ) -> None:
        self._load = partial(emit.load_of, product.stage.read(arrays))
        self._shape = product.stage.kernel.parameter_shapes[-1]
        self._epilogue = product.epilogue
        self._matmul = product.matmul
        self._operands = operands
        self._vectors, self._lanes = operands.vectors, operands.lanes
        self._machine = machine
        self._by_lane = not machine.broadcasts_from_memory and self._lanes == machine.sum_lanes(product.matmul.dtype)
        self._weights, self._target = arrays[product.weights], arrays[-1]
        self._ahead = ahead

    def write(self, panel: Any, row: Any, rows: int, turn: Any) -> None:
        """Write the tile of `rows` rows from `row` on, and of panel `panel`: the task's `turn`th with that panel."""
        matmul, lanes = self._matmul, self._lanes
        width = self._vectors * lanes
        row, column = emit.named(row), emit.named(emit.panel_start(panel, width, matmul.columns))
        sums = float_sums.new(matmul.dtype, self._machine, (rows, self._vectors, lanes), matmul.reduction)
        start = self._epilogue.start

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return emit.indices(self._shape, row + r, column + (v * lanes + lane))

        sums.begin((lambda r, v, lane: start(indices(r, v, lane), self._load)) if start else None)
        source, packed = emit.named(self._operands.row_start(row)), emit.named(self._operands.panel_start(panel))
        if self._ahead:
            steps = _chunk(matmul)
            chunks = matmul.reduction // steps
            here = packed if self._operands.weights is self._weights else panel * (matmul.reduction * width)
            following = emit.named(here + matmul.reduction * width + turn * (chunks * self._ahead * _line(matmul)))
            with emit.loop(chunks) as chunk:
                for line in range(self._ahead):
                    emit.prefetch(self._weights, following + (chunk * self._ahead + line) * _line(matmul))
                self._add(sums, source + chunk * steps, packed + chunk * (steps * width), steps)
        else:
            self._add(sums, source, packed, matmul.reduction)
        target = emit.named(row * matmul.columns + column)
        for r in range(rows):
            for v in range(self._vectors):
                with emit.lanes_of(lanes) as lane:
                    value = self._epilogue.finish(sums.total(r, v, lane), indices(r, v, lane), self._load)
                    value = float_sums.stored(value)
                    T.buffer_store(self._target, value, [target + (r * matmul.columns + v * lanes + lane)])

    def _add(self, sums: float_sums.FloatSums, source: Any, packed: Any, steps: int) -> None:
        """Multiply the elements at `source` by the weights at `packed` and add them up, over steps of the reduction."""
        width = self._vectors * self._lanes
        for span in sums.spans(steps):
            with emit.loop(span.count) as turn, sums.part(span.size):
                done = span.start + turn * span.size
                self._multiply(sums, source + done, packed + done * width, span.size)

    def _multiply(self, sums: emit.Accumulators, source: Any, packed: Any, steps: int) -> None:
        matmul, lanes = self._matmul, self._lanes
        width = self._vectors * lanes
        unroll = float_sums.unrolled(matmul.dtype, steps)
        with emit.loop(steps // unroll) as step:
            k = step * unroll
            inputs = [self._elements(source + r * matmul.reduction + k, unroll) for r in range(sums.rows)]
            for number in range(unroll):
                offset = packed + (k * width + number * width)
                lines = [emit.vector(self._operands.weights, offset + v * lanes, lanes) for v in range(self._vectors)]
                for r in range(sums.rows):
                    for v in range(self._vectors):
                        pairs.add(sums, r, v, inputs[r][number], lines[v])

    def _elements(self, start: Any, count: int) -> list[Any]:
        """Return `count` elements of the input from `start`, each in all lanes of a vector."""
        if self._by_lane and count == self._lanes:
            loaded = emit.vector(self._operands.source, start, self._lanes)
            return [emit.lane(loaded, number, self._lanes) for number in range(count)]
        return [emit.broadcast(self._operands.source[start + number], self._lanes) for number in range(count)]
