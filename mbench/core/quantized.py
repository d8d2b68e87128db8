"""How a network of 8-bit whole numbers was made of one of float32, and what that cost in quality; for records."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mbench.core.field_types import MOST_LAYERS, Count, Name, Number, PositiveInt, Strict, Text, Texts

Proportion = Annotated[float, Meta(ge=0, le=1)]


class QuantizationSettings(Strict, frozen=True, kw_only=True):
    """How a network of float32 becomes one of 8-bit whole numbers; docs/int8.md defines what that computes."""

    activations: Text = "uint8"
    """`uint8` or `int8`."""
    largest_weight: PositiveInt = 127
    """Of the magnitudes of weights."""
    residual: Text = "fused"
    """`fused`: what a residual is added to is not rounded before; `rounded`: it is."""
    percentile: Number = 100.0
    """Of what the calibration saw of a value, its range leaves out (100 - percentile) % at each end; 100: nothing."""
    images: PositiveInt = 4
    """Batches of the calibration, where they are drawn."""
    calibration_sha256: Text | None = None
    """Of the images that the user gave; null: they were drawn."""
    evaluation_sha256: Text | None = None
    """Of the images and labels on which top-1 is counted; null: it is not."""
    preprocessing: Text | None = None
    """What becomes of the pictures that the user gave, see `networks.image_sets`; null: there are none."""
    keep_float: Texts = ()
    """Patterns of names of layers that were to stay float."""


class FloatLayer(Strict, frozen=True, kw_only=True):
    """An operation of a quantised network that is computed in floating point."""

    name: Text
    op: Text
    reason: Text


class SignalToNoise(Strict, frozen=True, kw_only=True):
    """How far a value of a quantised network is from the float32 network's, with all that was rounded before it."""

    name: Text
    """As the float32 network calls it."""
    sqnr_db: Number | None
    """10 log10(signal / noise), in powers; null: nothing differs, or there is no signal."""
    layer: Name | None = None
    """The layer of the quantised network that makes it; null: none does, as of the image, or it was not recorded."""


class Evaluation(Strict, frozen=True, kw_only=True):
    """Of the user's own network on the user's own images and labels: how often its largest output is the label.

    The outputs are those of the references, which a run compares the compiled networks with.
    """

    images: PositiveInt
    float32_correct: Count
    """By the network before quantisation."""
    int8_correct: Count
    agreeing: Count
    """Images for which both say the same, right or wrong."""


class QuantizationOutcome(Strict, frozen=True, kw_only=True):
    """What quantisation made of a network, beside the same network in float32; no accuracy follows from it."""

    left_float: Annotated[tuple[FloatLayer, ...], Meta(max_length=MOST_LAYERS)] = ()
    images: Count = 0
    """That were compared: drawn ones that the calibration did not see, or the first of the user's, which it saw."""
    drawn: bool = True
    """Whether these images, and with them the signals, were drawn."""
    values: Annotated[tuple[SignalToNoise, ...], Meta(max_length=MOST_LAYERS)] = ()
    """Of each value that is rounded to 8 bits, in order of execution."""
    outputs: Annotated[tuple[SignalToNoise, ...], Meta(max_length=MOST_LAYERS)] = ()
    agreement: Proportion | None = None
    """Share of the images whose largest output is the same; null: the output is no row of classes."""
    evaluation: Evaluation | None = None
    """Where images and labels were given."""
