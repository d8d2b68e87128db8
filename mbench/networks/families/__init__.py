"""The families of networks that come with mbench, one module each; other packages add theirs by an entry point."""

from mbench.networks.blocks import Family
from mbench.networks.families import mobilenet_v1, mobilenet_v2

FAMILIES: dict[str, Family] = {
    "mobilenet_v1": mobilenet_v1.MOBILENET_V1,
    "mobilenet_v1_shallow": mobilenet_v1.SHALLOW,
    "mobilenet_v2": mobilenet_v2.MOBILENET_V2,
}
"""Each family by the name that begins the names of its networks."""
