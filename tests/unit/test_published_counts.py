"""Counts as they are published, beside mbench's."""

from __future__ import annotations

import pytest

from mbench.core.errors import UsageError
from mbench.networks import published_counts, variants
from mbench.networks.families import FAMILIES
from mbench.networks.published_counts import ComparedNetwork


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], ComparedNetwork]:
    """Return all that is compared, by name and the beginning of the setting."""
    return {(each.row.name, each.row.setting.split()[0]): each for each in published_counts.compared()}


def test_every_family_is_compared_and_each_pair_once(found: dict[tuple[str, str], ComparedNetwork]) -> None:
    assert {each.row.variant.family for each in found.values()} == set(FAMILIES)
    assert not any(each.row.variant.dtype == "int8" for each in found.values())
    pairs = [
        (each.row.name, each.macs and each.macs.printed.text, each.params and each.params.printed.text)
        for each in published_counts.compared()
    ]
    assert len(pairs) == len(set(pairs))


def test_counts_of_mobilenet_v1_are_the_papers(found: dict[tuple[str, str], ComparedNetwork]) -> None:
    """But for 0.75 224, where the table of the checkpoints has 317 million and the paper 325, and for 0.25 192."""
    for (name, setting), each in found.items():
        if name.startswith("mobilenet_v1_") and setting == "MobileNetV1":
            assert each.macs is not None
            assert each.macs.agrees or name.endswith("_standard"), name
    slim = found["mobilenet_v1_0.75_224", "TensorFlow-Slim"].macs
    assert slim is not None
    assert not slim.agrees
    assert slim.difference == pytest.approx(325.4 / 317 - 1, abs=1e-3)


def test_counts_of_mobilenet_v2_are_all_the_published_ones(found: dict[tuple[str, str], ComparedNetwork]) -> None:
    v2 = [each for (name, _), each in found.items() if name.startswith("mobilenet_v2_")]
    assert len(v2) == 22
    assert all(each.macs and each.macs.agrees and each.params and each.params.agrees for each in v2)


def test_torchvision_counts_the_same_parameters(found: dict[tuple[str, str], ComparedNetwork]) -> None:
    """Its figures have all digits."""
    of_vision = [each for (_, setting), each in found.items() if setting == "torchvision,"]
    assert len(of_vision) == 4
    for each in of_vision:
        assert each.params is not None
        assert each.params.counted == round(each.params.printed.value)
        assert each.macs is not None
        assert each.macs.agrees


def test_the_counts_of_one_network() -> None:
    [each] = published_counts.compared(["efficientnet_lite0_1.0_224"])
    assert each.row.counted == "trained"
    assert each.params is not None
    assert each.params.counted == published_counts.trained(variants.parse("efficientnet_lite0"))
    assert each.params.agrees
    with pytest.raises(UsageError, match=r"no counts of 'mobilenet_v1_0\.6_224' are published; see 'mbench variants"):
        published_counts.compared(["mobilenet_v1_0.6_224"])
