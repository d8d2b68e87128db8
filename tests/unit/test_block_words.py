"""Blocks as words: what each option means, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import block_words
from mbench.networks.block_words import BlockError, Word

AROUND = "cn_k3_s2_c32 {} pool fc_c10"


def word(text: str) -> Word:
    """Return the word between a stem and a head."""
    return block_words.read(AROUND.format(text))[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cn_k1_c960", Word(text="cn_k1_c960", kind="cn", channels=960)),
        ("cn_k3_s2_c16_fix0.75", Word(text="cn_k3_s2_c16_fix0.75", kind="cn", kernel=3, stride=2, channels=16,
                                      fixed_below=0.75)),
        ("cn_k1_c1280_fix_bias", Word(text="cn_k1_c1280_fix_bias", kind="cn", channels=1280, fixed_below=math.inf,
                                      bias=True)),
        ("dsa_k3_c64", Word(text="dsa_k3_c64", kind="dsa", kernel=3, channels=64)),
        ("ir_k5_s2_e2.5_c40_se0.25_nre", Word(text="ir_k5_s2_e2.5_c40_se0.25_nre", kind="ir", kernel=5, stride=2,
                                              expansion=2.5, channels=40, squeeze=0.25, activation="relu")),
        ("er_k3_s2_e4_c48_noskip", Word(text="er_k3_s2_e4_c48_noskip", kind="er", kernel=3, stride=2, expansion=4.0,
                                        channels=48, skips=False)),
        ("uir_a3_k0_e4_c80", Word(text="uir_a3_k0_e4_c80", kind="uir", start_kernel=3, kernel=0, expansion=4.0,
                                  channels=80)),
        ("mqa_k3_h4_v2_d64_c160", Word(text="mqa_k3_h4_v2_d64_c160", kind="mqa", kernel=3, heads=4, key_stride=2,
                                       head_channels=64, channels=160)),
    ],
)  # fmt: skip
def test_options(text: str, expected: Word) -> None:
    assert word(text) == expected


@pytest.mark.parametrize(
    ("option", "activation"),
    [("nre", "relu"), ("nr6", "relu6"), ("nhs", "hard_swish"), ("nsw", "silu"), ("nge", "gelu")],
)
def test_activations(option: str, activation: str) -> None:
    assert word(f"ds_k3_c16_{option}").activation == activation


def test_what_repeats_has_its_stride_the_first_time_alone() -> None:
    words = block_words.read(AROUND.format("ir_k3_s2_e6_c24_r3"))
    assert [each.stride for each in words] == [2, 2, 1, 1, 1, 1]
    assert [each.kind for each in words] == ["cn", "ir", "ir", "ir", "pool", "fc"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zz_k3_c16", "'zz_k3_c16' is no block: 'zz' is not known; expected one of: cn, dsa, ds"),
        ("conv_k3_s1_c64", "'conv' is not known"),
        ("ds_k3", "option 'c' is missing; it needs k, c, and may have s, r, n, se, noskip, fix"),
        ("ir_k3_c16", "option 'e' is missing"),
        ("uir_k3_e4_c16", "option 'a' is missing"),
        ("mqa_h4_c16", "option 'd' is missing"),
        ("ds_k3_c16_c32", "option 'c' is there twice"),
        ("ds_k3_e4_c16", "'e4' is no option of 'ds'"),
        ("cn_k3_c16_noskip", "'noskip' is no option of 'cn'"),
        ("ds_k3_c16_nxx", "'nxx' is no option"),
        ("ds_k3_c16_", "'' is no option"),
        ("ds_k3_s0_c16", "'s0' is no option"),
        ("ds_k3_s5_c16", "'s5' is no option"),
        ("ds_k3_c0", "'c0' is no option"),
        ("ds_k3_c-16", "'c-16' is no option"),
        ("ds_k3_c9999999", "'c9999999' is no option"),
        ("ds_k3_c16_r0", "'r0' is no option"),
        ("ds_k3_c16_r100", "'r100' is no option"),
        ("ds_k3_c16_se0", "'se0' is no option"),
        ("ds_k3_c16_se2", "'se2' is no option"),
        ("ir_k3_e0_c16", "'e0' is no option"),
        ("ir_k3_e0.0_c16", "'e0.0' is no option"),
        ("ir_k3_enan_c16", "'enan' is no option"),
        ("ds_k3_c16_fix0", "'fix0' is no option"),
        ("ds_k0_c16", "it has no kernel"),
        ("uir_a0_k0_s2_e4_c16", "it has no kernel"),
        ("mqa_h4_d16_s2_c16", "attention has stride 1"),
        ("pool_k7", "'k7' is no option of 'pool'; it has no options"),
        ("fc", "option 'c' is missing; it needs c"),
    ],
)
def test_a_word_that_is_none_is_named_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BlockError) as caught:
        word(text)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "they begin with 'cn', have 'pool', and end with 'fc'"),
        ("pool fc_c10", "they begin with 'cn'"),
        ("cn_k3_c8 fc_c10", "have 'pool'"),
        ("cn_k3_c8 pool", "end with 'fc'"),
        ("ds_k3_c8 pool fc_c10", "begin with 'cn'"),
        ("cn_k3_c8 pool pool fc_c10", "'pool' comes once"),
        ("cn_k3_c8 fc_c10 pool fc_c10", "'fc' comes once"),
        ("cn_k3_c8 pool ds_k3_c8 fc_c10", "'ds_k3_c8' stands between 'pool' and 'fc'"),
        ("cn_k3_c8 pool cn_k3_c8 fc_c10", "'cn_k3_c8' stands between 'pool' and 'fc'"),
        ("cn_k3_c8 " + "ds_k3_c8_r99 " * 6 + "pool fc_c10", "there are more than 500 blocks"),
    ],
)
def test_words_that_are_no_network_are_refused(text: str, said: str) -> None:
    with pytest.raises(BlockError) as caught:
        block_words.read(text)
    assert said in str(caught.value)


@given(st.text(alphabet="cnkdsairuem0123456789_. poolfch", max_size=60))
def test_any_text_is_a_network_or_refused_in_one_line(text: str) -> None:
    try:
        words = block_words.read(text)
    except BlockError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - it may be a network, too
    else:
        assert words[-1].kind == "fc"
