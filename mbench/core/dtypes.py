"""The types of numbers: how wide each is, what it is summed in, how exact it is, what its operations are called.

The one table of them: no other module holds a size or a tolerance by type. Imports no numpy.
"""

from __future__ import annotations

import dataclasses
import re

from mbench.core.errors import UsageError

DEFAULT = "float32"
INT8 = "int8"
BFLOAT16 = "bfloat16"
FIGURES = (
    *("float64", "float32", "tfloat32", "bfloat16", "float16", "float8", "float4"),
    *("int64", "int32", "int16", "int8", "int4", "uint8"),
)
"""Types that a target's figures may be of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dtype:
    """A type that a network's weights and activations may have."""

    name: str
    bytes: int
    """Of one number."""
    accumulator: str
    """The type of sums, of biases and of what an activation function is applied to.

    Parts of a sum may be narrower: see `mbench.hardware.half_sums`.
    """
    network_tolerance: float
    """Largest error of a whole network's output, over the largest magnitude of the reference, which is float32."""
    kernel_tolerance: float
    """Largest error of one kernel's output against the same kernel made another way, over the largest magnitude."""
    energy: str
    """The key of `energy.multiply_j` and `energy.add_j` in a target's description."""
    operations: str
    """The field of a record's counters that counts its arithmetic, a multiply-add as two."""
    numpy: str
    """Its name in numpy."""
    floats: str
    """The type of what its networks compute in floating point."""
    depth: int = 1
    """Numbers of a row that are multiplied and added up in each sum by one instruction, where there is one for it."""
    outside: str | None = None
    """The type of a network's floating-point inputs and outputs, where it is another than that of its values."""

    def lanes(self, vector_bits: int) -> int:
        """Return how many numbers a vector of so many bits holds."""
        return vector_bits // (8 * self.bytes)


DTYPES = {
    dtype.name: dtype
    for dtype in (
        # Networks show errors up to 1e-5: kernels sum up to 9216 multiply-adds in another order than PyTorch does.
        # A wrong layer shows 1e-2 and more.
        Dtype(
            name="float32",
            bytes=4,
            accumulator="float32",
            network_tolerance=1e-4,
            kernel_tolerance=1e-4,
            energy="float32",
            operations="flops",
            numpy="float32",
            floats="float32",
        ),
        # Each layer's output is rounded to 11 bits: PyTorch's own networks show 8e-3 (1.0 224) to 3.2e-2 (0.25 32,
        # batch 16), so that a small mistake in one layer may pass; the tolerance of kernels is narrower. There, two
        # sums that are nearly the same can be rounded apart by 1e-3 of the largest. Where parts of sums are float16,
        # kernels show up to 2.1e-3, and networks 4.4e-2 (0.25 32; docs/float16.md): twice as much is allowed there.
        Dtype(
            name="float16",
            bytes=2,
            accumulator="float32",
            network_tolerance=5e-2,
            kernel_tolerance=2e-3,
            energy="float16",
            operations="flops",
            numpy="float16",
            floats="float16",
        ),
        # Each layer's output is rounded to 8 bits, eight times as coarsely as float16's. Networks show 8e-3 (V3 small)
        # to 1.7e-1 (V2 0.35 32), one with the channels of a layer shifted by one 3.6e-1 to 1.6. A smaller mistake may
        # pass, so that the tolerance of kernels is narrower: two sums that are nearly the same can be rounded apart by
        # 7.8e-3 of the largest.
        Dtype(
            name=BFLOAT16,
            bytes=2,
            accumulator="float32",
            network_tolerance=3e-1,
            kernel_tolerance=1.6e-2,
            energy="float16",
            operations="flops",
            numpy=BFLOAT16,
            floats=BFLOAT16,
            depth=2,
            outside=DEFAULT,
        ),
        # A network that is whole numbers from its first layer to its last has to give the reference's very numbers. A
        # layer that stays float may sum in another order, which moves single numbers behind it by one step.
        Dtype(
            name=INT8,
            bytes=1,
            accumulator="int32",
            network_tolerance=5e-2,
            kernel_tolerance=0.0,
            energy="int8",
            operations="integer_operations",
            numpy=INT8,
            floats="float32",
            depth=4,
        ),
    )
}
NAMES = tuple(DTYPES)
FLOATS = tuple(name for name, dtype in DTYPES.items() if dtype.floats == name)
"""Types of networks that compute in floating point."""
_VALUES = {"float64": 8, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Types that single values of a user's own network may have as well, such as indices and masks; bytes of a number."""
EIGHT_BITS = ("uint8", "int8")
"""Types of the values of quantised networks, whose multiplications are summed in int32."""
VALUE_TYPES = tuple(dict.fromkeys((*NAMES, *_VALUES)))
"""All types that values inside a network may have."""


def of(name: str) -> Dtype:
    """Return a type by its name.

    Raises:
        UsageError: no network can have it.
    """
    if name not in DTYPES:
        raise UsageError(f"dtype {name!r} is not supported; expected one of: {', '.join(DTYPES)}")
    return DTYPES[name]


def several(text: str) -> tuple[str, ...]:
    """Return the types that `--dtype` names, each once: `int8`, or `float32,int8`.

    Raises:
        UsageError: no network can have one of them.
    """
    return tuple(dict.fromkeys(of(part.strip()).name for part in text.split(",")))


def width(name: str) -> int:
    """Return the bytes of one number of a value inside a network; a file may have values of more types than networks.

    Raises:
        UsageError: no value can have that type.
    """
    return _VALUES[name] if name in _VALUES else of(name).bytes


def accumulator(name: str) -> str:
    """Return the type that values are summed in; see `width`.

    Raises:
        UsageError: no value can have that type.
    """
    return name if name in _VALUES else of(name).accumulator


def sums(name: str) -> str:
    """Return the type that multiplications of values are summed in: int32 for values of 8 bits; see `width`.

    Raises:
        UsageError: no value can have that type.
    """
    return "int32" if name in EIGHT_BITS else accumulator(name)


def kernel_tolerance(name: str, *, sums: str | None = None) -> float:
    """Return the largest error of a kernel's output of this type, over the largest magnitude: 0 of whole numbers.

    Args:
        name: of the type.
        sums: the type of parts of sums, where that is not the accumulator's.
    """
    if name in _VALUES and name != "float64":
        return 0.0
    return _looser(name, sums) * of(name).kernel_tolerance


def network_tolerance(name: str, *, sums: str | None = None) -> float:
    """Return the largest error of a network's output, over the largest magnitude of the reference.

    Args:
        name: of its type.
        sums: the type of parts of sums, where that is not the accumulator's.
    """
    return _looser(name, sums) * of(name).network_tolerance


def _looser(name: str, sums: str | None) -> int:
    return 2 if sums == name != of(name).accumulator else 1


def numpy_name(name: str) -> str:
    """Return what numpy calls the type of a value; indices and truths have types that no network is of."""
    return DTYPES[name].numpy if name in DTYPES else name


def outside(name: str) -> str:
    """Return the type of the floating-point inputs and outputs of a network of a type."""
    known = of(name)
    return known.outside or known.floats


def operation(name: str) -> str:
    """Return what an operation on numbers of a type is called beside figures: `FLOP`, or `OP` on whole numbers."""
    return "OP" if name in DTYPES and DTYPES[name].operations != DTYPES[DEFAULT].operations else "FLOP"


def depth(name: str) -> int:
    """Return how many numbers of a row an instruction adds up in each sum; 1 for a type that is not known here."""
    return DTYPES[name].depth if name in DTYPES else 1


def lanes(name: str, vector_bits: int) -> int | None:
    """Return how many numbers of a type a vector of so many bits holds; None for a name that states no size.

    A record of a later version may hold a type that networks cannot have here; its name states its bits.
    """
    bits = re.fullmatch(r"[a-z]+(\d+)", name)
    return vector_bits // int(bits[1]) if bits and int(bits[1]) > 0 else None
