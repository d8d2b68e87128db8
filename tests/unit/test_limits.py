from __future__ import annotations

from pathlib import Path

import pytest

from mbench.analysis import labels
from mbench.core.errors import UsageError
from mbench.gating import limits
from mbench.gating.limits import Limits
from mbench.gating.matching import LayerKind

SMALL, LARGE = "mobilenet_v1_0.25_128", "mobilenet_v1_1.0_224"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "mbench.toml"
    file.write_text(
        '[gate.thresholds]\nlatency = "3%"\n"layer.instructions" = "1%"\n'
        f'"{SMALL}:depthwise_conv2d.latency" = "9%"\n\n[gate.sensitivity]\nlatency = "8%"\n'
    )
    return file


def test_the_defaults_are_the_documented_ones() -> None:
    default = Limits()
    assert default.threshold(SMALL, None, "latency") == 0.01
    assert default.threshold(SMALL, LayerKind("dense"), "latency") == 0.02
    assert {default.threshold(SMALL, None, name) for name in ("instructions", "loads", "stores")} == {0.002}
    assert {default.threshold(SMALL, LayerKind("pool"), name) for name in ("instructions", "loads", "stores")} == {
        0.005
    }
    for exact in ("memory", "weight_bytes", "macs"):
        assert default.threshold(SMALL, None, exact) == default.threshold(SMALL, LayerKind("dense"), exact) == 0.0
    assert default.sensitivity(SMALL, None, "latency") == pytest.approx(0.02)
    assert default.sensitivity(SMALL, LayerKind("dense"), "latency") == pytest.approx(0.10)


def test_the_file_comes_after_the_defaults_and_the_command_line_after_the_file(config: Path) -> None:
    from_file = limits.read(config)
    assert from_file.threshold(SMALL, None, "latency") == pytest.approx(0.03)
    assert from_file.threshold(SMALL, LayerKind("dense"), "latency") == 0.02
    assert from_file.threshold(LARGE, LayerKind("dense"), "instructions") == pytest.approx(0.01)
    assert from_file.sensitivity(LARGE, None, "latency") == pytest.approx(0.08)
    both = limits.read(config, ["latency=4%"], ["latency=5.5%"])
    assert both.threshold(SMALL, None, "latency") == pytest.approx(0.04)
    assert both.sensitivity(SMALL, None, "latency") == pytest.approx(0.055)
    assert both.threshold(SMALL, LayerKind("dense"), "instructions") == pytest.approx(0.01)


def test_scopes_and_globs_choose(config: Path) -> None:
    read = limits.read(config)
    assert read.threshold(SMALL, LayerKind("depthwise_conv2d"), "latency") == pytest.approx(0.09)
    assert read.threshold(SMALL, LayerKind("pointwise_conv2d"), "latency") == 0.02
    assert read.threshold(LARGE, LayerKind("depthwise_conv2d"), "latency") == 0.02
    some = limits.read(config, ["mobilenet_v1_0.25_*:layer.latency=7%", "mobilenet_v1_*:network.memory=1%"])
    assert some.threshold(SMALL, LayerKind("pool"), "latency") == pytest.approx(0.07)
    assert some.threshold(LARGE, LayerKind("pool"), "latency") == 0.02
    assert some.threshold(LARGE, None, "memory") == pytest.approx(0.01)
    assert some.threshold("mobilenet_v2_1.0_224", None, "memory") == 0.0


@pytest.mark.parametrize("op", labels.OPS)
def test_each_kind_of_layer_has_a_scope(op: str) -> None:
    read = limits.read(None, [f"mobilenet_v2_*:{op}.latency=9%"])
    for variant, expected in (("mobilenet_v2_0.35_96", 0.09), ("mobilenet_v1_0.25_32", 0.02)):
        assert read.threshold(variant, LayerKind(op), "latency") == pytest.approx(expected)
    assert read.threshold("mobilenet_v2_0.35_96", LayerKind("unheard_of"), "latency") == 0.02


def test_roles_and_blocks_choose() -> None:
    read = limits.read(None, ["role.expand.latency=5%", "mobilenet_v2_*:block.block1[0-3].latency=7%"])
    expand, project = (LayerKind("pointwise_conv2d", role, "block10") for role in ("expand", "project"))
    assert read.threshold(SMALL, expand, "latency") == pytest.approx(0.05)
    assert read.threshold(SMALL, project, "latency") == 0.02
    assert read.threshold("mobilenet_v2_1.0_224", expand, "latency") == pytest.approx(0.07)
    elsewhere = project._replace(block="block1")
    assert read.threshold("mobilenet_v2_1.0_224", elsewhere, "latency") == 0.02
    assert read.threshold("mobilenet_v2_1.0_224", elsewhere._replace(block=None), "latency") == 0.02
    assert read.threshold("mobilenet_v2_1.0_224", None, "latency") == 0.01
    any_role = limits.read(None, ["role.*.macs=1%", "block.features.3.macs=2%"])
    assert any_role.threshold(SMALL, expand, "macs") == pytest.approx(0.01)
    assert any_role.threshold(SMALL, expand._replace(block="features.3"), "macs") == pytest.approx(0.02)


def test_the_last_entry_that_fits_counts() -> None:
    read = limits.read(None, ["dense.latency=5%", "layer.latency=6%", "dense.macs=1%"])
    assert read.threshold(SMALL, LayerKind("dense"), "latency") == pytest.approx(0.06)


def test_a_file_in_this_folder_is_found_and_none_is_fine(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    assert limits.read(None).threshold(SMALL, None, "latency") == pytest.approx(0.03)
    config.unlink()
    assert limits.read(None) == Limits()


@pytest.mark.parametrize("value", ["0%", "0", "-3%", "3", "nan%", "inf%", "%", "", "1001%", "3 %%", "0.000%", "1e1%"])
def test_a_threshold_that_is_no_percentage_above_zero_is_refused(value: str) -> None:
    given = [f"latency={value}"]
    for options in ((given, ()), ((), given)):
        with pytest.raises(UsageError, match="expected a percentage above 0"):
            limits.read(None, *options)


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "latency": "expected SELECTOR=PERCENT",
        "latncy=3%": "did you mean 'latency'",
        "lyer.latency=3%": "did you mean 'layer'",
        "depthwise_conv.latency=3%": "did you mean 'depthwise_conv2d'",
        "role.depthwse.latency=3%": "did you mean 'depthwise'",
        "role.thing.latency=3%": "expected one of: stem, expand",
        "role..latency=3%": "is not known",
        "block..latency=3%": "is not known",
        "presence=3%": "'presence' of 'presence' is not known",
        "=3%": "metric ''",
    }.items(),
)  # fmt: skip
def test_a_selector_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        limits.read(None, [text])


@pytest.mark.parametrize(
    ("content", "said"),
    {
        "[gate.thresholds": "not valid TOML",
        "gate = 3": "gate: got 3, expected a table",
        "[gate.threshold]": "gate.threshold: unknown key; did you mean 'thresholds'",
        "[gate]\nthresholds = 3": "gate.thresholds: got 3, expected a table",
        "[gate.thresholds]\nlatency = 3": "latency is 3, expected a percentage",
        "[gate.thresholds]\nlatency = '0%'": "'0%', expected a percentage above 0",
        "[gate.sensitivity]\nlatency = '-1%'": "'-1%', expected a percentage above 0",
        "[gate.sensitivity]\nspeed = '1%'": "metric 'speed'",
    }.items(),
)  # fmt: skip
def test_a_file_that_says_nonsense_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "mbench.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        limits.read(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_asked_for_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        limits.read(tmp_path / "none.toml")


def test_a_sensitivity_has_to_be_above_what_is_tolerated() -> None:
    read = limits.read(None, ["latency=5%"], ["latency=5%"])
    with pytest.raises(UsageError, match="expected more than its threshold"):
        read.sensitivity(SMALL, None, "latency")
