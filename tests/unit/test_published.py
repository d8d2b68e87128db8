"""Published accuracies, by the names of networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.core import resources
from mbench.networks import published, variants
from mbench.networks.families import FAMILIES


def test_accuracies_of_the_paper() -> None:
    found = published.accuracies()
    assert found["mobilenet_v1_1.0_224"].top1_percent == 70.6
    assert found["mobilenet_v1_1.0_224_standard"].top1_percent == 71.7
    assert found["mobilenet_v1_0.25_224"].top1_percent == 50.6
    assert all(0 < item.top1_percent < 100 and item.source for item in found.values())


@pytest.mark.parametrize(
    ("name", "top1_percent", "source"),
    [
        ("mobilenet_v2_0.35_96", 45.5, "tensorflow/models, research/slim"),
        ("mobilenet_v3_large_minimalistic_1.0_224", 72.3, "tensorflow/models, research/slim"),
        ("mobilenet_v4_conv_small_1.0_224", 73.756, "mobilenetv4_conv_small.e2400_r224_in1k"),
        ("mobilenet_v4_hybrid_large_1.0_384", 83.996, "mobilenetv4_hybrid_large.ix_e600_r384_in1k"),
        ("efficientnet_lite4_1.0_300", 81.5, "tensorflow/tpu"),
        ("mnasnet_a1_1.4_224", 77.2, "tensorflow/tpu"),
    ],
)
def test_accuracies_of_later_networks(name: str, top1_percent: float, source: str) -> None:
    found = published.accuracies()[name]
    assert found.top1_percent == top1_percent
    assert source in found.source


def test_names_are_canonical_and_of_every_family() -> None:
    names = list(published.accuracies())
    assert [variants.parse(name).name for name in names] == names
    assert {variants.parse(name).family for name in names} == set(FAMILIES)


def test_a_network_twice_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "published.csv").write_text("variant,top1_percent,source\na,1,x\na,2,y\n")
    monkeypatch.setattr(resources, "data_dir", lambda name: tmp_path)
    published.accuracies.cache_clear()
    with pytest.raises(ValueError, match="a twice"):
        published.accuracies()
    published.accuracies.cache_clear()
