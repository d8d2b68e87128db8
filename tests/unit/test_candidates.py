"""Which ways to make a kernel are tried."""

from __future__ import annotations

import dataclasses

import pytest
from tuning_world import TARGET

from mbench.compile import fusing
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.hardware import targets
from mbench.networks import architectures, variants
from mbench.tuning import candidates

pytest_plugins = ("tuning_fixtures",)


def test_kernels_to_tune_are_those_that_a_build_has() -> None:
    """What is fused is not tuned stage by stage: nobody would call what was found."""
    variant, target = variants.parse("mobilenet_v2_0.35_96"), targets.load("x86_64_v3")
    built = {group.name: group for group in fusing.plan(architectures.folded(variant).graph, KernelMachine.of(target))}
    assert any(group.stages for group in built.values())
    layers = {layer.split(" ")[1] for task in candidates.tasks(variant, target) for layer in task.layers}
    assert layers
    assert all(not built[layer].stages for layer in layers)


def test_tiles_are_all_different_and_not_the_rules_own(product_json: str) -> None:
    default, tiles = candidates.tiles(product_json, TARGET, 5)
    assert default.rule == "cpu.matmul"
    assert len({one.tile for one in (default, *tiles)}) == len(tiles) + 1
    rules = [one.rule for one in tiles]
    assert rules.count("cpu.matmul") == 5
    assert "cpu.convolution" in rules
    assert all(one.parameters for one in tiles)


def test_rules_that_are_not_asked_by_default_are_tried(product_json: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shy = dataclasses.replace(cpu.RULES["cpu.matmul"], by_default=lambda _kernel, _machine: False)
    monkeypatch.setattr(cpu, "RULES", {**cpu.RULES, "cpu.shy": shy})
    default, tiles = candidates.tiles(product_json, TARGET, 3)
    assert default.rule == "cpu.matmul"
    assert [one.rule for one in tiles].count("cpu.shy") == 3


def test_grids_are_of_the_chosen_tiles(product_json: str) -> None:
    default, _ = candidates.tiles(product_json, TARGET, 1)
    found = candidates.grids(product_json, TARGET, [default], 4)
    assert 0 < len(found) <= 4
    assert {one.tile for one in found} == {default.tile}
    assert default not in found
