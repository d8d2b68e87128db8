from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import record_factory as factory

from mbench.core.records import Layer, Record, Result


def script(name: str) -> ModuleType:
    """Import a module of benchmarks/, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


layout = script("layout")
machine = script("machine")
roofline = script("roofline")
NAME = "mobilenet_v1_1.0_224"
FIELDS = {"pointwise_conv2d": "fraction_of_peak", "depthwise_conv2d": "fraction_of_bound"}


def record(fractions: dict[str, float] | None = None, *, latency: bool = True) -> Record:
    """Return a record whose layers reach 90 % of what they are judged by, but for those named (`block1_pw`)."""
    made = factory.record([NAME], latency=latency)
    (result,) = made.results
    layers = tuple(reaching(layer, (fractions or {}).get(layer.name.replace(".", "_"), 0.9)) for layer in result.layers)
    target = msgspec.structs.replace(made.target, tvm={**made.target.tvm, "mtriple": "x86_64-linux-gnu"})
    return msgspec.structs.replace(made, target=target, results=(msgspec.structs.replace(result, layers=layers),))


def reaching(layer: Layer, fraction: float) -> Layer:
    field = FIELDS.get(layer.op)
    if layer.roofline is None or field is None:
        return layer
    return msgspec.structs.replace(layer, roofline=msgspec.structs.replace(layer.roofline, **{field: fraction}))


def verdicts(**fractions: float) -> list[str]:
    return [str(verdict) for verdict in roofline.verdicts(roofline.rows(record(fractions).results[0]))]


def test_all_layers_above_their_goals_meet_them() -> None:
    said = verdicts()
    assert [re.sub(r" +", " ", line).split(" min")[0] for line in said] == [
        "pointwise (11)",
        "pointwise, 7x7 or less (2)",
        "depthwise (13)",
    ]
    assert all(line.endswith("met") for line in said)


@pytest.mark.parametrize(
    ("layer", "fraction", "line", "met"),
    [
        ("block1_pw", 0.85, 0, True),
        ("block1_pw", 0.849, 0, False),
        ("block13_pw", 0.80, 1, True),  # 7x7: a lower goal
        ("block13_pw", 0.799, 1, False),
        ("block3_dw", 0.60, 2, True),
        ("block3_dw", 0.599, 2, False),
    ],
)
def test_one_layer_below_its_goal_misses_it_and_is_named(layer: str, fraction: float, line: int, met: bool) -> None:
    said = verdicts(**{layer: fraction})
    assert [("missed" in text) for text in said] == [number == line and not met for number in range(3)]
    assert met or f"missed: {layer.replace('_', '.')} at {100 * fraction:.1f} %" in said[line]


def test_of_several_the_lowest_is_named_and_the_others_counted() -> None:
    assert "missed: block2.dw at 20.0 %, and 1 more" in verdicts(block2_dw=0.2, block5_dw=0.3)[2]
    assert "min 20.0 %   median 90.0 % of bound" in verdicts(block2_dw=0.2)[2]


def test_a_row_names_every_kernel_s_rule_and_what_is_written() -> None:
    (result,) = record().results
    layer = next(layer for layer in result.layers if layer.name == "block2.dw")
    schedules = {"a": "cpu.one 2x4x8", "b": "cpu.two"}
    artifact = msgspec.structs.replace(result.artifact, schedules=schedules)
    odd = msgspec.structs.replace(layer, kernel="a + b + c", latency_s=(3e-6, 1e-6, 2e-6))
    (row,) = roofline.rows(msgspec.structs.replace(result, artifact=artifact, layers=(odd,)))
    assert row.rule == "cpu.one 2x4x8 + cpu.two + not known"
    assert row.median_s == 2e-6
    # 64 channels: 112x112 in, 56x56 out (stride 2), 9 weights and a bias each
    assert row.written == pytest.approx(56 * 56 / (112 * 112 + 56 * 56 + 10), rel=1e-3)


def test_layers_without_multiply_adds_have_no_row() -> None:
    (result,) = record().results
    without = [
        msgspec.structs.replace(layer, roofline=None) if layer.op == "pool" else layer for layer in result.layers
    ]
    rows = roofline.rows(msgspec.structs.replace(result, layers=tuple(without)))
    assert len(rows) == len(result.layers) - 1
    assert "pool" not in {row.op for row in rows}


def test_the_report_has_the_peaks_the_layers_the_goals_and_the_warnings() -> None:
    made = record({"block1_pw": 0.5})
    warned: Result = msgspec.structs.replace(made.results[0], warnings=("others were busy",))
    text = roofline.report(msgspec.structs.replace(made, results=(warned,)), markdown=False)
    assert "measured peaks: 200 GFLOP/s; reading L1 400 GB/s (32 KiB)" in text
    assert re.search(r"^block1\.pw +pointwise_conv2d +x86\.pointwise_conv2d .* 50\.0 %", text, re.M)
    assert "missed: block1.pw at 50.0 %" in text
    assert "warning: others were busy" in text
    assert "; 20 % written L1 200 GB/s, L2 75.0 GB/s, DRAM " in text
    assert "measured for reading and writing, in the layer's own mix of bytes read and written, 49 % of a" in text


def test_a_record_from_before_writing_was_measured_says_that_its_bound_has_no_writing() -> None:
    made = record()
    assert made.device.calibration is not None
    before = msgspec.structs.replace(made.device.calibration, mixes=())
    device = msgspec.structs.replace(made.device, calibration=before)
    text = roofline.report(msgspec.structs.replace(made, device=device), markdown=False)
    assert "measured for reading: there is no writing in it" in text
    assert "% written" not in text


def test_a_record_that_was_only_compiled_says_why_there_is_nothing() -> None:
    text = roofline.report(record(latency=False), markdown=False)
    assert "not measured" in text
    assert factory.NO_LATENCY in text
    assert "goal" not in text


def test_the_markdown_table_is_one() -> None:
    (result,) = record().results
    lines = roofline.table(roofline.rows(result), markdown=True).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[1] == "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |"


def test_json_holds_rows_and_verdicts() -> None:
    (network,) = roofline.as_json(record({"block1_pw": 0.5}))
    assert (network["variant"], network["threads"]) == (NAME, 2)
    assert [goal["missed"] for goal in network["goals"]] == [1, 0, 0]
    assert len(network["layers"]) == len(record().results[0].layers)
    assert msgspec.json.encode(network)


def test_a_table_lines_up() -> None:
    text = layout.table(("a", "n"), [("word", "1"), ("w", "100")])
    assert text.splitlines() == ["a       n", "word    1", "w     100"]
