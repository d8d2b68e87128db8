from __future__ import annotations

import pytest
import verdict_factory as make

from mbench.gating import groups


def test_sums_by_role_and_by_block() -> None:
    found = groups.of_findings([
        make.finding("block1.dw", base=1.0, ratio=2.0), make.finding("block1.pw", role="pointwise", base=3.0),
        make.finding("block2.dw", base=5.0),
    ])  # fmt: skip
    assert [(each.by, each.name, each.layers, each.base, each.head) for each in found] == [
        ("role", "depthwise", 2, 6.0, 7.0), ("role", "pointwise", 1, 3.0, 3.0),
        ("block", "block1", 2, 4.0, 5.0), ("block", "block2", 1, 5.0, 5.0),
    ]  # fmt: skip
    assert [each.ratio for each in found] == pytest.approx([7 / 6, 1.0, 5 / 4, 1.0])


def test_networks_metrics_and_ways_are_apart() -> None:
    found = groups.of_findings([
        make.finding("block1.dw"), make.finding("block1.dw", variant=make.LARGE), make.counted("block1.dw"),
        make.finding("block1.dw", way="recorded"),
    ])  # fmt: skip
    assert len(found) == 2 * 4
    assert {each.layers for each in found} == {1}


def test_what_is_of_the_network_or_of_one_run_alone_is_in_no_sum() -> None:
    assert (
        groups.of_findings(
            [make.finding(), make.bare("block1.dw", role="depthwise", block="block1", outcome="same", reason="")]
        )
        == ()
    )
    assert groups.of_findings([make.finding("x", metric="memory", role="depthwise")]) == ()


def test_a_layer_without_a_block_is_summed_by_its_role_alone() -> None:
    [only] = groups.of_findings([make.finding("features.3", role="other", block=None, base=0.0)])
    assert (only.by, only.name, only.ratio) == ("role", "other", None)
