"""How a layer is tiled for Winograd's convolution, and what that costs. No TVM."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from mbench.compile.kernel_kinds import Convolution
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import matmul, tiling
from mbench.compile.schedules.rule import Parameters
from mbench.compile.winograd_transforms import TRANSFORMS, Transform
from mbench.core import dtypes

LINE = 16
"""Floats of a line of cache."""
_FLOAT = dtypes.of(dtypes.DEFAULT).bytes
_MOST_BYTES = 8 * 2**20
"""Transformed inputs of one block, at most."""
_L2_BYTES_A_CYCLE = 64
_FAR_BYTES_A_CYCLE = 16
"""What moving adds to computing, as in `matmul`."""
_WEIGHTS_BYTES_A_CYCLE = 48
"""Less for weights, which are read in order or asked for ahead."""
_MEMORY_BYTES_A_CYCLE = 4
"""They come from memory once at least: the layers before have taken the caches (Zen 3: 6 a cycle, computing aside)."""
_LAST_CACHE_BYTES = 16 * 2**20
"""Weights that outgrow it come from memory for each block."""
_SPILLED = 1.5
"""A transform's registers do not suffice: what is stored is stored so often."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Tiles are taken `rows` at a time, such row tiles in blocks, and panels of channels in groups.

    The threads share `tasks` tasks: parts of the blocks; or where one block takes all row tiles, parts of the groups.
    """

    conv: Convolution
    transform: Transform
    rows: int
    vectors: int
    lanes: int
    block: int
    groups: int
    tasks: int

    @classmethod
    def of(cls, conv: Convolution, machine: KernelMachine, parameters: Parameters) -> Layout:
        """Read it off a rule's parameters.

        Raises:
            ValueError: they do not fit the layer.
        """
        transform = TRANSFORMS.get((conv.kernel_height, conv.strides[0], parameters["size"]))
        if transform is None:
            known = ", ".join(map(str, sizes(conv)))
            raise ValueError(f"tiles of {parameters['size']} outputs are not known; known are {known}")
        lanes = tiling.vector_lanes(conv.channels, machine)
        numbers = {name: parameters[name] for name in ("rows", "vectors", "block", "groups", "tasks")}
        layout = cls(conv=conv, transform=transform, lanes=lanes, **numbers)
        checked = (("rows", "tiles"), ("vectors", "most_vectors"), ("block", "row_tiles"), ("groups", "panels"))
        for name, limit in (*checked, ("tasks", "units")):  # in this order: a limit follows from what is before it
            most = getattr(layout, limit) if numbers[name] >= 1 else 1
            if not 1 <= numbers[name] <= most:
                raise ValueError(f"{name} is {numbers[name]}, but must be at least 1 and at most the layer's {limit}")
        return layout

    @property
    def down(self) -> int:
        """Tiles from the top of an image to its bottom."""
        return -(-self.conv.height // self.transform.size)

    @property
    def across(self) -> int:
        """Tiles from its left to its right."""
        return -(-self.conv.width // self.transform.size)

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.conv.batch * self.down * self.across

    @property
    def row_tiles(self) -> int:
        """Times `rows` tiles; the last may overlap the one before it."""
        return -(-self.tiles // self.rows)

    @property
    def most_vectors(self) -> int:
        """Vectors that the channels fill."""
        return self.conv.channels // self.lanes

    @property
    def width(self) -> int:
        """Channels of a panel."""
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        """Panels of all channels; the last may overlap the one before it."""
        return -(-self.conv.channels // self.width)

    @property
    def group_panels(self) -> int:
        """Panels of the largest group."""
        return -(-self.panels // self.groups)

    @property
    def blocks(self) -> int:
        """Blocks of row tiles."""
        return -(-self.row_tiles // self.block)

    @property
    def units(self) -> int:
        """What the threads share."""
        return self.groups if self.blocks == 1 else self.blocks

    @property
    def chunk(self) -> int:
        """Weights of one position and one panel."""
        return self.conv.input_channels * self.width

    @property
    def inputs_apart(self) -> int:
        """Floats from one position of a block's transformed inputs to the next."""
        return _apart(self.block * self.rows * self.conv.input_channels)

    @property
    def sums_apart(self) -> int:
        """Floats from one position of a group's matrix products to the next."""
        return _apart(self.block * self.rows * self.group_panels * self.width)

    @property
    def weights(self) -> int:
        """Transformed weights, as packed."""
        return self.transform.positions * self.panels * self.chunk

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (ky, kx, ci, c), transformed, flat: groups x (positions, panels of the group, ci, width)."""
        made = self.transform.of_weights(weights)
        starts = tiling.panel_starts(self.conv.channels, self.width)
        ends = [group * self.panels // self.groups for group in range(self.groups + 1)]
        pieces = [
            tiling.pack(position, starts[begin:end], self.width)
            for begin, end in itertools.pairwise(ends)
            for position in made
        ]
        return np.concatenate(pieces)

    def cycles(self, machine: KernelMachine) -> float:
        """Model of the whole layer on one core: transforms, matrix products, and their traffic beyond the caches."""
        conv, transform = self.conv, self.transform
        tile = matmul.tile_cycles(self.rows, self.vectors, conv.input_channels, machine)
        products = transform.positions * self.row_tiles * self.panels * tile
        slots = self.row_tiles * self.rows
        inputs = 2 * transform.tile * transform.input_operations / 2 + _SPILLED * transform.positions
        outputs = (transform.tile + transform.size) * transform.output_operations / 2 + _SPILLED * transform.positions
        transforms = slots * (conv.input_channels * inputs + self.panels * self.width * outputs) / self.lanes
        total = products + transforms + self._moved(machine)
        read = self.weights * _FLOAT
        if read > _LAST_CACHE_BYTES:
            read *= self.blocks
        return max(total, read / _MEMORY_BYTES_A_CYCLE)

    def _moved(self, machine: KernelMachine) -> float:
        """Cycles of moving weights, transformed inputs and matrix products."""
        positions, blocks = self.transform.positions, self.blocks
        weights = blocks * self.weights
        far = 0
        near = weights * (self.block - 1) if self.chunk * _FLOAT > machine.l1_bytes / 2 else 0
        block_inputs = self.block * self.rows * self.conv.input_channels
        if block_inputs * _FLOAT > machine.l1_bytes / 2:
            near += blocks * positions * self.panels * block_inputs
        group = positions * (self.inputs_apart + self.sums_apart)
        moved = blocks * positions * (block_inputs * (1 + self.groups) + 2 * self.sums_apart * self.groups)
        if group * _FLOAT > machine.l2_bytes * 3 / 4:
            far = moved
        cycles = near / _L2_BYTES_A_CYCLE + far / _FAR_BYTES_A_CYCLE + weights / _WEIGHTS_BYTES_A_CYCLE
        return _FLOAT * cycles


def sizes(conv: Convolution) -> list[int]:
    """Return the sizes of tiles that are known for a layer's kernel and stride."""
    shape = ((conv.kernel_height, conv.kernel_width), conv.strides)
    return [size for kernel, stride, size in TRANSFORMS if ((kernel, kernel), (stride, stride)) == shape]


def layouts(conv: Convolution, machine: KernelMachine, size: int) -> Iterator[tuple[float, Parameters]]:
    """Yield parameters with their cycles on the busiest core."""
    for rows, vectors in matmul.register_tiles(machine):
        tile = {"size": size, "rows": rows, "vectors": vectors}
        try:
            whole = Layout.of(conv, machine, {**tile, "block": 1, "groups": 1, "tasks": 1})
        except ValueError:  # larger than the layer
            continue
        for block in _blocks(whole, machine):
            for groups in sorted({1, -(-whole.panels // 4), whole.panels, min(machine.cores, whole.panels)}):
                layout = dataclasses.replace(whole, block=block, groups=groups)
                cycles = layout.cycles(machine)
                tasks = min(machine.cores, layout.units, max(1, int(cycles / tiling.MIN_TASK_CYCLES)))
                share = -(-layout.units // tasks) / layout.units
                yield cycles * share, {**tile, "block": block, "groups": groups, "tasks": tasks}


def _blocks(layout: Layout, machine: KernelMachine) -> list[int]:
    """Return numbers of row tiles in a block: some whose inputs take a part of the second cache, and all of them."""
    bytes_each = layout.transform.positions * layout.rows * layout.conv.input_channels * _FLOAT
    wanted = {1}
    for part in (1 / 8, 1 / 4, 1 / 2):
        count = -(-layout.row_tiles // max(1, int(machine.l2_bytes * part / bytes_each)))
        count = -(-count // machine.cores) * machine.cores
        wanted.add(-(-layout.row_tiles // count))
    if layout.row_tiles * bytes_each <= _MOST_BYTES:
        wanted.add(layout.row_tiles)
    return sorted(wanted)


def _apart(floats: int) -> int:
    """Round up to an odd number of cache lines, so that positions do not meet in the same sets."""
    return (-(-floats // LINE) | 1) * LINE
