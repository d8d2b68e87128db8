"""The families of networks that come with mbench, one module each; other packages add theirs by an entry point."""

from mbench.networks.families import efficientnet_lite, mnasnet, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4
from mbench.networks.family import Family

FAMILIES: dict[str, Family] = {
    "mobilenet_v1": mobilenet_v1.MOBILENET_V1,
    "mobilenet_v1_shallow": mobilenet_v1.SHALLOW,
    "mobilenet_v2": mobilenet_v2.MOBILENET_V2,
    "mobilenet_v3_large": mobilenet_v3.LARGE,
    "mobilenet_v3_small": mobilenet_v3.SMALL,
    "mobilenet_v3_large_minimalistic": mobilenet_v3.LARGE_MINIMALISTIC,
    "mobilenet_v3_small_minimalistic": mobilenet_v3.SMALL_MINIMALISTIC,
    "mobilenet_v4_conv_small": mobilenet_v4.CONV_SMALL,
    "mobilenet_v4_conv_medium": mobilenet_v4.CONV_MEDIUM,
    "mobilenet_v4_conv_large": mobilenet_v4.CONV_LARGE,
    "mobilenet_v4_hybrid_medium": mobilenet_v4.HYBRID_MEDIUM,
    "mobilenet_v4_hybrid_large": mobilenet_v4.HYBRID_LARGE,
    **{f"efficientnet_lite{number}": family for number, family in enumerate(efficientnet_lite.LITE)},
    "mnasnet_a1": mnasnet.A1,
    "mnasnet_b1": mnasnet.B1,
}
"""Each family by the name that begins the names of its networks."""
