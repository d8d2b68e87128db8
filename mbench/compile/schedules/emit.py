"""Writing kernels, statement by statement, with TVM's IRBuilder: flat arrays, vectors, registers, tasks for threads.

A schedule of TVM's own cannot split a loop into tiles of two sizes or leave out the taps that fall on the padding.
These kernels do both, so they are written out. What they compute is still read off the kernel that TVM made.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16
from mbench.compile.kernel import Kernel
from mbench.core import dtypes

_MAPPED = 16
"""Elements at once of `mapped`."""


class Writer:
    """Writes one kernel. Its parameters are those of `kernel`, seen as flat arrays; the weights may be packed.

    `packed_elements`: how many numbers the packed weights are; of several parameters, by their places.
    `packed_types`: the types of those that are packed as numbers of another type.
    `words`: the places of those whose elements are words, a pair of bfloat16 each.
    """

    def __init__(
        self, kernel: Kernel, *, packed_elements: Mapping[int, int] | int | None = None, words: Collection[int] = (),
        packed_types: Mapping[int, str] | None = None,
    ) -> None:  # fmt: skip
        self._kernel, self._words, self._types = kernel, words, packed_types or {}
        self._packed = packed_elements if isinstance(packed_elements, Mapping) else {1: packed_elements}
        self._builder = IRBuilder()
        self._flat: list[tuple[Any, Any]] = []

    @contextlib.contextmanager
    def function(self) -> Iterator[list[Any]]:
        """Open the function; yields its parameters as flat arrays, in order."""
        with self._builder, T.prim_func(is_private=True):
            T.func_attr({"tirx.noalias": True})
            shapes, types = list(self._kernel.parameter_shapes), list(self._kernel.parameter_dtypes)
            for place, elements in self._packed.items():
                if elements is not None:
                    shapes[place] = (elements,)
                    stored = self._types.get(place, bfloat16.stored(types[place]))
                    types[place] = bfloat16.WORD if place in self._words else stored
            declared = list(zip(shapes, types, strict=True))
            arguments = [T.arg(f"p{index}", T.buffer(*one)) for index, one in enumerate(declared)]
            flat = [
                _flat(f"p{index}", argument, declared[index], words=index in self._words)
                for index, argument in enumerate(arguments)
            ]
            self._flat = list(zip(self._kernel.function.params, flat, strict=True))
            with bfloat16.functions() if dtypes.BFLOAT16 in self._kernel.parameter_dtypes else contextlib.nullcontext():
                yield flat

    def result(self) -> tirx.PrimFunc:
        """Return the function as written."""
        return self._builder.get()

    def load(self, parameter: Any, indices: Sequence[Any]) -> Any:
        """Load an element of a parameter of the original kernel, by its original indices."""
        return load_of(self._flat, parameter, indices)


def load_of(arrays: Sequence[tuple[Any, Any]], parameter: Any, indices: Sequence[Any]) -> Any:
    """Load an element of a parameter by its indices. `arrays`: the flat array that each parameter lies in."""
    flat = next(flat for original, flat in arrays if original.same_as(parameter))
    return flat[raveled(indices, parameter.shape)]


def _flat(name: str, argument: Any, declared: tuple[tuple[int, ...], str], *, words: bool) -> Any:
    """Return a parameter as a flat array; of bfloat16, of what that is in memory."""
    shape, dtype = declared
    lies = bfloat16.WORD if words else bfloat16.stored(dtype)
    if len(shape) == 1 and lies == dtype:
        return argument
    size = math.prod(shape) // (bfloat16.PAIR if words else 1)
    return IRBuilder.name(name, T.decl_buffer((size,), lies, data=argument.data))


def vector(array: Any, start: Any, lanes: int) -> Any:
    """Load `lanes` elements from `start`."""
    return array[start] if lanes == 1 else array[tirx.Ramp(start, 1, lanes)]


def floats(array: Any, start: Any, lanes: int) -> Any:
    """Load `lanes` elements from `start`; bfloat16 as float32."""
    return bfloat16.widened(vector(array, start, lanes))


def store(array: Any, value: Any, start: Any, lanes: int) -> None:
    """Store `lanes` elements at `start`."""
    T.buffer_store(array, value, [start if lanes == 1 else tirx.Ramp(start, 1, lanes)])


def mapped(source: Any, target: Any, size: int, parts: int, function: Callable[[Any, int], Any]) -> None:
    """Store `function(elements, lanes)` of all elements, sixteen at once and then one by one, as so many tasks."""
    whole, rest = divmod(size, _MAPPED)
    for lanes, turns, first in ((_MAPPED, whole, 0), (1, rest, whole * _MAPPED)):
        if turns:
            with tasks(turns, min(parts, turns), 1, 1) as ((begin, count), _), loop(count) as turn:
                at = named(first + (begin + turn) * lanes)
                store(target, function(vector(source, at, lanes), lanes), at, lanes)


def indices(shape: Sequence[int], row: Any, column: Any) -> list[Any]:
    """Return a product's output indices: (…, row, column) of matrices, (n, y, x, c) of a convolution of every pixel."""
    if len(shape) != 4:
        return [*unraveled(row, shape[:-1]), column]
    batch, height, width, _ = shape
    return [
        0 if batch == 1 else tirx.floordiv(row, height * width),
        tirx.floormod(tirx.floordiv(row, width), height),
        tirx.floormod(row, width),
        column,
    ]


def raveled(indices: Sequence[Any], shape: Sequence[Any]) -> Any:
    """Return the place of an element of an array by its indices."""
    place: Any = 0
    for index, extent in zip(indices, shape, strict=True):
        place = place * int(extent) + index
    return place


def divided(place: Any, by: int) -> tuple[Any, Any]:
    """Return the quotient and the rest, each under a name."""
    return named(tirx.floordiv(place, by)), named(tirx.floormod(place, by))


def unraveled(place: Any, shape: Sequence[int]) -> list[Any]:
    """Return the indices of the element at a place of an array."""
    found: list[Any] = []
    for axis, extent in reversed(list(enumerate(shape))):
        if extent == 1:
            found.append(0)
        elif math.prod(shape[:axis]) == 1:
            found.append(place)
        else:
            found.append(tirx.floormod(place, extent))
            place = tirx.floordiv(place, extent)
    return found[::-1]


def matrix_of(lead: Sequence[Any], extents: Sequence[int]) -> Any:
    """Return which matrix of an operand with these leading axes a product reads: of an axis of 1, the only one."""
    place: Any = 0
    for index, extent in zip(lead, extents, strict=True):
        place = place * extent + (index if extent > 1 else 0)
    return place


def broadcast(value: Any, lanes: int) -> Any:
    """Return a vector of `lanes` copies."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


@contextlib.contextmanager
def lanes_of(lanes: int) -> Iterator[Any]:
    """Do what follows for each lane of a vector at once; yields the number of the lane."""
    if lanes == 1:
        yield 0
        return
    with T.vectorized(lanes) as number:
        yield number


class Accumulators:
    """`rows` x `vectors` registers of `lanes` elements: a small array each, which LLVM keeps in a register.

    The registers of a row may have fewer lanes than others: `lanes` is then those of each.

    One array for all of them, or scope `local`, becomes memory of TVM's workspace, and LLVM then writes sums back in
    every step. An array below 1 KiB of scope `global` lies on the stack, from where LLVM brings it into a register.
    """

    def __init__(self, rows: int, vectors: int, lanes: int | Sequence[int], dtype: str = "float32") -> None:
        self.rows, self.vectors, self.dtype = rows, vectors, dtype
        self.lanes = lanes if isinstance(lanes, int) else max(lanes)
        self._widths = [lanes] * vectors if isinstance(lanes, int) else list(lanes)
        self._arrays = [[T.alloc_buffer((each,), dtype) for each in self._widths] for _ in range(rows)]

    def in_one_row(self) -> Accumulators:
        """Return the same registers as one row, those of each row after those of the row before."""
        one = copy.copy(self)
        one.rows, one.vectors, one._widths = 1, self.rows * self.vectors, self._widths * self.rows
        one._arrays = [[array for row in self._arrays for array in row]]
        return one

    def each(self, body: Callable[[int, int, Any], Any]) -> None:
        """Set each register, element by element, to `body(row, vector, lane)`."""
        for row in range(self.rows):
            for column in range(self.vectors):
                with lanes_of(self._widths[column]) as lane:
                    self.set(row, column, lane, body(row, column, lane))

    def set(self, row: int, column: int, lane: Any, value: Any) -> None:
        """Set one element."""
        T.buffer_store(self._arrays[row][column], value, [lane])

    def element(self, row: int, column: int, lane: Any) -> Any:
        """Return one element."""
        return self._arrays[row][column][lane]

    def vector(self, row: int, column: int) -> Any:
        """Return a register."""
        return vector(self._arrays[row][column], 0, self.lanes)

    def add(self, row: int, column: int, value: Any) -> None:
        """Add a vector to a register; with a product as value it becomes a fused multiply-add."""
        array = self._arrays[row][column]
        lanes = self._widths[column]
        store(array, vector(array, 0, lanes) + value, 0, lanes)

    def keep_largest(self, row: int, column: int, value: Any) -> None:
        """Replace the elements of a register by those of a vector that are larger."""
        self.combine(row, column, value, tirx.max)

    def combine(self, row: int, column: int, value: Any, function: Callable[[Any, Any], Any]) -> None:
        """Replace a register by a function of it and a vector."""
        array = self._arrays[row][column]
        lanes = self._widths[column]
        store(array, function(vector(array, 0, lanes), value), 0, lanes)


def part(index: Any, parts: int, extent: int) -> tuple[Any, Any]:
    """Return where part `index` of `parts` nearly equal ones begins, and how long it is."""
    if parts == 1:
        return 0, extent
    if extent % parts == 0:
        return index * (extent // parts), extent // parts
    begin = tirx.floordiv(index * extent, parts)
    return begin, tirx.floordiv((index + 1) * extent, parts) - begin


@contextlib.contextmanager
def tasks(outer: int, outer_parts: int, inner: int, inner_parts: int) -> Iterator[tuple[tuple[Any, Any], ...]]:
    """Share outer_parts x inner_parts tasks out to the threads; yields ((begin, length) of outer, of inner)."""
    count = outer_parts * inner_parts
    if count == 1:
        yield (0, outer), (0, inner)
        return
    with T.parallel(count) as task:
        first = task if inner_parts == 1 else tirx.floordiv(task, inner_parts)
        second = tirx.const(0) if inner_parts == 1 else tirx.floormod(task, inner_parts)
        yield part(first, outer_parts, outer), part(second, inner_parts, inner)


@contextlib.contextmanager
def threads(work: int) -> Iterator[None]:
    """Start the threads for what follows, arrays and all; the `work` steps of `shared` in it are split among them."""
    if work == 1:
        yield
        return
    with T.attr(tirx.const(0), "pragma_parallel_launch_point", tirx.const(1)):
        yield


@contextlib.contextmanager
def shared(work: int) -> Iterator[Any]:
    """Repeat so many times; each thread does some turns in a row."""
    if work == 1:
        yield 0
        return
    with T.parallel(work) as turn:
        yield turn


def named(value: Any) -> Any:
    """Compute an index here, once, for all that is written after it."""
    return value if isinstance(value, int) else T.bind(value)


def overlap(first: Any, count: Any, begin: int, end: int, whole: int) -> tuple[Any, Any]:
    """Return where the part of [first, first + count) that lies in [begin, end) begins, and how long it is."""
    if isinstance(first, int) and isinstance(count, int):
        low, high = max(first, begin), min(first + count, end)
        return low, max(high - low, 0)
    low = first if begin == 0 else tirx.max(first, begin)
    high = first + count if end == whole else tirx.min(first + count, end)
    return low, high - low if (begin, end) == (0, whole) else tirx.max(high - low, 0)


def panel_start(panel: Any, width: int, channels: int) -> Any:
    """Return where a panel of channels starts: the last one may begin early, so as to end with the last channel."""
    start, last = panel * width, channels - width
    if isinstance(panel, int):
        return min(start, last)
    return start if channels % width == 0 else tirx.min(start, last)


@contextlib.contextmanager
def loop(count: Any) -> Iterator[Any]:
    """Repeat `count` times; yields the number of the turn, and writes no loop for a single one."""
    if isinstance(count, int) and count == 1:
        yield 0
        return
    with T.serial(count) as turn:
        yield turn


def turns(count: Any) -> Iterator[Any]:
    """Yield the number of the turn, once, inside of a loop of `count` turns; see `loop`."""
    with loop(count) as turn:
        yield turn


def lane(value: Any, number: int, lanes: int) -> Any:
    """Return one element of a vector, `lanes` times; Arm multiplies by it without a copy."""
    return tirx.Broadcast(tirx.Shuffle([value], [number]), lanes)


@contextlib.contextmanager
def inside(index: Any, bounds: tuple[int, int], *, always: bool) -> Iterator[None]:
    """Do what follows only where `index` lies in [low, high); `always` says that it is known to."""
    if always:
        yield
        return
    low, high = bounds
    with T.If(T.bind(tirx.And(index >= low, index < high))), T.Then():
        yield


def prefetch(array: Any, index: Any) -> None:
    """Ask for the line of cache around an element, into the second cache; an index past the end does no harm."""
    read, second_cache, data = (tirx.const(value, "int32") for value in (0, 2, 1))
    T.evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", tirx.address_of(array[index]), read, second_cache, data))
