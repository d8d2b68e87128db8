"""What `mbench variants --published` prints."""

from __future__ import annotations

import json

import pytest
from conftest import Mbench, assert_one_line
from printed import printed

from mbench.cli.variants import variants
from mbench.networks import published_counts
from mbench.terminal import published_listing


def test_the_table_fits_and_has_both_counts() -> None:
    listed = published_listing.counts(published_counts.compared())
    text = printed(*listed.parts)
    assert max(map(len, text.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "mobilenet_v2: TensorFlow-Slim checkpoints" in lines
    assert "1.0_224 301 M 300 M same 3.47 M 3.47 M same" in lines
    assert "0.75_224 325 M 317 M +2.6 % 2.57 M 2.59 M -0.8 %" in lines
    assert any(line.startswith("1.0_224_shallow 307 M 307 M same") for line in lines)
    assert len(listed.data) == len(published_counts.compared())


def test_the_document_and_one_network(run: Mbench) -> None:
    [entry] = json.loads(run(variants, "mobilenet_v2_0.35_96", "--published", "--json").out)
    assert entry["top1_percent"] == 45.5
    assert entry["source"].startswith("tensorflow/models")
    assert (entry["macs"]["printed"], entry["macs"]["agrees"]) == ("11M", True)
    assert entry["macs"]["difference"] == pytest.approx(entry["macs"]["counted"] / 11e6 - 1)
    assert entry["params_counted"] == "weights"
    assert_one_line(run(variants, "mobilenet_v2_0.6", "--published"), "no counts of 'mobilenet_v2_0.6_224'")
