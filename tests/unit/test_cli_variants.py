"""`mbench variants` as a user runs it."""

from __future__ import annotations

import json

from conftest import Mbench, assert_one_line

from mbench.cli.variants import variants


def test_variants_json_agrees_with_the_paper(run: Mbench) -> None:
    by_name = {entry["name"]: entry for entry in json.loads(run(variants, "--json").out)}
    full = by_name["mobilenet_v1_1.0_224"]
    assert round(full["macs"] / 1e6) == 569  # arXiv:1704.04861, table 8
    assert round(full["params"] / 1e6, 1) == 4.2
    layers = json.loads(run(variants, "mobilenet_v1_1.0_224", "--json").out)
    assert sum(layer["macs"] for layer in layers["layers"]) == full["macs"]


def test_one_network_is_listed_layer_by_layer_and_a_grid_by_network(run: Mbench) -> None:
    grid = json.loads(run(variants, "mobilenet_v1_{0.25,0.5}_32", "--json").out)
    assert [entry["name"] for entry in grid] == ["mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32"]
    layers = run(variants, "mobilenet_v1_0.25_32")
    assert layers.code == 0
    assert "block13.pw" in layers.out
    assert_one_line(run(variants, "mobilnet_v1_0.25_32"), "did you mean 'mobilenet_v1_0.25_32'?")
    assert_one_line(run(variants, ""), "variant '' is not known; see 'mbench variants'")
