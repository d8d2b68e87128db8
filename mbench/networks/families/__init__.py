"""The families of networks that come with mbench, one module each; other packages add theirs by an entry point."""

from mbench.networks.families import mobilenet_v1

FAMILIES: dict[str, str] = {
    "mobilenet_v1": mobilenet_v1.BLOCKS,
    "mobilenet_v1_shallow": mobilenet_v1.SHALLOW_BLOCKS,
}
"""The blocks of each family, as `networks.architectures` reads them."""
