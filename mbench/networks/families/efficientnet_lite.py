"""EfficientNet-Lite. Source: tensorflow/tpu, models/official/efficientnet/lite; Tan and Le, arXiv:1905.11946, table 1.

Each network has a width and a depth of its own; the width multiplier of a name comes on top. The stem and the last
convolution keep their channels, and the first and the last block their number, whatever the width and the depth.
"""

import functools
import math

from mbench.networks.family import Family, divisible

_STAGES = (
    ("ir_k3_s2_e6_c24", 2), ("ir_k5_s2_e6_c40", 2), ("ir_k3_s2_e6_c80", 3), ("ir_k5_s1_e6_c112", 3),
    ("ir_k5_s2_e6_c192", 4),
)  # fmt: skip


def _of_width(channels: int, width: float, *, own: float) -> int:
    return divisible(channels, own * width)


def _lite(number: int, *, width: float, depth: float, resolution: int) -> Family:
    stages = (f"{block}_r{math.ceil(repeats * depth)}" for block, repeats in _STAGES)
    blocks = ("cn_k3_s2_c32_fix ds_k3_s1_c16", *stages, "ir_k3_s1_e6_c320 cn_k1_c1280_fix pool fc_c1000")
    return Family(
        title=f"EfficientNet-Lite{number}",
        blocks=" ".join(blocks),
        activation="relu6",
        channels=functools.partial(_of_width, own=width),
        resolution=resolution,
    )


LITE = (
    _lite(0, width=1.0, depth=1.0, resolution=224),
    _lite(1, width=1.0, depth=1.1, resolution=240),
    _lite(2, width=1.1, depth=1.2, resolution=260),
    _lite(3, width=1.2, depth=1.4, resolution=280),
    _lite(4, width=1.4, depth=1.8, resolution=300),
)
"""The networks 0 to 4."""
