from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import verdict_factory as make
from rich.console import Console, RenderableType

from mbench.core import units
from mbench.gating.comparison import Verdict
from mbench.gating.outputs import markdown, terminal


def printed(parts: list[RenderableType]) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=80, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part)
    return stream.getvalue()


def compared(verdict: Verdict) -> list[RenderableType]:
    return terminal.render(verdict.comparison)


RENDERERS: list[Callable[[Verdict], list[RenderableType]]] = [terminal.render, compared]


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("name", make.EVERY)
def test_eighty_columns_of_what_can_be_printed(name: str, render: Callable[[Verdict], list[RenderableType]]) -> None:
    text = printed(render(make.EVERY[name]))
    assert max(map(len, text.splitlines())) <= 80
    assert all(character.isprintable() or character == "\n" for character in text)


def test_the_verdict_comes_first_and_regressions_next() -> None:
    text = printed(terminal.render(make.regressed()))
    assert text.startswith("Regressed: mobilenet_v1_0.25_128 is 3.1 % slower (+2.6 to +3.6 %)")
    order = [
        "base  ",
        "Compared by paired",
        "Regressed: mob",
        "Undecided: mob",
        "Accepted: mob",
        "Improved: mob",
        "Notes",
    ]
    places = [text.rindex(part) if part == "Regressed: mob" else text.index(part) for part in order]
    assert places == sorted(places)
    flat = " ".join(text.split())
    for part in (
        "block3.dw latency 120 µs 132 µs +10.0 % 2 %",
        "latency of block3.dw: 10.0 % slower, p = 0.0004; schedule changed: x86.depthwise rows 4 →",
        "block9.dw: gone: the head has no such layer",
        "block9.dw + block9.pw: new: the base has no such layer",
        "latency of fc: 3 pairs; 8 are needed",
        "borders are exact now (until 2026-12-31)",
        "versions: apache-tvm 0.26 → apache-tvm 0.27 (allowed)",
        "In all: 5 regressed, 2 undecided, 1 accepted, 1 improved, 2 not judged, 1 same.",
    ):
        assert part in flat, part


def test_every_outcome_that_is_listed_appears() -> None:
    text = printed(terminal.render(make.regressed()))
    assert text.count("block5.pw") == 0  # the same: only counted
    assert printed(terminal.render(make.passed())).count("block3.dw") == 0


def test_a_way_that_was_left_out_is_said() -> None:
    assert "Not compared by recorded: cpu differ." in printed(terminal.render(make.incomparable()))


def test_of_what_was_not_judged_only_what_is_new_is_listed() -> None:
    text = printed(terminal.render(make.regressed()))
    assert "New: mobilenet_v1_0.25_128" in text
    assert "block2.dw" not in text


def test_what_could_not_be_measured_is_said() -> None:
    text = " ".join(printed(terminal.render(make.unmeasured())).split())
    assert text.startswith(f"Not measured: 2 not measured: {make.LARGE}: in the head: failed while compiling: out of")
    assert text.count(f"NOT MEASURED: {make.LARGE}: {make.NOT_BUILT}") == 1
    assert f"NOT MEASURED: {make.DIED}" in text
    assert f"New: {make.MENDED} network: it has a result in the head" in text
    assert "1 not measured, 1 not judged, 2 same" in text
    of_comparison = " ".join(printed(compared(make.unmeasured())).split())
    assert of_comparison.count(make.NOT_BUILT) == 1
    assert make.DIED not in of_comparison


def test_the_command_that_measures_both_builds_is_the_last_line_and_whole() -> None:
    long = make.verdict(
        "inconclusive", "", make.comparison(), paired_command="mbench gate " + 90 * "x" + " head --paired"
    )
    *_, sentence, command = terminal.render(long)
    assert command == long.paired_command  # a text as it is, which is printed without being wrapped
    assert "Both builds are at hand" in str(sentence)
    assert make.COMMAND in printed(terminal.render(make.inconclusive()))
    assert "at hand" not in printed(terminal.render(make.regressed()))


def test_a_long_list_is_cut_with_its_count() -> None:
    text = printed(terminal.render(make.long(200)))
    assert len(text.splitlines()) < 80
    assert f"and {200 - terminal.LONGEST} more" in text
    assert "block199.dw" in text  # the worst
    assert "more" not in printed(terminal.render(make.long(terminal.LONGEST))).replace("more by", "")


def test_no_line_of_a_name_becomes_a_line_of_its_own() -> None:
    lines = printed(terminal.render(make.hostile())).splitlines()
    assert [line for line in lines if line.startswith("::")] == []


def test_a_comparison_goes_layer_by_layer() -> None:
    text = printed(compared(make.regressed()))
    flat = " ".join(text.split())
    assert "Regressed" not in text
    assert "network latency 1.00 ms 1.03 ms +3.1 %" in flat
    assert "layer base head latency interval instructions" in flat
    assert "block3.dw 120 µs 132 µs +10.0 % +9.5 to +10.5 % +25.00 %" in flat
    assert "block3.dw: schedule changed: x86.depthwise rows 4 →" in flat
    assert "block9.dw: gone: the head has no such layer" in flat
    assert "base and head: latency; then changes, head over base. Intervals: 99 % confidence." in flat
    assert f"block9.dw {' '.join([units.NOT_AVAILABLE] * 5)}" in flat


def test_layers_are_summed_by_role_and_by_block() -> None:
    findings = (
        make.finding("block1.dw", base=1e-3, ratio=1.5), make.finding("block2.dw", base=2e-3, ratio=1.0),
        make.finding("block1.pw", role="pointwise", base=5e-3, ratio=0.8),
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in printed(terminal.render(make.comparison(*findings))).splitlines()]
    assert {f"{make.SMALL}: layers by role", f"{make.SMALL}: layers by block"} <= set(lines)
    assert {
        "role layers base head latency", "depthwise 2 3.00 ms 3.50 ms +16.7 %", "pointwise 1 5.00 ms 4.00 ms -20.0 %",
        "block layers base head latency", "block1 2 6.00 ms 5.50 ms -8.3 %", "block2 1 2.00 ms 2.00 ms 0 %",
    } <= set(lines)  # fmt: skip


def test_what_is_the_same_in_every_layer_takes_no_column() -> None:
    same = (make.counted(layer, metric="macs", base=500, threshold=0.0) for layer in ("a", "b"))
    text = " ".join(printed(terminal.render(make.comparison(make.finding("a", ratio=1.2), *same))).split())
    assert "layer base head latency interval a" in text.replace("- ", "").replace("-", "")
    assert "The same in every layer: MACs." in text


def test_counts_alone_need_no_latency() -> None:
    text = " ".join(printed(terminal.render(make.comparison(make.counted(base=1000, ratio=2)))).split())
    assert "block3.dw 1.00 k 2.00 k +100.00 %" in text
    assert "base and head: instructions; then changes" in text


def test_heads_stay_whole_beside_the_names_of_a_users_file() -> None:
    """Names of 60 characters, without a place to break one of them, and seven metrics that all changed."""
    layers = ("model.backbone.stages.2.blocks.11.depthwise_convolution.conv", "x" * 60)
    metrics = {
        "instructions": "counts",
        "loads": "counts",
        "stores": "counts",
        "weight_bytes": "static",
        "macs": "static",
    }
    findings = [make.finding(layer, base=1.2e-4, ratio=1.1) for layer in layers]
    findings += [
        make.counted(layer, metric=metric, way=way, base=123_456_789, ratio=1.25)
        for layer in layers
        for metric, way in metrics.items()
    ]
    lines = printed(terminal.render(make.comparison(*findings))).splitlines()
    heads = [word for line in lines if line.startswith("layer ") for word in line.split() if word != "layer"]
    assert heads == [
        "base", "head", "latency", "interval", "instructions", "loads", "stores", "weights", "MACs",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80


def test_a_cause_is_said_once_for_a_layer() -> None:
    cause = "schedule changed: x86.depthwise rows 4 → x86.depthwise rows 1"
    findings = (
        make.slower(causes=(cause,)),
        make.counted(ratio=1.25, outcome="regressed", reason="a quarter more", causes=(cause,)),
    )
    judged, found = make.verdict("regressed", "", make.comparison(*findings)), make.comparison(*findings)
    for document in (judged, found):
        assert " ".join(printed(terminal.render(document)).split()).count("schedule changed:") == 1
    for document, tables in ((judged, 2), (found, 1)):
        assert markdown.render(document).count("schedule changed:") == tables, "each has a row for each metric"
