"""MobileNetV2. Source: Sandler et al., arXiv:1801.04381, table 2; tensorflow/models, research/slim/nets/mobilenet.

The last convolution keeps its 1280 channels below width 1, and is wider above it.
"""

from mbench.networks.family import Family, divisible

_BLOCKS = """
    cn_k3_s2_c32 ds_k3_s1_c16 ir_k3_s2_e6_c24_r2 ir_k3_s2_e6_c32_r3 ir_k3_s2_e6_c64_r4 ir_k3_s1_e6_c96_r3
    ir_k3_s2_e6_c160_r3 ir_k3_s1_e6_c320 cn_k1_c1280_fix1 pool fc_c1000
"""

MOBILENET_V2 = Family(
    title="MobileNetV2",
    blocks=_BLOCKS,
    activation="relu6",
    channels=divisible,
    grid=("{0.35,0.5,0.75,1.0}_{96,128,160,192,224}", "{1.3,1.4}_224"),
)
