"""MobileNetV1. Source: Howard et al., arXiv:1704.04861, table 1.

The paper's table prints stride 2 for the last depthwise layer, but its output stays 7x7: the stride is 1, as in the
reference implementation (tensorflow/models, research/slim/nets/mobilenet_v1.py). "Shallow" removes the five layers of
14x14x512 (section 3.3, table 5). timm's `mobilenetv1_100` has ReLU6, and channels rounded to multiples of 8.
"""

from mbench.networks.family import Family

_STEM = "cn_k3_s2_c32 dsa_k3_s1_c64 dsa_k3_s2_c128 dsa_k3_s1_c128 dsa_k3_s2_c256 dsa_k3_s1_c256 dsa_k3_s2_c512"
_REPEATED = "dsa_k3_s1_c512_r5"
_TAIL = "dsa_k3_s2_c1024 dsa_k3_s1_c1024 pool fc_c1000"

MOBILENET_V1 = Family(
    title="MobileNetV1", blocks=f"{_STEM} {_REPEATED} {_TAIL}", grid=("{0.25,0.5,0.75,1.0}_{128,160,192,224}",)
)
SHALLOW = Family(title="MobileNetV1 shallow", blocks=f"{_STEM} {_TAIL}")
