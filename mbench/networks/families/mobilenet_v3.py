"""MobileNetV3. Source: Howard et al., arXiv:1905.02244, tables 1 and 2; timm, `models/mobilenetv3.py`.

As in timm: the convolution after the pool keeps its channels at every width, and the stem below 0.75. torchvision
scales both, and rounds the channels of an expansion after the width (timm: the expansion of channels already rounded),
so that its networks differ from these at widths other than 1. "Minimalistic" networks have neither squeeze-excite nor
hard-swish nor 5x5 convolutions (tensorflow/models, research/slim/nets/mobilenet/README.md).
"""

import re

from mbench.networks.family import Family, divisible

_LARGE = """
    cn_k3_s2_c16_fix0.75
    ds_k3_s1_c16_nre
    ir_k3_s2_e4_c24_nre ir_k3_s1_e3_c24_nre
    ir_k5_s2_e3_c40_se0.25_nre_r3
    ir_k3_s2_e6_c80 ir_k3_s1_e2.5_c80 ir_k3_s1_e2.3_c80_r2
    ir_k3_s1_e6_c112_se0.25_r2
    ir_k5_s2_e6_c160_se0.25_r3
    cn_k1_c960 pool cn_k1_c1280_fix_bias fc_c1000
"""
_SMALL = """
    cn_k3_s2_c16_fix0.75
    ds_k3_s2_c16_se0.25_nre
    ir_k3_s2_e4.5_c24_nre ir_k3_s1_e3.67_c24_nre
    ir_k5_s2_e4_c40_se0.25 ir_k5_s1_e6_c40_se0.25_r2
    ir_k5_s1_e3_c48_se0.25_r2
    ir_k5_s2_e6_c96_se0.25_r3
    cn_k1_c576 pool cn_k1_c1024_fix_bias fc_c1000
"""


def _minimalistic(blocks: str) -> str:
    return re.sub("_se0.25|_nre", "", blocks).replace("k5", "k3")


LARGE = Family(
    title="MobileNetV3 large", blocks=_LARGE, activation="hard_swish", channels=divisible, grid=("{0.75,1.0}_224",)
)
SMALL = Family(
    title="MobileNetV3 small", blocks=_SMALL, activation="hard_swish", channels=divisible, grid=("{0.75,1.0}_224",)
)
LARGE_MINIMALISTIC = Family(
    title="MobileNetV3 large minimalistic", blocks=_minimalistic(_LARGE), activation="relu", channels=divisible
)
SMALL_MINIMALISTIC = Family(
    title="MobileNetV3 small minimalistic", blocks=_minimalistic(_SMALL), activation="relu", channels=divisible
)
