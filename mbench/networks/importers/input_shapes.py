"""The shapes of a network's inputs: as its file has them, and as the user says where the file leaves them open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mbench.core import units
from mbench.core.errors import CollisionError, UsageError, did_you_mean
from mbench.networks.operation_shapes import Extents

InputSide = int | str | None
"""The extent of an axis: a number, or open, with the name that the file has for it or with none."""

_BATCH = re.compile(r"n|bs|b|batch|batch[_ -]?size|.*batch.*", re.IGNORECASE)
_NO_BATCH = re.compile(
    r".*(height|width|seq|len|time|frame|chan|token|feature|row|col|dim_[1-9]).*|h|w|c|t|l", re.IGNORECASE
)
_OPTION = "--input-shape"


def settle(
    inputs: Mapping[str, Sequence[InputSide]], shapes: Mapping[str, Extents], batch: int | None
) -> dict[str, Extents]:
    """Return the shape of each input, every side of it known.

    A side that the file leaves open is the batch where it is called so, or is the first and called nothing else: it is
    `batch`, by default 1. What the user gives for one input holds for sides of the same name in others.

    Args:
        inputs: by name, the sides as the file has them.
        shapes: what the user gives, by the inputs' names.
        batch: what the user asks for; None for nothing.

    Raises:
        UsageError: a side is open, a shape is given for no input, or contradicts the file.
    """
    for name in shapes:
        if name not in inputs:
            near = did_you_mean(name, inputs)
            said = f"{_OPTION} {name}: the network has no such input; it has {', '.join(inputs)}{near}"
            raise CollisionError(said, _OPTION, "NETWORK")
    known = _known(inputs, shapes)
    found = {
        name: shapes[name] if name in shapes else _settled(name, sides, known, batch) for name, sides in inputs.items()
    }
    if batch is not None:
        _check_batch(inputs, found, batch)
    return found


def _known(inputs: Mapping[str, Sequence[InputSide]], shapes: Mapping[str, Extents]) -> dict[str, int]:
    """Return the sides by their names that follow from the shapes that the user gives."""
    known: dict[str, int] = {}
    for name, given in shapes.items():
        sides, said = inputs[name], units.shape(given)
        if len(given) != len(sides):
            wrong = f"{_OPTION} {name}: {said} has {len(given)} sides; the network's input has {len(sides)}"
            raise CollisionError(wrong, _OPTION, "NETWORK")
        for place, (side, extent) in enumerate(zip(sides, given, strict=True)):
            if extent < 1:
                raise UsageError(f"{_OPTION} {name}: a side of {extent}; expected whole numbers from 1")
            if isinstance(side, int) and side != extent:
                wrong = f"{_OPTION} {name}: side {place + 1} of {said} is {extent}; the file fixes it at {side}"
                raise CollisionError(wrong, _OPTION, "NETWORK")
            if isinstance(side, str) and known.setdefault(side, extent) != extent:
                raise UsageError(f"{_OPTION} {name}: {side!r} is {extent}, and {known[side]} elsewhere")
    return known


def _settled(name: str, sides: Sequence[InputSide], known: Mapping[str, int], batch: int | None) -> Extents:
    found = []
    for place, side in enumerate(sides):
        if isinstance(side, int):
            found.append(side)
        elif side in known:
            found.append(known[str(side)])
        elif _is_batch(side, place):
            found.append(1 if batch is None else batch)
        else:
            raise UsageError(_open(name, sides, place, batch))
    return tuple(found)


def _is_batch(side: str | None, place: int) -> bool:
    """Return whether a side that is open is the batch: by its name, or as the first that has no other's."""
    if side is not None and _BATCH.fullmatch(side):
        return True
    return place == 0 and not (side is not None and _NO_BATCH.fullmatch(side))


def _open(name: str, sides: Sequence[InputSide], place: int, batch: int | None) -> str:
    called = f" ({sides[place]})" if sides[place] else ""
    example = ",".join(
        str(side) if isinstance(side, int) else str(batch or 1) if _is_batch(side, axis) else _usual(len(sides), axis)
        for axis, side in enumerate(sides)
    )
    return (
        f"input {name!r} leaves side {place + 1} of {len(sides)}{called} open; say how large it is, such as: "
        f"{_OPTION} {name}={example}"
    )


def _usual(rank: int, axis: int) -> str:
    """Return what an open side might be, for an example: images are mostly of 3 channels and 224 pixels."""
    if rank == 4:
        return "3" if axis == 1 else "224"
    return "16"


def _check_batch(inputs: Mapping[str, Sequence[InputSide]], found: Mapping[str, Extents], batch: int) -> None:
    first = [(name, shape[0]) for name, shape in found.items() if shape]
    open_at_batch = any(
        not isinstance(side, int) and _is_batch(side, place) and found[name][place] == batch
        for name, sides in inputs.items()
        for place, side in enumerate(sides)
    )
    if first and not open_at_batch and all(extent != batch for _, extent in first):
        name, extent = first[0]
        fixed = isinstance(inputs[name][0], int)
        where = "the file fixes it" if fixed else f"{_OPTION} has it"
        raise CollisionError(
            f"--batch {batch}: the first side of input {name!r} is {extent}, and {where}; "
            + ("export the network with an open batch, or leave --batch out" if fixed else "give one of the two"),
            *("--batch", "NETWORK" if fixed else _OPTION),
        )
