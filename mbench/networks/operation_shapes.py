"""The shape that each operation of a graph gives, from the shapes that it reads and its attributes.

`networks.operations` has the table of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mbench.networks import rearranging
from mbench.networks.graph import GraphError

Extents = tuple[int, ...]
Attributes = Mapping[str, Any]


def conv2d(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape (N, O, H, W) of a convolution."""
    image, weight = inputs[0], inputs[1]
    groups = attributes["groups"]
    if groups < 1:
        raise GraphError(f"a convolution in {groups} groups; expected at least 1")
    if image[1] % groups or weight[0] % groups or weight[1] != image[1] // groups:
        raise GraphError(f"a convolution of {image[1]} channels in {groups} groups cannot have weights {weight}")
    sides = _sides(image[2:], weight[2:], attributes["strides"], attributes["padding"], attributes["dilation"])
    return (image[0], weight[0], *sides)


def _sides(
    sides: Extents, kernel: Extents, strides: Extents, padding: Extents, dilation: Extents = (1, 1), *, up: bool = False
) -> Extents:
    """Return how many places a window has along each side.

    `up`: the last may reach beyond the padding, but begins inside the image or before it (torch, `ceil_mode`).
    """
    if min(*kernel, *strides, *dilation) < 1:
        raise GraphError(f"a window of {kernel}, strides {strides}, dilation {dilation}; expected at least 1 each")
    found = []
    for axis in (0, 1):
        room = sides[axis] + padding[axis] + padding[axis + 2] - ((kernel[axis] - 1) * dilation[axis] + 1)
        if room < 0:
            raise GraphError(f"a window of {kernel[axis]} does not fit a side of {sides[axis]}")
        places = (-(-room // strides[axis]) if up else room // strides[axis]) + 1
        beyond = (places - 1) * strides[axis] >= sides[axis] + padding[axis]
        found.append(places - 1 if up and beyond else places)
    return tuple(found)


def pool(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of windows over an image."""
    image = inputs[0]
    up = bool(attributes.get("ceil_mode", False))
    dilation = attributes.get("dilation", (1, 1))
    sides = _sides(image[2:], attributes["kernel"], attributes["strides"], attributes["padding"], dilation, up=up)
    return (*image[:2], *sides)


def image_means(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape (N, C, 1, 1) of one number for each channel."""
    return (*inputs[0][:2], 1, 1)


def lookup(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape of what is looked up in a table of all 8-bit numbers."""
    if inputs[1] != (256,):
        raise GraphError(f"a table of 8-bit numbers has 256 entries, and this one is {inputs[1]}")
    return inputs[0]


def linear(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape (…, O) of a fully connected layer."""
    x, weight = inputs[0], inputs[1]
    if x[-1] != weight[1]:
        raise GraphError(f"a fully connected layer of {weight[1]} inputs cannot read {x}")
    return (*x[:-1], weight[0])


def matmul(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape (…, M, N) of matrix products."""
    left, right = inputs
    if left[-1] != right[-2]:
        raise GraphError(f"a matrix product of {left} and {right} is none")
    return (*broadcast((left[:-2], right[:-2]), {}), left[-2], right[-1])


def broadcast(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape that several have together."""
    rank = max(map(len, inputs))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in inputs]
    result = tuple(max(extents) for extents in zip(*aligned, strict=True))
    for shape in aligned:
        if any(extent not in (1, whole) for extent, whole in zip(shape, result, strict=True)):
            raise GraphError(f"shapes {' and '.join(map(str, inputs))} do not broadcast")
    return result


def reshape(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the new shape, of as many elements."""
    shape: Extents = tuple(attributes["shape"])
    if math.prod(shape) != math.prod(inputs[0]):
        raise GraphError(f"{inputs[0]} cannot be reshaped to {shape}")
    return shape


def rearrange(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the new shape, whose axes are made of whole parts as those of the old one are."""
    shape, parts = reshape(inputs, attributes), attributes["parts"]
    rearranging.grouped(range(len(parts)), parts, inputs[0])
    rearranging.grouped(attributes["order"], parts, shape)
    return shape


def concat(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of what lies beside each other."""
    first = inputs[0]
    axis = attributes["axis"] % len(first)
    if any(shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :] for shape in inputs):
        raise GraphError(f"{' and '.join(map(str, inputs))} cannot lie beside each other along axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])


def slice(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:  # noqa: A001 - the operation's name
    """Return the shape of each `step`-th element from `begin` on; see `places_of_slice`."""
    axis = attributes["axis"] % len(inputs[0])
    count = len(places_of_slice(attributes, inputs[0][axis]))
    if not count:
        begin, end = attributes["begin"], attributes["end"]
        raise GraphError(f"there is no part from {begin} to {end} of axis {axis} of {inputs[0]}")
    return (*inputs[0][:axis], count, *inputs[0][axis + 1 :])


def places_of_slice(attributes: Attributes, extent: int) -> range:
    """Return the places along an axis that a slice takes, in order; none where it is no part of the axis.

    `begin` is a place. `end` is the place before which it stops; None: it goes on to the last place, or with a negative
    step to the first.
    """
    begin, end, step = attributes["begin"], attributes["end"], attributes.get("step", 1)
    if end is None:
        end = extent if step > 0 else -1
    elif not 0 <= end <= extent:
        return range(0)
    return range(begin, end, step) if step and 0 <= begin < extent else range(0)


def same(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    """Return the shape of the first."""
    return inputs[0]


def conv2d_transpose(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape (N, O, H, W) of a transposed convolution."""
    image, weight = inputs[0], inputs[1]
    groups, padding = attributes["groups"], attributes["padding"]
    if image[1] % groups or weight[0] != image[1]:
        raise GraphError(
            f"a transposed convolution of {image[1]} channels in {groups} groups cannot have weights {weight}"
        )
    sides = tuple(
        (image[2 + axis] - 1) * attributes["strides"][axis]
        + (weight[2 + axis] - 1) * attributes["dilation"][axis]
        + 1
        + attributes["output_padding"][axis]
        - padding[axis]
        - padding[2 + axis]
        for axis in (0, 1)
    )
    if min(sides) < 1:
        raise GraphError(f"a transposed convolution of {image} by {weight} with padding {padding} leaves nothing")
    return (image[0], weight[1] * groups, *sides)


def resize2d(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of a resized image."""
    if len(inputs[0]) != 4 or min(attributes["size"]) < 1:
        raise GraphError(f"{inputs[0]} is no image that is resized to {attributes['size']}")
    return (*inputs[0][:2], *attributes["size"])


def pad(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape with what is added on all sides."""
    shape, widths = inputs[0], attributes["widths"]
    if len(widths) != len(shape) or any(min(pair) < 0 for pair in widths):
        raise GraphError(f"{shape} cannot be padded by {widths}; expected two widths for each axis, none negative")
    room = {"reflect": 1, "edge": 0}.get(attributes["mode"])
    if room == 1 and any(max(pair) > extent - 1 for pair, extent in zip(widths, shape, strict=True)):
        raise GraphError(f"{shape} is too small to be reflected by {widths}")
    return tuple(before + extent + after for (before, after), extent in zip(widths, shape, strict=True))


def like_first(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of the first, to which the others broadcast."""
    if broadcast(inputs, attributes) != inputs[0]:
        raise GraphError(f"{' and '.join(map(str, inputs[1:]))} does not broadcast to {inputs[0]}")
    return inputs[0]


def by_channel(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of the first, (N, C, …); the others have one number for each channel."""
    image, groups = inputs[0], attributes.get("groups", 1)
    if len(image) < 2 or image[1] % groups or any(shape != (image[1],) for shape in inputs[1:]):
        raise GraphError(f"{image} in {groups} groups cannot be normalised by {' and '.join(map(str, inputs[1:]))}")
    return image


def axes_of(attributes: Attributes, rank: int) -> Extents:
    """Return the axes of a reduction in order, none of them negative."""
    return tuple(sorted({axis % rank for axis in attributes["axes"]}))


def reduction(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape without the axes that are reduced, or with 1 in their places."""
    axes = axes_of(attributes, len(inputs[0]))
    kept = [1 if axis in axes else extent for axis, extent in enumerate(inputs[0])]
    return tuple(extent for axis, extent in enumerate(kept) if attributes["keepdims"] or axis not in axes)


def place(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape of the places of the largest or smallest elements along one axis."""
    return reduction(inputs, {"axes": (attributes["axis"],), "keepdims": attributes["keepdims"]})


def gather(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape with that of the indices in the place of the axis."""
    x, indices = inputs
    axis = attributes["axis"] % len(x)
    return (*x[:axis], *indices, *x[axis + 1 :])


def expand(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    """Return the shape that is broadcast to."""
    shape: Extents = tuple(attributes["shape"])
    if broadcast((inputs[0], shape), {}) != shape:
        raise GraphError(f"{inputs[0]} does not broadcast to {shape}")
    return shape
