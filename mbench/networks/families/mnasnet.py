"""MnasNet. Source: Tan et al., arXiv:1807.11626, figure 7; tensorflow/tpu, models/official/mnasnet.

A1 has squeeze-excite, B1 has not. The last convolution keeps its channels at every width.
"""

from mbench.networks.family import Family, divisible, of_input

_A1 = """
    cn_k3_s2_c32 ds_k3_s1_c16_noskip ir_k3_s2_e6_c24_r2 ir_k5_s2_e3_c40_se0.25_r3 ir_k3_s2_e6_c80_r4
    ir_k3_s1_e6_c112_se0.25_r2 ir_k5_s2_e6_c160_se0.25_r3 ir_k3_s1_e6_c320 cn_k1_c1280_fix pool fc_c1000
"""
_B1 = """
    cn_k3_s2_c32 ds_k3_s1_c16_noskip ir_k3_s2_e3_c24_r3 ir_k5_s2_e3_c40_r3 ir_k5_s2_e6_c80_r3
    ir_k3_s1_e6_c96_r2 ir_k5_s2_e6_c192_r4 ir_k3_s1_e6_c320_noskip cn_k1_c1280_fix pool fc_c1000
"""

A1 = Family(
    title="MnasNet-A1",
    blocks=_A1,
    channels=divisible,
    squeezed=of_input,
    gate="sigmoid",
    grid=("{0.35,0.5,0.75,1.0,1.4}_224",),
)
B1 = Family(title="MnasNet-B1", blocks=_B1, channels=divisible, grid=("{0.5,0.75,1.0,1.4}_224",))
