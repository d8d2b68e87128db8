from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import lxml.html
import msgspec
import numpy as np
import pytest
import quantized_records as quantized
import record_factory as factory
from sustained_factory import sustained, with_sustained

from mbench.analysis import headline
from mbench.core import record_files, records, units
from mbench.core.errors import OutputError
from mbench.core.quantized import QuantizationSettings
from mbench.page import report


class Page(HTMLParser):
    """What a page holds: its tags, its text, its scripts, and the addresses it names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.scripts: list[str] = []
        self.data: dict[str, str] = {}
        self._script: str | None = None
        self._texts: list[str] = []
        self._skip = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.handlers += [name for name in given if name.startswith("on")]
        self.addresses += [given[name] or "" for name in ("src", "href", "action", "srcset") if name in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        self._skip = tag in ("script", "style")
        if tag == "script":
            self._script = given["id"] if given.get("type") == "application/json" else ""

    def handle_endtag(self, tag: str) -> None:
        self._skip, self._script = False, None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.data[self._script] = data
        elif self._script == "":
            self.scripts.append(data)
        elif not self._skip:
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split()).replace("\u2011", "-")


LABELS = ("MobileNetV1 1.0 224", "MobileNetV1 1.0 224, standard convolutions")
ONLY_FAILED = factory.record((), failed=("mobilenet_v1_0.5_128",))


@pytest.fixture(scope="module")
def full() -> Page:
    return page(factory.record(failed=("mobilenet_v1_0.5_128",)))


PAGES: dict[bytes, str] = {}
"""Pages that were rendered, by what was recorded: several tests look at one."""


def rendered(record: records.Record) -> str:
    written = record_files.encode(record)
    if written not in PAGES:
        PAGES[written] = report.render([record])
    return PAGES[written]


def page(record: records.Record) -> Page:
    return Page(rendered(record))


def with_result(record: records.Record, **changes: object) -> records.Record:
    results = (msgspec.structs.replace(record.results[0], **changes), *record.results[1:])
    return msgspec.structs.replace(record, results=results)


def test_the_headline_has_the_figures(full: Page) -> None:
    assert (
        "MobileNetV1 1.0 224 on host (x86-64, AVX-512), 2 threads: 12.1 ms, 7.8 times faster than with standard "
        "convolutions; the multiply-adds predict 8.6 times." in full.text
    )


def test_slower_is_said_as_slower() -> None:
    record = factory.record()
    slow = msgspec.structs.replace(record.results[0].end_to_end, latency_s=(0.2,) * 100)
    assert "times slower than with standard convolutions" in page(with_result(record, end_to_end=slow)).text


@pytest.mark.parametrize(
    "words",
    [
        "Failed: mobilenet_v1_0.5_128, at stage “build”: out of registers",
        "smallest change",
        "8.56x", "6.96x", "1/N + 1/D²", "12.7 %",
        "13 depthwise and 13 pointwise layers became 13 standard convolutions: 569 → 4,867 million multiply-adds.",
        "sums of the layers that stand beside each other", "block13.dw, block13.pw",
        "15 blocks with 29 layers in order of execution",
        "End to end = layers + overhead",
        "instrument, per reading",
        "Energy, modelled", "no meter: no RAPL, no NVML",
        "2e-06", "torch 2.13.0",
        "stolen, since boot", "performance",
        "fused multiply-adds and a triad, best of 5",
        "Horowitz, ISSCC 2014, 45 nm", "estimate: a test's invention",
        "a test has no process",
        "fallback: no rule for reductions",
        "x86.depthwise_conv2d",
        "tvm 0.27.0", "mbench 0.1.0",
        "100 of each copy at most, 1 run each, in blocks of 10", "until three blocks agree within 2 %, 5.00 s at most",
        "Load at the start: 0.20", "avx2, avx512f, fma",
        "Test CPU @ 2.0 GHz", "2025-03-01 12:00 UTC",
    ],
)  # fmt: skip
def test_the_page_says(full: Page, words: str) -> None:
    assert words in full.text


def test_every_layer_is_in_the_table(full: Page) -> None:
    for result in factory.record().results:
        assert all(layer.kernel in full.text and layer.name in full.text for layer in result.layers)


def test_figures_are_data_of_the_record(full: Page) -> None:
    charts = {name.rpartition("-data")[0] for name in full.data}
    assert charts == {
        "run1-pair1-waterfall", "run1-pair1-blocks", "run1-depth1", "run1-depth2", "run1-samples1", "run1-samples2",
        "run1-roofline1", "run1-roofline2", "run1-memory1", "run1-memory2", "run1-energy1", "run1-energy2",
    }  # fmt: skip
    depth = json.loads(full.data["run1-depth1-data1"])
    assert sum(len(trace["x"]) for trace in depth["data"]) == 29
    assert depth["layout"]["yaxis"]["title"]["text"] == "median latency"


def test_it_needs_nothing_else(full: Page) -> None:
    assert all(address.startswith(("#", "data:")) for address in full.addresses), full.addresses
    assert "link" in full.tags  # the empty icon, so that no browser asks for one
    style = re.search(r"<style>(.*?)</style>", rendered(ONLY_FAILED), re.S)
    assert style is not None
    assert not re.search(r"url\(|@import", style[1])


def test_the_policy_names_the_scripts_and_nothing_else(full: Page) -> None:
    policy = dict(part.strip().split(" ", 1) for part in full.policy.split(";"))
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in full.scripts}
    assert len(full.scripts) == 2
    assert set(policy["script-src"].split()) == hashes
    assert policy["default-src"] == "'none'"
    assert not re.search(r"https?:|\*", full.policy)


def test_size_of_two_networks() -> None:
    assert len(rendered(factory.record()).encode()) < 6_000_000


def test_size_of_a_hundred_records() -> None:
    record = factory.record()
    dates = [f"2025-{number // 28 + 1:02}-{number % 28 + 1:02}T12:00:00Z" for number in range(100)]
    many = [
        msgspec.structs.replace(factory.again(record, date, 1 + number / 1000), created_at_utc=date)
        for number, date in enumerate(dates)
    ]
    html = report.render(many)
    assert len(html.encode()) < 12_000_000
    assert "Left out" not in html


def test_without_latency_the_rest_is_shown() -> None:
    found = page(factory.record(latency=False))
    assert "latency not measured; 8.6 times fewer multiply-adds" in found.text
    assert f"No figure: {factory.NO_LATENCY}" in found.text
    assert f"No figure of latency: {factory.NO_LATENCY}" in found.text
    assert f"No latency for {'; '.join(LABELS)}: {factory.NO_LATENCY}" in found.text
    assert "8.56x" in found.text
    assert {name.rpartition("-data")[0] for name in found.data} == {
        "run1-depth1", "run1-depth2", "run1-memory1", "run1-memory2", "run1-energy1", "run1-energy2",
    }  # fmt: skip
    assert not any("latency" in data for data in found.data.values())
    assert not re.search(r"(?<![\d.])0(\.0+)? [mµn]?s\b", found.text)


def test_without_a_figure_there_is_no_plotly() -> None:
    assert len(rendered(ONLY_FAILED)) < 100_000


def seconds_in(text: str) -> set[str]:
    """Return every amount of time that a text names."""
    return {" ".join(found.split()) for found in re.findall(r"\d[\d.]*\s+[mµn]?s\b", text)}


def allowed(record: records.Record) -> set[str]:
    """Return the times that an emulated run's page may show: those of the model, and how long it took to compile."""
    whole = [result.end_to_end.latency_model_s for result in record.results]
    layers = [layer.latency_model_s for result in record.results for layer in result.layers]
    built = [result.artifact.compile_s for result in record.results]
    return {units.seconds(value) for value in (*whole, *layers, *built) if value is not None}


@pytest.fixture(scope="module")
def emulated() -> Page:
    return page(factory.emulated())


def test_an_emulated_run_has_instructions_in_the_headline(emulated: Page) -> None:
    assert (
        "MobileNetV1 1.0 224 on arm64_cortex_a72 (arm64, NEON), emulated: 187 M instructions, 1.32 a vector "
        "multiply-add needed; 10 times fewer than with standard convolutions; the multiply-adds "
        "predict 8.6 times fewer." in emulated.text
    )
    alone = page(factory.emulated(factory.PAIR[:1]))
    assert "187 M instructions, 1.32 a vector multiply-add needed; 569 M multiply-adds." in alone.text


def test_more_instructions_are_said_as_more() -> None:
    record = factory.emulated()
    counts = record.results[0].counts
    assert counts is not None
    many = msgspec.structs.replace(counts.counters, instructions=4 * 10**9)
    text = page(with_result(record, counts=msgspec.structs.replace(counts, counters=many))).text
    assert "2.1 times more than with standard convolutions" in text


@pytest.mark.parametrize(
    "words",
    [
        f"No latency: {factory.NO_TIME}. Exact counts replace it.",
        "Instructions over depth, as counted",
        "Instructions saved, predicted and executed, block by block",
        "it executes 10 times fewer. This says nothing about time",
        "separable, instructions",
        "latency, modelled",
        factory.MODEL_METHOD, factory.TRAFFIC_METHOD, factory.COUNTS_METHOD, factory.EMULATOR,
        "the artifact above",
        "vectors of 4 lanes",
    ],
)  # fmt: skip
def test_an_emulated_run_says_what_was_counted_and_how(emulated: Page, words: str) -> None:
    assert " ".join(words.split()) in emulated.text.replace("latency,modelled", "latency, modelled")


def test_an_emulated_run_shows_no_time_but_the_models(emulated: Page) -> None:
    record = factory.emulated()
    shown = seconds_in(emulated.text)
    assert shown
    assert shown <= allowed(record)
    for words in ("p10", "median", "Latency over depth", "faster", "slower", "Time balance", "warm-up", "Warm-up"):
        assert words not in emulated.text, words
    for name in emulated.data.values():
        assert "median latency" not in name
        assert not seconds_in(name)
    assert not seconds_in("; ".join(map(str, emulated.data.values())))


def test_a_modelled_latency_has_its_error_and_more_threads_beside_it() -> None:
    record = factory.emulated(factory.PAIR[:1])
    whole = msgspec.structs.replace(
        record.results[0].end_to_end, latency_model_error="off by 8% in the median",
        latency_model_threads_s={"2": 0.021, "4": 0.011},
    )  # fmt: skip
    text = page(with_result(record, end_to_end=whole)).text
    assert "The modelled latency: off by 8% in the median." in text
    assert "2 threads: 21.0 ms" in text
    assert "4 threads: 11.0 ms" in text
    assert "off by" not in page(record).text


def test_the_check_of_times_can_fail() -> None:
    found = page(factory.record())
    assert not seconds_in(found.text) <= allowed(factory.record())
    assert seconds_in("; ".join(found.data.values()))


def test_where_nothing_is_modelled_no_time_is_left_but_the_compilers() -> None:
    record = factory.emulated()
    replace = msgspec.structs.replace
    results = tuple(
        replace(
            result, end_to_end=replace(result.end_to_end, latency_model_s=None, latency_model_method=None),
            layers=tuple(replace(layer, latency_model_s=None) for layer in result.layers),
            missing={**result.missing, "end_to_end.latency_model_s": "no figures of the target"},
        )
        for result in record.results
    )  # fmt: skip
    html = rendered(replace(record, results=results))
    assert seconds_in(Page(html).text) == {units.seconds(12.0)}
    assert "no figures of the target" in html


def test_layers_have_counters_traffic_and_the_model(emulated: Page) -> None:
    record = factory.emulated()
    layer = record.results[0].layers[2]
    assert layer.counters is not None
    assert layer.traffic_bytes is not None
    counters = layer.counters
    for text in (
        units.count(counters.instructions), units.count(counters.loads), units.count(counters.stores),
        units.data_size(counters.load_bytes), units.count(counters.fma_instructions),
        units.data_size(layer.traffic_bytes["L2"]), units.data_size(layer.traffic_bytes["DRAM"]),
        units.seconds(layer.latency_model_s),
    ):  # fmt: skip
        assert text in emulated.text, text
    assert "share of layer" not in emulated.text


def test_kernels_of_a_layer_that_has_several() -> None:
    record = factory.emulated(factory.PAIR[:1])
    layers = record.results[0].layers
    counters = layers[2].counters
    assert counters is not None
    split = msgspec.structs.replace(layers[2], counters_by_kernel={"packing<b>": counters, "product": counters})
    found = page(with_result(record, layers=(*layers[:2], split, *layers[3:])))
    assert "Kernels of the layers that have several" in found.text
    assert "packing<b>" in found.text
    assert "b" not in found.tags


def test_counts_of_other_code_stand_beside_the_latency_and_say_whose_they_are(full: Page) -> None:
    found = page(factory.counted(factory.record()))
    assert "7.8 times faster than with standard convolutions" in found.text
    assert "They are of code for x86_64_v3, executed in emulation, not of what was timed." in found.text
    assert "Counts of the same layers, of code for x86_64_v3 in emulation, not of what was timed." in found.text
    assert "counted in emulation, of code for x86_64_v3" in found.text
    assert "another artifact than the one above" in found.text
    assert "93,520,345" in found.text
    assert set(found.data) - set(full.data) == {"run1-depth1-data5", "run1-depth2-data5"}
    assert "Counts of" not in full.text
    assert "modelled latency" not in found.text


def test_counts_that_were_asked_for_and_failed_say_why() -> None:
    record = factory.record(factory.PAIR[:1])
    record = msgspec.structs.replace(record, settings=msgspec.structs.replace(record.settings, counts=True))
    assert (
        "no QEMU here"
        in (page(with_result(record, missing={"counts": "no QEMU here"})).text.split("Depthwise-separable against")[0])
    )


def test_an_emulated_run_that_went_wrong_is_not_counted() -> None:
    record = factory.emulated(factory.PAIR[:1])
    layers = tuple(
        msgspec.structs.replace(layer, counters=None, traffic_bytes=None, latency_model_s=None)
        for layer in record.results[0].layers
    )
    numerics = record.results[0].numerics
    assert numerics is not None
    wrong = msgspec.structs.replace(numerics, passed=False, max_rel_error=0.5)
    end_to_end = msgspec.structs.replace(record.results[0].end_to_end, latency_model_s=None)
    reason = "the output is wrong"
    missing = dict.fromkeys(("counts", "layers.counters", "layers.traffic_bytes", "end_to_end"), reason)
    found = page(
        with_result(record, counts=None, layers=layers, numerics=wrong, missing=missing, end_to_end=end_to_end)
    )
    assert "emulated: not counted; 569 M multiply-adds" in found.text
    assert f"No figure of instructions: {reason}." in found.text
    assert f"No latency for {LABELS[0]}: {reason}." in found.text
    assert seconds_in(found.text) == {units.seconds(12.0)}


def test_a_board_is_described(full: Page) -> None:
    found = page(factory.on_board(factory.record()))
    for words in (
        "raspberrypi, Debian GNU/Linux 12", "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4), 4 logical cores",
        "The board", "board, start", "host, start", "ondemand", "48.2 °C", "asimd, crc32",
    ):  # fmt: skip
        assert words in found.text, words
        assert words not in full.text, words
    assert "Host processor" in found.text


def test_whole_runs_without_layers_say_why() -> None:
    record = factory.record()
    untimed = [msgspec.structs.replace(layer, latency_s=None, roofline=None) for layer in record.results[0].layers]
    missing = {"layers.latency_s": "the instrument broke", "layers.roofline": "no times"}
    found = page(with_result(record, layers=tuple(untimed), missing=missing))
    assert "No figure of latency: the instrument broke." in found.text
    assert "No figure: the instrument broke." in found.text
    assert "Layers without latency: the instrument broke." in found.text
    assert "Layers without a roofline: no times." in found.text
    assert "7.8 times faster" in found.text


def test_one_network_says_what_to_run() -> None:
    found = page(factory.record(factory.PAIR[:1]))
    assert "mbench run mobilenet_v1_1.0_224 mobilenet_v1_1.0_224_standard" in found.text
    assert "12.1 ms; 569 M multiply-adds" in found.text


def test_the_standard_network_alone_asks_for_the_other() -> None:
    assert (
        "mbench run mobilenet_v1_1.0_224_standard mobilenet_v1_1.0_224" in page(factory.record(factory.PAIR[1:])).text
    )


def test_the_standard_network_alone_says_what_was_replaced() -> None:
    found = page(factory.record(("mobilenet_v2_0.35_96_standard",)))
    assert "mobilenet_v2_0.35_96_standard: 17 depthwise and 17 pointwise layers became 17 standard" in found.text


def test_where_a_depthwise_layer_alone_is_replaced_the_formula_is_another() -> None:
    """As in MobileNetV3's blocks with squeeze-excite: M input channels, 1/M of the multiply-adds."""
    name = "mobilenet_v3_small_1.0_224"
    found = page(factory.record((name, f"{name}_standard")))
    assert "11 depthwise and 2 pointwise layers became 11 standard convolutions: 56.5 → 1,777 million" in found.text
    assert "for a depthwise layer alone, that of 1/M, with M input channels" in found.text
    assert "share of the work" in found.text
    assert "16.00x" in found.text  # the first of them has 16 channels
    assert "1/N + 1/D²" not in page(factory.record((name,))).text


def test_a_layer_says_where_it_is_and_what_its_kernel_computes() -> None:
    text = page(factory.record(("mobilenet_v2_1.0_224",))).text
    assert "block3, project; reads block3.dw, block2.project" in text
    assert "conv2d, add" in text
    assert "stem, stem; reads the network's input" in text


def test_only_failures() -> None:
    found = page(ONLY_FAILED)
    assert "no variant could be built and measured" in found.text
    assert "out of registers" in found.text


def test_the_unfinished_are_named() -> None:
    record = msgspec.structs.replace(factory.record(failed=("mobilenet_v1_0.5_128",)), failures=())
    assert "Unfinished: mobilenet_v1_0.5_128" in page(record).text
    assert "Unfinished" not in page(factory.record()).text


def test_a_wrong_output_is_loud(full: Page) -> None:
    record = factory.record()
    numerics = record.results[0].numerics
    assert numerics is not None
    wrong = msgspec.structs.replace(numerics, passed=False, max_rel_error=0.5)
    assert f"Wrong output: {LABELS[0]} differs from torch" in page(with_result(record, numerics=wrong)).text
    assert "Wrong output" not in full.text


def test_too_few_blocks_for_a_noise() -> None:
    text = page(factory.record(factory.PAIR[:1], repeat=20)).text
    assert "fewer than 3 pairs of whole blocks" in text


def test_measured_energy_has_its_own_row() -> None:
    record = factory.record(factory.PAIR[:1])
    metered = records.MeteredEnergy(energy_j=0.031, method="RAPL package", window_s=5.0, runs=400)
    energy = msgspec.structs.replace(record.results[0].energy, measured=metered)
    text = page(with_result(record, energy=energy)).text
    assert "31.0 mJ" in text
    assert "RAPL package; 400 runs in 5.00 s; idle power is not subtracted" in text


def test_several_records_each_once() -> None:
    first, second = factory.record(run_id="a"), factory.record(factory.PAIR[:1], run_id="b")
    found = Page(report.render([first, second, first]))
    assert found.tags.count("article") == 2
    assert found.tags.count("h1") == 1
    assert {"#run1", "#run2"} <= set(found.addresses)


def test_two_records_stand_beside_each_other() -> None:
    first = factory.record(run_id="a")
    second = msgspec.structs.replace(factory.record(run_id="b"), created_at_utc="2025-03-02T12:00:00Z")
    found = Page(report.render([second, first]))
    assert "MobileNetV1 1.0 224 takes 1.00x the time" in found.text
    assert "1 more network in both" in found.text
    assert "The second run against the first" in found.text
    assert "b (host (x86-64, AVX-512), 2 threads, 2025-03-02 12:00 UTC) over a (host" in found.text
    assert {"versus-data1", "versus-data2", "versus-data3"} <= set(found.data)
    assert "The second run against the first" not in page(first).text


def test_a_grid_is_summed_up_and_shown_side_by_side() -> None:
    found = page(factory.record(tuple(f"mobilenet_v1_{width}_128" for width in ("0.25", "0.5", "0.75", "1.0"))))
    assert found.text.split("4 networks on host", 1)[1].startswith(" (x86-64, AVX-512), 2 threads: from")
    assert "Networks side by side" in found.text
    assert "65.2 %" in found.text
    assert "tensorflow/models, research/slim/nets/mobilenet_v1.md" in found.text
    assert found.tags.count("h1") == 1


def test_too_many_records_are_in_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [factory.record(factory.PAIR[:1], run_id="a"), factory.record(factory.PAIR[:1], run_id="b")]
    monkeypatch.setattr(report, "DETAILED_LAYERS", 58)
    assert "Roofline" in Page(report.render(items)).text
    monkeypatch.setattr(report, "DETAILED_LAYERS", 57)
    found = Page(report.render(items))
    assert found.text.count("Shortened, because this page has many records") == 2
    assert "block3.pw" in found.text
    assert "Roofline" not in found.text
    assert sum(address.startswith("data:application/gzip") for address in found.addresses) == 3


def test_of_many_networks_all_but_one_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    record = factory.record()
    whole = report.render([record])
    monkeypatch.setattr(report, "PLAIN_LAYERS", 1)
    html = report.render([record])
    assert whole.count("<h2>Roofline</h2>") == 2
    assert html.count("<h2>Roofline</h2>") == 1
    [packed] = re.findall(r'data-packed="([^"]+)"', html)
    inside = gzip.decompress(base64.b64decode(packed)).decode()
    assert "<h2>Roofline</h2>" in inside
    assert "layer=mobilenet_v1_1.0_224_standard/block3.conv" in inside


def test_warnings_that_differ_in_a_number_are_one_with_its_range() -> None:
    record = factory.record()
    first, second = record.results
    texts = ("the clock fell by 3.5 % in block1.dw", "the clock fell by 7.0 % in block1.dw")
    results = [
        msgspec.structs.replace(each, warnings=(text,)) for each, text in zip((first, second), texts, strict=True)
    ]
    found = page(msgspec.structs.replace(record, results=tuple(results)))
    assert "1 warning about these measurements" in found.text
    assert f"the clock fell by 3.5 to 7.0 % in block1.dw ({'; '.join(LABELS)})" in found.text
    other = msgspec.structs.replace(second, warnings=("the clock fell by 7.0 % in block2.dw",))
    assert "2 warnings about these" in page(msgspec.structs.replace(record, results=(results[0], other))).text


def test_networks_without_their_twin_are_named_once() -> None:
    grid = tuple(f"mobilenet_v1_{width}_128" for width in ("0.25", "0.5", "0.75", "1.0"))
    found = page(factory.record(grid, repeat=10, layer_repeat=2))
    assert found.text.count("without their standard twins") == 1
    assert "4 networks are here without their standard twins" in found.text


def test_what_was_recorded_can_be_had_back(full: Page) -> None:
    record = factory.record(failed=("mobilenet_v1_0.5_128",))
    packed = [address for address in full.addresses if address.startswith("data:application/gzip;base64,")]
    unpacked = {gzip.decompress(base64.b64decode(address.partition(",")[2])) for address in packed}
    assert record_files.encode(record) in unpacked
    [table] = unpacked - {record_files.encode(record)}
    assert len(table.splitlines()) == 1 + 2 + 29 + 16


def test_the_steps_of_the_waterfall_are_named_and_add_up(full: Page) -> None:
    table = full.text.split("Every step, with its layers", 1)[1].split("Block by block", 1)[0]
    assert "depthwise layers: below the roofline" in table
    changes = [float(value) for value in re.findall(r"([+-]\d+\.\d\d)x", table)]
    *steps, whole = changes
    assert sum(steps) == pytest.approx(whole, abs=0.005 * len(steps))


def test_a_time_balance_that_does_not_close_is_said_aloud(full: Page) -> None:
    record = factory.record()
    balance = record.results[0].time_balance
    assert balance is not None
    apart = msgspec.structs.replace(balance, unattributed_s=-0.3 * balance.end_to_end_s)
    found = page(with_result(record, time_balance=apart))
    assert found.text.count("speed changed between the two measurements") == 2
    assert "speed changed" not in full.text


def test_a_tuned_choice_that_was_not_followed_is_named() -> None:
    record = factory.record(factory.PAIR[:1])
    artifact = msgspec.structs.replace(record.results[0].artifact, ignored={"kernel7": "made for other vectors"})
    settings = msgspec.structs.replace(record.settings, tuned={"rules.toml": "abcdef" * 8})
    text = page(msgspec.structs.replace(with_result(record, artifact=artifact), settings=settings)).text
    assert "kernel7made for other vectors" in text
    assert "rules.toml (abcdefabcdefabcd)" in text


def test_title() -> None:
    assert "<title>A &amp; B</title>" in report.render([], title="A & B")


def injected(html: str) -> int:
    found = Page(html)
    return found.tags.count("img") + len(found.handlers) + max(0, len(found.scripts) - 2)


@pytest.mark.parametrize("record", [factory.record(), factory.emulated(), factory.counted(factory.record())])
def test_hostile_names_are_text(record: records.Record) -> None:
    record = factory.hostile(record)
    html = rendered(record)
    found = Page(html)
    assert injected(html) == 0
    for name in factory.HOSTILE:
        assert name.replace("\u2028", r"\u2028") in found.text
    assert '49"><img' not in found.text
    assert '{{7*7}}"><img' in found.text
    assert all("<" not in data and "\u2028" not in data for data in found.data.values())
    assert "<script>alert(1)</script>" in json.dumps(json.loads(found.data["run1-depth1-data1"])).replace(
        "&lt;", "<"
    ).replace("&gt;", ">")


def test_hostile_names_are_text_beside_each_other_too() -> None:
    first, second = (factory.hostile(factory.record(run_id=run_id)) for run_id in ("a", "b"))
    html = report.render([first, msgspec.structs.replace(second, created_at_utc=factory.HOSTILE[1])])
    assert injected(html) == 0
    assert "The second run against the first" in html
    assert all("<" not in data for data in Page(html).data.values())


def test_the_check_of_hostile_names_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    escaping = report._environment

    def careless() -> jinja2.Environment:
        return escaping().overlay(autoescape=False, bytecode_cache=None)

    monkeypatch.setattr(report, "_environment", careless)
    assert injected(report.render([factory.hostile(factory.record())])) > 0


def test_write(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    report.write(path, [factory.record(latency=False)])
    assert path.read_text(encoding="utf-8") == report.render([factory.record(latency=False)])
    with pytest.raises(OutputError):
        report.write(tmp_path / "none" / "page.html", [])


# ------------------------------------------------------------------------------------------------------------------ gpu
@pytest.fixture(scope="module")
def gpu() -> Page:
    return page(factory.on_gpu(factory.record()))


@pytest.mark.parametrize(
    "words",
    [
        "NVIDIA H100 80GB HBM3 (sm_90, 132 multiprocessors, 85.5 GB, 700.0 W at most); driver 580.82.07, CUDA up to 13",
        "How they were separated: layers: device events.",
        "the GPU's driver gave out 23.0 MB of the GPU's memory for it",
        "idle power is not subtracted, 70.2 W before the first run",
        "power cap",
        "12.0 mJ measured: the layer alone; 700 runs in 500 ms",
        "86.0 °C",
        "measured, including idle power; modelled: 24.9 mJ",
        "1.0 224 on cuda_sm90 (GPU): ",
    ],
)
def test_a_run_on_a_gpu_says(gpu: Page, words: str) -> None:
    assert words in gpu.text


def test_a_run_on_a_cpu_says_nothing_of_gpus(full: Page) -> None:
    assert "GPU" not in full.text


# ------------------------------------------------------------------------------------------------------------- sessions
IN_SESSIONS = factory.in_sessions(factory.record())
DISTURBED = factory.in_sessions(factory.record(), disturbed=range(5))
HALF = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:])


def parsed(record: records.Record) -> Any:
    return lxml.html.fromstring(rendered(record))


def tables(record: records.Record) -> dict[str, dict[str, list[str]]]:
    """Return the cells of each table of a page by the names of both; networks after each other."""
    found: dict[str, dict[str, list[str]]] = {}
    document = parsed(record)
    for region in document.xpath("//div[@role='region'][.//table]"):
        heads, *rows = [
            [" ".join(cell.text_content().split()) for cell in row.xpath("./th|./td")] for row in region.xpath(".//tr")
        ]
        whole = [row for row in rows if len(row) == len(heads)]
        table: dict[str, list[str]] = found.setdefault(region.get("aria-label"), {})
        for at, head in enumerate(heads):
            table.setdefault(head, []).extend(row[at] for row in whole)
    return found


@pytest.fixture(scope="module")
def in_sessions() -> Page:
    return page(IN_SESSIONS)


def medians() -> list[float]:
    """Return the median of each network in the first session; the others are longer by a hundredth each."""
    return [statistics.median(result.end_to_end.latency_s or ()) for result in factory.record().results]


def test_the_tile_of_the_latency_says_how_sure_it_is(in_sessions: Page) -> None:
    low, middle, high = (units.seconds(factor * medians()[0]) for factor in (1, 1.02, 1.04))
    samples = IN_SESSIONS.results[0].end_to_end.latency_s
    assert samples is not None
    p50, p90, p99 = (units.seconds(float(value)) for value in np.percentile(samples, (50, 90, 99)))
    percentiles = f"of all samples: p50 {p50}, p90 {p90}, p99 {p99}"
    assert (
        f"Latency{middle}median over 5 sessions; 94 % interval {low} to {high}; {percentiles}"
        in in_sessions.text.replace("\u00a0", " ")
    )


@pytest.mark.parametrize(
    "words",
    [
        "Smallest change+4.8 %spread 1.7 % within a session, 1.6 % between sessions",
        "First inference400 msof a process, after it has loaded library and weights in 40.0 ms",
        "Sessions5", "100 of each session at most, 1 run each, in blocks of 10",
        "Medians of the instrumented runs of all sessions that count",
    ],
)  # fmt: skip
def test_a_run_in_sessions_says(in_sessions: Page, words: str) -> None:
    assert words in in_sessions.text.replace("\u00a0", " ")


MEDIAN, P50 = "latency,median ofsessions", "p50of allsamples"
ROUGH = r"~(\d\.\d|\d\d|\d\d0) [mµ]?s disturbed"
"""A doubtful time: marked, and of two digits."""


def test_each_network_has_its_latency_and_how_sure_it_is() -> None:
    found = tables(factory.in_sessions(factory.record(), disturbed=(1,)))["Latency"]
    assert found[MEDIAN] == [units.seconds(1.025 * median) for median in medians()]
    assert found["interval"] == [f"{units.seconds(each)} to {units.seconds(1.04 * each)}88 %" for each in medians()]
    assert found["sessions"] == ["4 of 5"] * 2
    assert (found["load"], found["firstinference"]) == (["45.0 ms"] * 2, ["450 ms"] * 2)
    for head in (P50, "p90", "p99", "spread withina session", "spread betweensessions", "smallestchange"):
        assert not set(found[head]) & {units.NOT_AVAILABLE, "disturbed"}, head


def test_each_session_has_a_row_with_what_it_was_like() -> None:
    found = tables(factory.in_sessions(factory.record(), disturbed=(1,)))["Sessions of MobileNetV1 1.0 224"]
    assert found["#"] == ["1", "2", "3", "4", "5"]
    assert found["began"][:2] == ["12:00:00 UTC", "12:00:06 UTC"]
    assert found["disturbed by"] == ["nothing that was seen", factory.BUSY, *["nothing that was seen"] * 3]
    assert found["counts"] == ["yes", "left out", "yes", "yes", "yes"]
    assert found["CPUs thatothers used"] == ["0.01", "0.90", "0.01", "0.01", "0.01"]
    assert found["load"] == ["20.0 ms", "30.0 ms", "40.0 ms", "50.0 ms", "60.0 ms"]


def test_sessions_are_drawn_with_a_text_alternative() -> None:
    document = parsed(factory.in_sessions(factory.record(), disturbed=(1,)))
    charts = document.xpath("//*[@class='session-chart']")
    assert len(charts) == 2
    for chart in charts:
        assert chart.get("role") == "img"
        assert f"disturbed ({factory.BUSY}), left out." in chart.get("aria-label")
        said = [title.text for title in chart.xpath(".//*[name()='title']")]
        assert [f"disturbed ({factory.BUSY}), left out" in each for each in said] == [False, True, False, False, False]
        hollow = [box for box in chart.xpath(".//*[@stroke-dasharray]") if box.get("fill-opacity") == "0"]
        assert len(hollow) == 1
    assert not parsed(factory.record()).xpath("//*[@class='session-chart']")


def test_what_follows_from_a_disturbed_latency_is_not_shown_as_a_figure() -> None:
    found = tables(DISTURBED)
    for label in ("MobileNetV1 1.0 224", "MobileNetV1 1.0 224, standard convolutions"):
        layers = found[f"Layers of {label}"]
        for head in ("of bound", "of peak", "FLOP/s", "energy"):
            assert set(layers[head]) <= {"disturbed", units.NOT_AVAILABLE}, head
        assert all(re.fullmatch(r"~\d+ %|~0\.\d %", cell) for cell in layers["share"])
        assert all(re.fullmatch(ROUGH, cell) for cell in layers["latency"])
        assert set(layers["multiply-adds"]) & {units.count(layer.macs) for layer in DISTURBED.results[0].layers}
    whole = found["Latency"]
    for head in ("interval", "spread withina session", "spread betweensessions", "smallestchange"):
        assert set(whole[head]) == {"disturbed"}, head
    assert all(re.fullmatch(ROUGH, cell) for head in (MEDIAN, P50, "p90", "p99") for cell in whole[head])
    blocks = found["Blocks of MobileNetV1 1.0 224"]
    assert set(blocks["achieved"]) == set(blocks["achieved of predicted"]) == {"disturbed"}
    assert "disturbed" not in blocks["predicted"]
    compared = found["Comparison of MobileNetV1 1.0 224"]
    ratios = dict(zip(compared["what"], compared["ratio"], strict=True))
    assert (ratios["Latency"], ratios["Energy, modelled"], ratios["Multiply-adds"]) == (
        "disturbed",
        "disturbed",
        "8.56x",
    )
    assert "Steps of MobileNetV1 1.0 224" not in found


def test_the_check_of_figures_can_fail() -> None:
    found = tables(IN_SESSIONS)
    assert not any("disturbed" in cell for table in found.values() for cells in table.values() for cell in cells[:5])
    assert "Steps of MobileNetV1 1.0 224" in found


def test_disturbed_networks_are_named_at_the_top_with_what_disturbed_them() -> None:
    text = page(HALF).text
    assert "Disturbed: no session of these networks was quiet" in text
    assert f"{factory.BUSY} (MobileNetV1 1.0 224, standard convolutions)" in text
    assert "12.4 ms; its speed-up over standard convolutions is disturbed" in text.replace("\u00a0", " ")
    assert "Against standard disturbed" in re.sub(r"(?<=standard)(?=disturbed)", " ", text)
    assert "Disturbed:" not in page(factory.record()).text


def test_a_disturbed_headline_looks_doubtful() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]), count=1, disturbed=(0,))
    quiet = factory.in_sessions(factory.record(factory.PAIR[:1]), count=1)
    for shown, doubtful in ((record, True), (quiet, False)):
        document = parsed(shown)
        [title] = document.xpath("//h1")
        [value] = document.xpath("//*[@class='tile'][starts-with(dt, 'Latency')]//*[contains(@class, 'value')]")
        assert (title.get("class"), value.get("class")) == (
            ("title doubtful", "value doubtful") if doubtful else ("title", "value")
        )
        assert bool(re.search("~[0-9]{2}\u00a0ms, disturbed", title.text_content())) is doubtful
        assert bool(re.fullmatch("~[0-9]{2} ms", value.text)) is doubtful


def test_the_modelled_latency_of_what_was_emulated_is_on_the_first_screen() -> None:
    record = factory.emulated(factory.PAIR[:1])
    modelled_s = record.results[0].end_to_end.latency_model_s
    text = " ".join(page(record).text.split())
    assert f"Latency, modelled{units.seconds(modelled_s)}a model's, of one thread, not measured" in text
    names = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64", "mobilenet_v1_0.5_32")
    several = factory.emulated(names)
    wanted = {units.seconds(result.end_to_end.latency_model_s) for result in several.results}
    assert set(tables(several)["Networks side by side"]["latency,modelled"]) == wanted


def test_one_disturbed_network_is_spoken_of_as_one() -> None:
    one = msgspec.structs.replace(HALF, results=HALF.results[1:])
    text = page(one).text
    assert "Disturbed: no session of this network was quiet, so its times and shares of time are rough (~)" in text


def test_the_word_leads_to_its_reason() -> None:
    document = parsed(HALF)
    links = document.xpath("//a[@class='disturbed']")
    assert links
    assert {link.get("href") for link in links} == {"#run1-disturbed"}
    assert {link.get("title") for link in links} == {factory.BUSY}
    [banner] = document.xpath("//*[@id='run1-disturbed']")
    assert factory.BUSY in banner.text_content()


def test_only_the_disturbed_half_of_a_pair_loses_its_roofline() -> None:
    document = parsed(HALF)
    shown = {
        plot.get("data-figure")
        for plot in document.xpath("//div[@data-layer]")
        if "roofline" in plot.get("data-figure")
    }
    assert shown == {"run1-roofline1-data1"}
    layer = document.xpath("//section[starts-with(@id, 'layer=mobilenet_v1_1.0_224_standard/')]")[0]
    assert "disturbed at" in " ".join(layer.text_content().split())


def above_its_peak(record: records.Record) -> records.Record:
    """Return the record with one layer far above its measured peak, which is neither padded nor Winograd's."""
    layers = record.results[0].layers
    roof = layers[2].roofline
    assert roof is not None
    roof = msgspec.structs.replace(roof, fraction_of_bound=1.37, fraction_of_peak=1.21)
    return with_result(record, layers=(*layers[:2], msgspec.structs.replace(layers[2], roofline=roof), *layers[3:]))


def test_a_share_above_a_peak_that_nothing_explains_is_no_figure() -> None:
    record = above_its_peak(IN_SESSIONS)
    found = tables(record)["Layers of MobileNetV1 1.0 224"]
    assert (found["of bound"][2], found["of peak"][2]) == (">100 %", ">100 %")
    assert [cell for cell in found["of bound"] if cell.startswith(">")] == [">100 %"]
    text = page(record).text
    assert ">100 %: block1.pw: exceeds the measured peak" in text
    assert "137 %" not in text
    rules = {record.results[0].layers[2].kernel: "cpu.winograd"}
    artifact = msgspec.structs.replace(record.results[0].artifact, rules=rules)
    assert "137 %" in page(with_result(record, artifact=artifact)).text


def test_a_batch_has_images_a_second_and_the_time_of_one() -> None:
    record = factory.in_sessions(factory.record(("mobilenet_v1_0.25_32_b8",), repeat=20, layer_repeat=5))
    found = tables(record)["Latency"]
    median = headline.medians(record.results[0])[2]
    assert found["images a second"] == [units.count(8 / median)]
    assert found["an image"] == [units.seconds(median / 8)]
    assert "images a second" not in tables(IN_SESSIONS)["Latency"]
    disturbed = factory.in_sessions(factory.record(("mobilenet_v1_0.25_32_b8",), repeat=20), disturbed=range(5))
    assert tables(disturbed)["Latency"]["images a second"] == ["disturbed"]


def test_one_session_says_what_it_cannot_say() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]), count=1)
    text = page(record).text
    assert "One process measured it, so how far processes lie apart is not known" in text
    assert "not knownone session: how far processes lie apart is not known" in text
    found = tables(record)["Latency"]
    assert {found[head][0] for head in ("interval", "spread betweensessions", "smallestchange")} == {"\u2013"}


def test_a_record_without_sessions_shows_its_aa_pair(full: Page) -> None:
    found = tables(factory.record())["Latency"]
    assert found["smallestchange"] == ["+0.8 %", "+1.1 %"]
    assert found["pairs ofblocks"] == ["10", "10"]
    assert "interval" not in found
    assert "one process timed two A/A copies of each network in turn, in blocks of 10 runs" in full.text
    assert "its smallest change is of two A/A copies in that process" in full.text
    assert "Sessionsnone: one process with two A/A copies" in full.text


def test_networks_with_too_few_sessions_are_named() -> None:
    record = factory.in_sessions(factory.record(), count=2)
    settings = msgspec.structs.replace(record.settings, sessions=5)
    assert (
        "Unfinished: mobilenet_v1_1.0_224 has 2 of 5 sessions."
        in page(msgspec.structs.replace(record, settings=settings)).text
    )


def test_networks_side_by_side_have_their_sessions() -> None:
    grid = tuple(f"mobilenet_v1_{width}_128" for width in ("0.25", "0.5", "0.75", "1.0"))
    record = factory.in_sessions(factory.record(grid, repeat=20, layer_repeat=3), disturbed=range(5), only=grid[:1])
    found = tables(record)["Networks side by side"]
    first, *others = zip(*(found[head] for head in ("latency", "interval", "smallestchange")), strict=True)
    assert first[0].endswith(" disturbed")
    assert first[1:] == ("disturbed", "disturbed")
    assert not any("disturbed" in cell for row in others for cell in row)
    assert found["energy"][0] == "disturbed"
    assert set(found["sessions"]) == {"5"}


def test_two_runs_in_sessions_are_compared_by_them() -> None:
    head = msgspec.structs.replace(
        factory.again(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[:1]), "b"),
        created_at_utc="2025-03-02T12:00:00Z",
    )
    text = Page(report.render([IN_SESSIONS, head])).text
    assert "the median of the ratios of all pairs of sessions, one of each run, with its 95 % interval" in text
    assert "all pairs of blocks" not in text
    assert "Disturbed: the latencies of these networks are not compared." in text
    assert f"the second run: {factory.BUSY} (MobileNetV1 1.0 224)" in text
    assert "MobileNetV1 1.0 224 cannot be compared" in text


def test_a_shortened_run_says_how_sure_its_latency_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "DETAILED_LAYERS", 1)
    quiet, disturbed = (Page(report.render([each])).text.replace("\u00a0", " ") for each in (IN_SESSIONS, DISTURBED))
    assert "MobileNetV1 1.0 224. 12.4 ms, median over 5 sessions; 94 % interval" in quiet
    assert f"MobileNetV1 1.0 224. disturbed: {factory.BUSY}." in disturbed


def test_size_of_sixteen_networks_in_sessions() -> None:
    grid = tuple(f"mobilenet_v1_{width}_{side}" for width in (0.25, 0.5, 0.75, "1.0") for side in (128, 160, 192, 224))
    record = factory.in_sessions(factory.record(grid, repeat=100, layer_repeat=50))
    assert len(report.render([record]).encode()) < 12_000_000


def test_a_steady_state_is_not_compared_with_a_disturbed_latency() -> None:
    curve = sustained()
    assert curve.steady is not None
    said = "Beside the latency of the sessions, the steady state is"
    quiet, disturbed = (
        page(with_sustained(factory.in_sessions(factory.record(factory.PAIR[:1]), disturbed=numbers), curve)).text
        for numbers in ((), range(5))
    )
    assert f"{said} {units.change(curve.steady.slower_than_headline)}." in quiet
    assert f"{said} disturbed." in disturbed


def test_a_record_with_both_types_answers_in_its_first_screen() -> None:
    text = report.render([quantized.evaluated(quantized.both(left_float=("block2.pw",)))])
    first, _, rest = text.partition("<h2>What int8 gives</h2>")
    assert "3.0\u00a0times quicker, where 4 are expected of int8" in first
    assert '"expected of int8"' in rest
    assert "At the measured peaks this processor multiplies 3.5 times as fast in int8 as in float32." in rest
    assert "stayed float: it is kept float, as was asked" in rest
    assert "counted by the references that outputs are compared with" in rest
    assert "not by the compiled networks; on the checked input the compiled int8 network differs" in rest
    assert "ranges of all numbers seen on 4 drawn images" in rest
    for said in ("80.0 % to 93.6 %", "82.4 % to 95.1 %", "1 operation left float", "19.5 dB"):
        assert said in rest


def test_what_a_percentile_leaves_out_is_at_both_ends() -> None:
    """And each of the four drawn images of a calibration is a batch."""
    made = QuantizationSettings(percentile=99.9)
    record = quantized.changed(quantized.both(), lambda result: msgspec.structs.replace(
        result, variant=msgspec.structs.replace(
            result.variant, batch=8, quantization=made if result.variant.quantization else None
        ),
    ))  # fmt: skip
    said = "ranges of the numbers, without the largest and the smallest 0.1 %, seen on 32 drawn images"
    assert said in report.render([record])


def test_int8_alone_has_its_quality_and_no_comparison_of_types() -> None:
    record = quantized.both()
    text = report.render([msgspec.structs.replace(record, results=record.results[1:])])
    assert "What int8 gives" not in text
    assert "What quantisation costs in quality" in text
    assert "these are drawn images, so that this is no accuracy" in text


@pytest.mark.parametrize("latency", [True, False])
def test_types_without_times_or_with_disturbed_ones_still_make_a_page(latency: bool) -> None:
    record = quantized.both(latency=latency)
    if latency:
        record = factory.in_sessions(record, disturbed=range(5))
    text = report.render([record])
    assert "What int8 gives" in text
    assert "No figure: " + ("disturbed: " if latency else "the two networks were not both timed") in text


def test_counts_alone_compare_types_by_instructions() -> None:
    record = factory.counted(quantized.both(latency=False), target="host")
    text = report.render([record])
    assert "times fewer" in text


def test_a_processor_without_a_dot_product_is_said_to_have_none_beside_the_waterfall() -> None:
    record, replace = quantized.both(), msgspec.structs.replace
    processor = replace(record.target.processor, requires=("avx2",), vector_bits=256)
    text = report.render([replace(record, target=replace(record.target, processor=processor))])
    said = "as fast in int8 as in float32, since there is no dot product of bytes on this processor."
    assert said in text
    assert said not in report.render([record])
