"""Networks with their weights, lowered, for tests that run them."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbench.compile import to_relax
from mbench.core.records import Variant
from mbench.networks import weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(to_relax.Lowered):
    """A network whose `module` takes the image alone, and what it is checked against."""

    example: np.ndarray
    expected: np.ndarray


def lowered(variant: Variant) -> Network:
    """Return a network with its weights in place."""
    plain, drawn = to_relax.lower(variant), weights.draw(variant)
    module = to_relax.bind(plain.module, drawn.parameters)
    return Network(module=module, calls=plain.calls, example=drawn.example, expected=drawn.expected)
