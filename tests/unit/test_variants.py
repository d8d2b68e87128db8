from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.core.records import Variant
from mbench.networks import variants


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
    ],
)
def test_names_become_canonical(written: str, canonical: str) -> None:
    assert variants.parse(written).name == canonical


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
    width=st.integers(1, 140).map(lambda hundredths: hundredths / 100),
    resolution=st.integers(32, 4096),
    suffix=st.sampled_from(["", "_standard", "_shallow", "_shallow_standard"]),
    batch=st.integers(1, 64),
)
def test_a_canonical_name_means_itself(width: float, resolution: int, suffix: str, batch: int) -> None:
    variant = variants.parse(f"mobilenet_v1_{width}_{resolution}{suffix}", batch=batch)
    assert (*variant.parameters.values(), variant.batch) == (width, resolution, batch)
    assert variants.parse(variant.name, batch=batch) == variant


@given(st.text(max_size=40))
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
        ("1.41", "width multiplier 1.41 is out of range"),
        ("2", "width multiplier 2 is out of range"),
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
    expected = "expected a number from 0.01 to 1.4, such as 0.25 or 1.0"
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


@pytest.mark.parametrize("size", ["0.01_224", "1.4_224", "1.0_32", "1.0_4096"])
def test_the_limits_themselves_are_allowed(size: str) -> None:
    assert variants.parse(f"mobilenet_v1_{size}").name == f"mobilenet_v1_{size}"


def test_an_unknown_family_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        variants.parse("mobilnet_v1_1.0_224")
    said = "variant 'mobilnet_v1_1.0_224' is not known; did you mean 'mobilenet_v1_1.0_224'? see 'mbench variants'"
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["resnet50", "", "224", "mobilenet_v1", "mobilenet_v1_1.0_224_standard_shallow"])
def test_what_is_no_variant_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is not known.* see 'mbench variants'"):
        variants.parse(name)


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "float", ""])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(UsageError, match=f"dtype '{dtype}' is not supported; expected one of: float32, float16"):
        variants.parse("mobilenet_v1_1.0_224", dtype=dtype)


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
    assert variants.paired_with(variants.parse(name)) == other
    assert variants.paired_with(variants.parse(other)) == name


def test_the_catalog_is_the_papers_grid_and_its_baselines() -> None:
    names = variants.catalog()
    assert len(names) == len(set(names)) == 4 * 4 + 2  # tables 4 to 7 of arXiv:1704.04861: 4 widths, 4 resolutions
    assert [variants.parse(name).name for name in names] == list(names)
    assert set(variants.DEFAULT) <= set(names)


def test_a_name_can_have_a_batch_of_its_own() -> None:
    variant = variants.parse("mobilenet_v1_1_224_standard_b64", batch=8)
    assert (variant.name, variant.batch, variant.convolution) == ("mobilenet_v1_1.0_224_standard_b64", 64, "standard")
    assert variants.paired_with(variant) == "mobilenet_v1_1.0_224_b64"
    assert variants.paired_with(variants.parse("mobilenet_v1_1.0_224_b64")) == variant.name
    assert variants.expand(["mobilenet_v1_1.0_224_b{1,8}"]) == ("mobilenet_v1_1.0_224_b1", "mobilenet_v1_1.0_224_b8")


def test_several_batches_are_several_networks_and_one_is_the_runs() -> None:
    names = ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard")
    assert variants.batches("1,8,8,64") == (1, 8, 64)
    assert variants.at_batches(names, (8,)) == names
    assert variants.at_batches(names, (1, 8)) == (
        "mobilenet_v1_1.0_224_b1", "mobilenet_v1_1.0_224_standard_b1",
        "mobilenet_v1_1.0_224_b8", "mobilenet_v1_1.0_224_standard_b8",
    )  # fmt: skip
    with pytest.raises(UsageError, match="is not known"):
        variants.at_batches(["mobilenet_v1_1.0_224_b4"], (1, 8))


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
