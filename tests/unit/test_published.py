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


def test_names_are_the_variants_own() -> None:
    ours = [name for name in published.accuracies() if any(name.startswith(family) for family in FAMILIES)]
    assert len(ours) == 9
    assert [variants.parse(name).name for name in ours] == ours


def test_a_network_twice_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "published.csv").write_text("variant,top1_percent,source\na,1,x\na,2,y\n")
    monkeypatch.setattr(resources, "data_dir", lambda name: tmp_path)
    published.accuracies.cache_clear()
    with pytest.raises(ValueError, match="a twice"):
        published.accuracies()
    published.accuracies.cache_clear()
