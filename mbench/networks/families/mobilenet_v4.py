"""MobileNetV4. Source: Qin et al., arXiv:2404.10518, appendix D; timm, `models/mobilenetv3.py`, `_gen_mobilenet_v4`.

As in timm: the convolution after the pool keeps its channels at every width, and the stem below 1.
"""

from mbench.networks.family import Family, divisible

_TAIL = "cn_k1_c960 pool cn_k1_c1280_fix fc_c1000"

_SMALL = f"""
    cn_k3_s2_c32_fix1
    cn_k3_s2_c32 cn_k1_c32
    cn_k3_s2_c96 cn_k1_c64
    uir_a5_k5_s2_e3_c96 uir_a0_k3_s1_e2_c96_r4 uir_a3_k0_s1_e4_c96
    uir_a3_k3_s2_e6_c128 uir_a5_k5_s1_e4_c128 uir_a0_k5_s1_e4_c128 uir_a0_k5_s1_e3_c128 uir_a0_k3_s1_e4_c128_r2
    {_TAIL}
"""
_MEDIUM = f"""
    cn_k3_s2_c32_fix1
    er_k3_s2_e4_c48
    uir_a3_k5_s2_e4_c80 uir_a3_k3_s1_e2_c80
    uir_a3_k5_s2_e6_c160 uir_a3_k3_s1_e4_c160_r2 uir_a3_k5_s1_e4_c160 uir_a3_k3_s1_e4_c160 uir_a3_k0_s1_e4_c160
    uir_a0_k0_s1_e2_c160 uir_a3_k0_s1_e4_c160
    uir_a5_k5_s2_e6_c256 uir_a5_k5_s1_e4_c256 uir_a3_k5_s1_e4_c256_r2 uir_a0_k0_s1_e4_c256 uir_a3_k0_s1_e4_c256
    uir_a3_k5_s1_e2_c256 uir_a5_k5_s1_e4_c256 uir_a0_k0_s1_e4_c256_r2 uir_a5_k0_s1_e2_c256
    {_TAIL}
"""
_LARGE = f"""
    cn_k3_s2_c24_fix1
    er_k3_s2_e4_c48
    uir_a3_k5_s2_e4_c96 uir_a3_k3_s1_e4_c96
    uir_a3_k5_s2_e4_c192 uir_a3_k3_s1_e4_c192_r3 uir_a3_k5_s1_e4_c192 uir_a5_k3_s1_e4_c192_r5 uir_a3_k0_s1_e4_c192
    uir_a5_k5_s2_e4_c512_r4 uir_a5_k0_s1_e4_c512 uir_a5_k3_s1_e4_c512 uir_a5_k0_s1_e4_c512_r2 uir_a5_k3_s1_e4_c512
    uir_a5_k5_s1_e4_c512 uir_a5_k0_s1_e4_c512_r3
    {_TAIL}
"""
_QUERY_160, _QUERY_256 = "mqa_k3_h4_s1_v2_d64_c160", "mqa_k3_h4_s1_d64_c256"
_HYBRID_MEDIUM = f"""
    cn_k3_s2_c32_fix1
    er_k3_s2_e4_c48
    uir_a3_k5_s2_e4_c80 uir_a3_k3_s1_e2_c80
    uir_a3_k5_s2_e6_c160 uir_a0_k0_s1_e2_c160 uir_a3_k3_s1_e4_c160 uir_a3_k5_s1_e4_c160
    {_QUERY_160} uir_a3_k3_s1_e4_c160 {_QUERY_160} uir_a3_k0_s1_e4_c160
    {_QUERY_160} uir_a3_k3_s1_e4_c160 {_QUERY_160} uir_a3_k0_s1_e4_c160
    uir_a5_k5_s2_e6_c256 uir_a5_k5_s1_e4_c256 uir_a3_k5_s1_e4_c256_r2 uir_a0_k0_s1_e2_c256 uir_a3_k5_s1_e2_c256
    uir_a0_k0_s1_e2_c256 uir_a0_k0_s1_e4_c256
    {_QUERY_256} uir_a3_k0_s1_e4_c256 {_QUERY_256} uir_a5_k5_s1_e4_c256
    {_QUERY_256} uir_a5_k0_s1_e4_c256 {_QUERY_256} uir_a5_k0_s1_e4_c256
    {_TAIL}
"""
_QUERY_192, _QUERY_512 = "mqa_k3_h8_s1_v2_d48_c192", "mqa_k3_h8_s1_d64_c512"
_HYBRID_LARGE = f"""
    cn_k3_s2_c24_fix1
    er_k3_s2_e4_c48
    uir_a3_k5_s2_e4_c96 uir_a3_k3_s1_e4_c96
    uir_a3_k5_s2_e4_c192 uir_a3_k3_s1_e4_c192_r3 uir_a3_k5_s1_e4_c192 uir_a5_k3_s1_e4_c192_r2
    {_QUERY_192} uir_a5_k3_s1_e4_c192 {_QUERY_192} uir_a5_k3_s1_e4_c192
    {_QUERY_192} uir_a5_k3_s1_e4_c192 {_QUERY_192} uir_a3_k0_s1_e4_c192
    uir_a5_k5_s2_e4_c512_r4 uir_a5_k0_s1_e4_c512 uir_a5_k3_s1_e4_c512 uir_a5_k0_s1_e4_c512_r2 uir_a5_k3_s1_e4_c512
    uir_a5_k5_s1_e4_c512
    {_QUERY_512} uir_a5_k0_s1_e4_c512 {_QUERY_512} uir_a5_k0_s1_e4_c512
    {_QUERY_512} uir_a5_k0_s1_e4_c512 {_QUERY_512} uir_a5_k0_s1_e4_c512
    {_TAIL}
"""

CONV_SMALL = Family(
    title="MobileNetV4 conv small", blocks=_SMALL, channels=divisible, grid=("{0.35,0.5}_224", "1.0_{224,256}")
)
CONV_MEDIUM = Family(
    title="MobileNetV4 conv medium", blocks=_MEDIUM, channels=divisible, resolution=256, grid=("1.0_{224,256}",)
)
CONV_LARGE = Family(
    title="MobileNetV4 conv large", blocks=_LARGE, channels=divisible, resolution=384, grid=("1.0_{256,384}",)
)
HYBRID_MEDIUM = Family(
    title="MobileNetV4 hybrid medium",
    blocks=_HYBRID_MEDIUM,
    channels=divisible,
    resolution=256,
    grid=("1.0_{224,256}",),
    layer_scale=True,
)
HYBRID_LARGE = Family(
    title="MobileNetV4 hybrid large",
    blocks=_HYBRID_LARGE,
    activation="gelu",
    channels=divisible,
    resolution=384,
    layer_scale=True,
)
