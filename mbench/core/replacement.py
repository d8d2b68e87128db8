"""What a standard twin has in the place of which layers. Part of a record, and of an artifact's plan."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mbench.core.field_types import MOST_LAYERS, Count, Name, Strict


class Replacement(Strict, frozen=True, kw_only=True):
    """A standard convolution of a standard twin, and what it stands for in the network as it was."""

    layer: Name
    """The standard convolution, as the layers call it."""
    layers: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_LAYERS)]
    """The depthwise convolution, and the pointwise one after it if that was replaced too, as the network calls them."""
    macs_before: Count
    """Multiply-adds of these together."""
    macs: Count
    """Multiply-adds of the standard convolution."""
