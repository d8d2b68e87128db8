"""Names of networks: what they mean, grids, and what is refused."""

from __future__ import annotations

import pytest
from conftest import speaks_python
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.networks import architectures, variants
from mbench.networks.families import FAMILIES


def test_a_name_says_what_the_network_is() -> None:
    assert variants.parse("mobilenet_v1_0.5_160") == Variant(
        name="mobilenet_v1_0.5_160",
        family="mobilenet_v1",
        parameters={"width_multiplier": 0.5, "resolution": 160},
        convolution="depthwise_separable",
        batch=1,
        dtype="float32",
    )


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("mobilenet_v1_1_224", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1_1.00_224", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1_0.50_0160_standard", "mobilenet_v1_0.5_160_standard"),
        ("mobilenet_v1_1.4_32_shallow", "mobilenet_v1_1.4_32_shallow"),
        ("mobilenet_v1_0.25_4096_shallow_standard", "mobilenet_v1_0.25_4096_shallow_standard"),
        ("mobilenet_v1_shallow_0.5_128_standard", "mobilenet_v1_0.5_128_shallow_standard"),
        ("mobilenet_v2_2_32", "mobilenet_v2_2.0_32"),
        ("mobilenet_v4_hybrid_medium_0.75_224_standard_b8", "mobilenet_v4_hybrid_medium_0.75_224_standard_b8"),
    ],
)
def test_names_become_canonical(written: str, canonical: str) -> None:
    assert variants.parse(written).name == canonical


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("mobilenet_v1", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1_shallow", "mobilenet_v1_1.0_224_shallow"),
        ("mobilenet_v1_standard_b8", "mobilenet_v1_1.0_224_standard_b8"),
        ("mobilenet_v2_0.75", "mobilenet_v2_0.75_224"),
        ("mobilenet_v2_1", "mobilenet_v2_1.0_224"),
        ("mobilenet_v2_192", "mobilenet_v2_1.0_192"),
        ("mobilenet_v2_192_standard", "mobilenet_v2_1.0_192_standard"),
        ("mobilenet_v3_large", "mobilenet_v3_large_1.0_224"),
        ("mobilenet_v3_large_minimalistic", "mobilenet_v3_large_minimalistic_1.0_224"),
        ("mobilenet_v4_conv_small_0.5", "mobilenet_v4_conv_small_0.5_224"),
        ("mobilenet_v4_conv_medium", "mobilenet_v4_conv_medium_1.0_256"),
        ("mobilenet_v4_conv_large", "mobilenet_v4_conv_large_1.0_384"),
        ("mobilenet_v4_hybrid_large_448", "mobilenet_v4_hybrid_large_1.0_448"),
        ("efficientnet_lite0", "efficientnet_lite0_1.0_224"),
        ("efficientnet_lite3_standard", "efficientnet_lite3_1.0_280_standard"),
        ("efficientnet_lite4_0.5", "efficientnet_lite4_0.5_300"),
        ("mnasnet_b1", "mnasnet_b1_1.0_224"),  # a family, and no batch of 1
        ("mnasnet_b1_b1", "mnasnet_b1_1.0_224_b1"),
        ("mnasnet_b1_standard", "mnasnet_b1_1.0_224_standard"),
    ],
)
def test_what_a_name_leaves_out_is_the_familys_own(written: str, canonical: str) -> None:
    assert variants.parse(written).name == canonical


def test_a_grid_may_have_one_size_alone() -> None:
    assert variants.expand(["mobilenet_v2_{0.5,1,128}", "efficientnet_lite{0,1}"]) == (
        "mobilenet_v2_0.5_224", "mobilenet_v2_1.0_224", "mobilenet_v2_1.0_128", "efficientnet_lite0_1.0_224",
        "efficientnet_lite1_1.0_240",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "family", "convolution"),
    [
        ("", "mobilenet_v1", "depthwise_separable"),
        ("_standard", "mobilenet_v1", "standard"),
        ("_shallow", "mobilenet_v1_shallow", "depthwise_separable"),
        ("_shallow_standard", "mobilenet_v1_shallow", "standard"),
    ],
)
def test_suffixes(suffix: str, family: str, convolution: str) -> None:
    variant = variants.parse(f"mobilenet_v1_0.75_192{suffix}")
    assert (variant.family, variant.convolution) == (family, convolution)
    assert variant.parameters == {"width_multiplier": 0.75, "resolution": 192}


@given(
    family=st.sampled_from(sorted(FAMILIES)),
    width=st.integers(1, 200).map(lambda hundredths: hundredths / 100),
    resolution=st.integers(32, 4096),
    suffix=st.sampled_from(["", "_standard"]),
    batch=st.integers(1, 64),
)
def test_a_canonical_name_means_itself(family: str, width: float, resolution: int, suffix: str, batch: int) -> None:
    variant = variants.parse(f"{family}_{width}_{resolution}{suffix}", batch=batch)
    assert variant.family == family
    assert (*variant.parameters.values(), variant.batch) == (width, resolution, batch)
    assert variants.parse(variant.name, batch=batch) == variant


@given(st.text(max_size=40).filter(lambda text: not speaks_python(text)))
def test_any_text_is_a_variant_or_a_usage_error_of_one_line(text: str) -> None:
    try:
        variant = variants.parse(text)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - a name may be good, too
    else:
        assert variants.parse(variant.name) == variant


@given(st.text(alphabet="{},_mobilenetv1.0254", max_size=40))
def test_any_pattern_expands_or_is_a_usage_error(text: str) -> None:
    try:
        names = variants.expand([text])
    except UsageError:
        return
    assert [variants.parse(name).name for name in names] == list(names)


# --------------------------------------------------------------------------------------------------------------- grids
def test_braces_make_a_grid_in_order() -> None:
    assert variants.expand(["mobilenet_v1_{0.25,1}_{128,224}{,_standard}"]) == (
        "mobilenet_v1_0.25_128",
        "mobilenet_v1_0.25_128_standard",
        "mobilenet_v1_0.25_224",
        "mobilenet_v1_0.25_224_standard",
        "mobilenet_v1_1.0_128",
        "mobilenet_v1_1.0_128_standard",
        "mobilenet_v1_1.0_224",
        "mobilenet_v1_1.0_224_standard",
    )


def test_each_name_comes_once_however_it_is_written() -> None:
    patterns = ["mobilenet_v1_1_224", "mobilenet_v1_{1.0,0.5}_224", "mobilenet_v1_0.50_224"]
    assert variants.expand(patterns) == ("mobilenet_v1_1.0_224", "mobilenet_v1_0.5_224")


@pytest.mark.parametrize(
    "pattern",
    ["mobilenet_v1_{0.25,0.5_224", "mobilenet_v1_0.25,0.5}_224", "mobilenet_v1_{0.25,{0.5,1.0}}_224", "{", "}{"],
)
def test_unclosed_and_nested_braces_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="a brace is not closed or is nested; expected braces as in"):
        variants.expand([pattern])


def test_a_wrong_name_in_a_grid_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'mobilenet_v1_0\.25_31': resolution 31 is out of range"):
        variants.expand(["mobilenet_v1_0.25_{32,31}"])


# -------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("width", "said"),
    [
        ("0", "width multiplier 0 is out of range"),
        ("0.00001", "width multiplier 0.00001 is out of range"),  # its canonical form would be 1e-05, which is no name
        ("0.0", "width multiplier 0.0 is out of range"),
        ("-0.5", "width multiplier -0.5 is out of range"),
        ("2.01", "width multiplier 2.01 is out of range"),
        ("3", "width multiplier 3 is out of range"),
        ("wide", "width multiplier 'wide' is not a number"),
        ("nan", "width multiplier 'nan' is not a number"),
        ("inf", "width multiplier 'inf' is not a number"),
        ("1e-1", "width multiplier '1e-1' is not a number"),
        ("0.5.0", "width multiplier '0.5.0' is not a number"),
        ("", "width multiplier '' is not a number"),
    ],
)
def test_wrong_width_multipliers(width: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        variants.parse(f"mobilenet_v1_{width}_224")
    expected = "expected a number from 0.01 to 2.0, such as 0.25 or 1.0"
    assert str(caught.value) == f"variant 'mobilenet_v1_{width}_224': {said}; {expected}"


@pytest.mark.parametrize(
    ("resolution", "said"),
    [
        ("0", "resolution 0 is out of range"),
        ("31", "resolution 31 is out of range"),
        ("4097", "resolution 4097 is out of range"),
        ("-224", "resolution -224 is out of range"),
        ("big", "resolution 'big' is not a whole number"),
        ("9" * 5000, f"resolution '{'9' * 5000}' is not a whole number"),
        ("224.0", "resolution '224.0' is not a whole number"),
        ("", "resolution '' is not a whole number"),
    ],
)
def test_wrong_resolutions(resolution: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        variants.parse(f"mobilenet_v1_1.0_{resolution}")
    expected = "expected a whole number from 32 to 4096, such as 128 or 224"
    assert str(caught.value) == f"variant 'mobilenet_v1_1.0_{resolution}': {said}; {expected}"


@pytest.mark.parametrize("size", ["0.01_224", "2.0_224", "1.0_32", "1.0_4096"])
def test_the_limits_themselves_are_allowed(size: str) -> None:
    assert variants.parse(f"mobilenet_v1_{size}").name == f"mobilenet_v1_{size}"


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("mobilnet_v1_1.0_224", "'mobilenet_v1_1.0_224'"),
        ("mobilenet_v1_1.0_32_standrd", "'mobilenet_v1_1.0_32_standard'"),
        ("mobilenet_v1_standrd", "'mobilenet_v1_1.0_224_standard'"),
        ("mobilenetv2_140", "'mobilenet_v2_1.0_140'"),  # which says that 140 is a resolution here
        ("mobilenet_v3_large_minimalistik", "'mobilenet_v3_large_minimalistic_1.0_224'"),
        ("mobilenet_v1_1.0_224_standard_shallow", "'mobilenet_v1_1.0_224_shallow_standard'"),
        ("mobilenet_v4_medium", "'mobilenet_v4_conv_medium_1.0_256' or 'mobilenet_v4_hybrid_medium_1.0_256'"),
    ],
)
def test_a_slip_is_offered_as_it_was_meant(name: str, offered: str) -> None:
    with pytest.raises(UsageError) as caught:
        variants.parse(name)
    assert str(caught.value) == f"variant {name!r} is not known; did you mean {offered}? see 'mbench variants'"


@pytest.mark.parametrize(
    "name",
    [
        "resnet50", "", "224", "mobilenet_v5_1.0_224", "mnasnet_c1", "mobilenet_v2_shallow",
        "mobilenet_v1_1.0_9999_standrd", "mobilenet_v1_1.0_224_224", "mobilenet_v1_wide",
    ],
)  # fmt: skip
def test_nothing_is_offered_where_no_network_is_near(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        variants.parse(name)
    assert str(caught.value) == f"variant {name!r} is not known; see 'mbench variants'"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mobilenet_v2_31", "resolution 31 is out of range"),
        ("mobilenet_v2_5000", "resolution 5000 is out of range"),
        ("mobilenet_v2_0.001", "width multiplier 0.001 is out of range"),
        ("mobilenet_v2_3", "width multiplier 3 is out of range"),
        ("mobilenet_v2_224_0.5", "width multiplier 224 is out of range"),  # the other way round
    ],
)
def test_one_size_out_of_range(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        variants.parse(name)


@pytest.mark.parametrize("name", ["resnet50", "", "224"])
def test_what_is_no_variant_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is not known.* see 'mbench variants'"):
        variants.parse(name)


@pytest.mark.parametrize("dtype", ["int4", "float8", "float", ""])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(UsageError, match=f"dtype '{dtype}' is not supported; expected one of: float32, float16"):
        variants.parse("mobilenet_v1_1.0_224", dtype=dtype)


@pytest.mark.parametrize(
    ("name", "canonical", "dtype", "batch"),
    [
        ("mobilenet_v2_int8", "mobilenet_v2_1.0_224_int8", "int8", 1),
        ("mobilenet_v1_0.5_160_shallow_standard_int8_b8", "mobilenet_v1_0.5_160_shallow_standard_int8_b8", "int8", 8),
        ("mnasnet_b1_float16", "mnasnet_b1_1.0_224_float16", "float16", 1),
        ("mobilenet_v2_int8_standard", None, None, None),
    ],
)
def test_a_name_says_a_type_that_is_not_float32(
    name: str, canonical: str | None, dtype: str | None, batch: int | None
) -> None:
    if canonical is None:
        with pytest.raises(UsageError, match=r"is not known|is not a whole number"):
            variants.parse(name)
        return
    found = variants.parse(name)
    assert (found.name, found.dtype, found.batch) == (canonical, dtype, batch)
    assert (found.quantization is not None) == (dtype == "int8")
    assert variants.parse(name, dtype=dtype) == found
    assert variants.parse(name.replace(f"_{dtype}", ""), dtype=dtype) == found
    other = next(each for each in ("float32", "int8") if each != dtype)
    with pytest.raises(UsageError, match=f"is of type {dtype}, and {other} is asked for; leave one of them out"):
        variants.parse(name, dtype=other)


def test_a_twin_is_of_the_same_type() -> None:
    network = variants.parse("mobilenet_v2_0.5_96_int8_b4")
    twin = variants.paired_with(network)
    assert twin == variants.parse("mobilenet_v2_0.5_96_standard_int8_b4")
    assert variants.paired_with(twin) == network


def test_a_network_of_another_type_is_named_for_it() -> None:
    network = variants.parse("mobilenet_v2_0.5_96_b4")
    assert variants.of_type(network, "int8", QuantizationSettings()) == variants.parse("mobilenet_v2_0.5_96_int8_b4")


@pytest.mark.parametrize("batch", [0, -1])
def test_batches_must_be_positive(batch: int) -> None:
    with pytest.raises(UsageError, match=f"batch {batch} is not positive; expected 1 or more"):
        variants.parse("mobilenet_v1_1.0_224", batch=batch)


# ------------------------------------------------------------------------------------------------------------ baselines
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard"),
        ("mobilenet_v1_0.25_128_shallow", "mobilenet_v1_0.25_128_shallow_standard"),
    ],
)
def test_counterparts_are_each_others(name: str, other: str) -> None:
    assert variants.paired_with(variants.parse(name)) == variants.parse(other)
    assert variants.paired_with(variants.parse(other)) == variants.parse(name)


def test_the_catalog_is_what_is_published_of_every_family() -> None:
    names = variants.catalog()
    assert [variants.parse(name).name for name in names] == list(names)
    assert set(variants.DEFAULT) <= set(names)
    assert len(names) == len(set(names)) < 100
    listed = {family: [name for name in names if variants.parse(name).family == family] for family in FAMILIES}
    assert all(listed.values())
    # tables 4 to 7 of arXiv:1704.04861: 4 widths, 4 resolutions, and the standard convolutions
    assert len(listed["mobilenet_v1"]) == 4 * 4 + 1
    assert len(listed["mobilenet_v2"]) == 4 * 5 + 2  # the checkpoints of tensorflow/models' README
    assert listed["efficientnet_lite3"] == ["efficientnet_lite3_1.0_280"]


def test_every_network_of_the_catalog_has_layers() -> None:
    for name in variants.catalog():
        assert architectures.layers(variants.parse(name))[-1].output_shape == (1, 1000)


def test_a_name_can_have_a_batch_of_its_own() -> None:
    variant = variants.parse("mobilenet_v1_1_224_standard_b64", batch=8)
    assert (variant.name, variant.batch, variant.convolution) == ("mobilenet_v1_1.0_224_standard_b64", 64, "standard")
    other = variants.parse("mobilenet_v1_1.0_224_b64")
    assert variants.paired_with(variant) == other
    assert variants.paired_with(other) == variant
    assert variants.expand(["mobilenet_v1_1.0_224_b{1,8}"]) == ("mobilenet_v1_1.0_224_b1", "mobilenet_v1_1.0_224_b8")


def test_several_batches() -> None:
    assert variants.batches("1,8,8,64") == (1, 8, 64)


@pytest.mark.parametrize("text", ["1,0", "", "1,", "1;8", "eight", "1,65537", "-1", "1.5"])
def test_a_batch_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="is not in the range 1 to 65536; expected a number, or several as in 1,8,64"):
        variants.batches(text)


def test_a_name_with_too_large_a_batch() -> None:
    with pytest.raises(UsageError, match="batch 65537 is not in the range"):
        variants.parse("mobilenet_v1_1.0_224_b65537")


def test_a_grid_without_end_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="more than 10000 variants"):
        variants.expand(["mobilenet_v1_1.0_224" + "{,}" * 60])
