"""What a family's blocks have in common: channels at a width multiplier, and attributes that cannot be."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import published_modules
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import block_words, family
from mbench.networks.block_words import BlockError, Word
from mbench.networks.family import Family
from mbench.networks.graph import GraphError

SOUND = Family(title="Acme", blocks=block_words.EXAMPLE)


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [
        (32, 1.0, 32),
        (64, 0.5, 32),
        (32, 0.75, 24),
        (64, 0.33, 21),  # 21.12, truncated
        (1024, 1.4, 1433),  # 1433.6, truncated
        (32, 0.25, 8),
        (32, 0.1, 8),  # 3.2, but never fewer than 8
        (1000, 0.29, 290),  # 0.29 * 1000 is 289.99999999999994 in binary
    ],
)
def test_mobilenet_v1_truncates_channels_to_at_least_8(channels: int, width: float, expected: int) -> None:
    assert family.truncated(channels, width) == expected


@given(channels=st.integers(1, 4096), hundredths=st.integers(1, 200))
def test_later_networks_round_channels_as_torchvision_and_timm_do(channels: int, hundredths: int) -> None:
    models, timm = published_modules.libraries()
    width = hundredths / 100
    expected = models._utils._make_divisible(channels * width, 8)
    assert timm.layers.make_divisible(channels * width) == expected
    assert family.divisible(channels, width) == expected


def test_channels_may_be_fixed_below_a_width() -> None:
    known = dataclasses.replace(SOUND, channels=family.divisible)
    always = Word(text="", kind="cn", channels=1280, fixed_below=math.inf)
    below = dataclasses.replace(always, fixed_below=1.0)
    never = dataclasses.replace(always, fixed_below=0.0)
    widths = (0.5, 1.0, 1.4)
    assert [known.channels_of(always, width) for width in widths] == [1280, 1280, 1280]
    assert [known.channels_of(below, width) for width in widths] == [1280, 1280, 1792]
    assert [known.channels_of(never, width) for width in widths] == [640, 1280, 1792]


def test_squeeze_excite_is_a_part_of_what_it_reads_or_of_what_came_before_the_expansion() -> None:
    word = Word(text="", kind="ir", squeeze=0.25, expansion=6.0)
    # arXiv:1905.02244 (V3: 72 channels have 24 inside); the reference code of arXiv:1807.11626 (A1: 480 have 20)
    assert family.of_expanded(72, word) == 24
    assert family.of_input(480, word) == 20
    assert family.of_input(1, dataclasses.replace(word, squeeze=0.01)) == 1


def test_what_lists_show_is_the_grid_or_the_own_size() -> None:
    assert dataclasses.replace(SOUND, resolution=192).listed == ("1.0_192",)
    grid = ("{0.5,1.0}_{96,128}", "1.4_224")
    assert dataclasses.replace(SOUND, grid=grid).listed == ("0.5_96", "0.5_128", "1.0_96", "1.0_128", "1.4_224")


# -------------------------------------------------------------------------------------------------------------- refused
def test_a_sound_family_is_taken() -> None:
    family.check(SOUND)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"title": "a\nb"}, "attribute 'title' is 'a\\nb'; expected a line of at most 60 characters"),
        ({"title": "\x1b[31mred"}, "attribute 'title'"),
        ({"title": "long" * 20}, "attribute 'title'"),
        ({"title": None}, "attribute 'title' is None"),
        ({"blocks": 7}, "attribute 'blocks' is 7; expected words as in"),
        ({"blocks": ["cn_k3_c8"]}, "attribute 'blocks' is of type list"),
        ({"blocks": "cn_k3_c8 pool"}, "'cn_k3_c8 pool' are no blocks: they begin with 'cn'"),
        ({"activation": "swoosh"}, "attribute 'activation' is 'swoosh'; expected one of: relu, relu6"),
        ({"activation": "clip"}, "attribute 'activation' is 'clip'"),  # which has attributes
        ({"gate": "add"}, "attribute 'gate' is 'add'"),  # which takes two values
        ({"channels": 8}, "attribute 'channels' is 8; expected a function"),
        ({"squeezed": None}, "attribute 'squeezed' is None; expected a function"),
        ({"layer_scale": 1e-5}, "attribute 'layer_scale' is 1e-05; expected True or False"),
        ({"norm_epsilon": 0.0}, "attribute 'norm_epsilon' is 0.0; expected a number above 0"),
        ({"norm_epsilon": math.nan}, "attribute 'norm_epsilon' is nan"),
        ({"resolution": "224"}, "attribute 'resolution' is '224'; expected a whole number"),
        ({"resolution": 8}, "its sizes cannot be: variant '1.0_8': resolution 8 is out of range"),
        ({"grid": "0.5_224"}, "attribute 'grid' is '0.5_224'; expected patterns"),
        ({"grid": (5,)}, "attribute 'grid' is of type tuple"),
        ({"grid": ("0.5_{224",)}, "its sizes cannot be: variant pattern '0.5_{224': a brace is not closed"),
        ({"grid": ("9.0_224",)}, "its sizes cannot be: variant '9.0_224': width multiplier 9.0 is out of range"),
        ({"grid": ("224",)}, "its sizes cannot be"),
        ({"grid": ("{0.5,1.0}" * 40,)}, "attribute 'grid' is of type tuple; expected at most 1000 sizes"),
    ],
)
def test_an_attribute_that_cannot_be_is_named(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(BlockError) as caught:
        family.check(dataclasses.replace(SOUND, **attributes))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("channels", [0, -3, 2.5, "8", None, True, 10**7])
def test_a_number_of_channels_that_cannot_be_is_refused(channels: Any) -> None:
    broken = dataclasses.replace(SOUND, channels=lambda _channels, _width: channels, squeezed=lambda *_: channels)
    with pytest.raises(GraphError, match=r"a layer of .* channels; expected a whole number from 1 to 1000000"):
        broken.channels_of(Word(text="", kind="cn", channels=8), 1.0)
    with pytest.raises(GraphError, match="channels; expected a whole number"):
        broken.channels_inside(8, Word(text="", kind="ir"))
