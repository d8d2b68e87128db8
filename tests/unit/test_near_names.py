"""What a name that is not known was meant to be: near names are offered, and no other network's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import near_names
from mbench.networks.families import FAMILIES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mobilnet_v1_1.0_224", ["mobilenet_v1_1.0_224"]),
        ("mobilenet_v1_1.0_32_standrd", ["mobilenet_v1_1.0_32_standard"]),
        ("mobilenet_v1_1.0_32_standart_b8", ["mobilenet_v1_1.0_32_standard_b8"]),
        ("mobilenet_v1_1.0_224_standard_shallow", ["mobilenet_v1_1.0_224_shallow_standard"]),
        ("mobilenet_v1_standrd", ["mobilenet_v1_standard"]),
        ("mobilenetv2", ["mobilenet_v2"]),
        ("MobileNet-V2-0.75-160", ["mobilenet_v2_0.75_160"]),
        ("efficientnetlite0_1.0_224", ["efficientnet_lite0_1.0_224"]),
        ("mobilenet_v3_larg_0.75", ["mobilenet_v3_large_0.75"]),
        ("mobilenet_v3_large_minimalistik", ["mobilenet_v3_large_minimalistic"]),
        ("mobilenet_v4_conv_smal_1.0_224_shalow", ["mobilenet_v4_conv_small_1.0_224_shallow"]),
        ("mobilenet_v4_medium", ["mobilenet_v4_conv_medium", "mobilenet_v4_hybrid_medium"]),
    ],
)
def test_a_slip_is_mended_and_all_else_stays(name: str, meant: list[str]) -> None:
    assert list(near_names.suggested(name, FAMILIES)) == meant


@pytest.mark.parametrize(
    ("name", "first"),
    [("mobilenet_v3_1.0_224", "mobilenet_v3_large_1.0_224"), ("mobilenet_v4", "mobilenet_v4_conv_small")],
)
def test_a_family_that_is_several_offers_some_of_them(name: str, first: str) -> None:
    meant = near_names.suggested(name, FAMILIES)
    assert meant[0] == first
    assert len(meant) == 3


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v5_1.0_224", "efficientnet_lite5", "efficientnet_lite", "mnasnet_c1", "mnasnet", "resnet50", "224",
        "", "_", "mobilenet", "mobilenet_v1_wide_224", "mobilenet_v1_1.0_224_int8", "mobilenet_v1_1.0_224_224",
        "mobilenet_v1_1.0_224_standard_standard", "mobilenet_v1" * 20,
    ],
)  # fmt: skip
def test_what_is_no_slip_gets_no_offer(name: str) -> None:
    assert near_names.suggested(name, FAMILIES) == ()


@given(st.sampled_from(sorted(FAMILIES)), st.data())
def test_one_letter_left_out_is_mended_or_nothing_is_offered(family: str, data: st.DataObject) -> None:
    """Whatever is offered has the numbers of the name: `v1` is never mended to `v2`."""
    place = data.draw(st.integers(0, len(family) - 1))
    name = f"{family[:place]}{family[place + 1 :]}_0.5_96"
    for meant in near_names.suggested(name, FAMILIES):
        assert "".join(filter(str.isdigit, meant)) == "".join(filter(str.isdigit, name))
        assert "_0.5_96" in meant


@given(st.text(max_size=120))
def test_any_text_can_be_asked(text: str) -> None:
    near_names.suggested(text, FAMILIES)
