from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import factory
import jinja2
import msgspec
import pytest

from mbench import records, report
from mbench.errors import OutputError


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


@pytest.fixture(scope="module")
def full() -> Page:
    return Page(report.render([factory.record(failed=("mobilenet_v1_0.5_128",))]))


def page(record: records.Record) -> Page:
    return Page(report.render([record]))


def with_result(record: records.Record, **changes: object) -> records.Record:
    results = (msgspec.structs.replace(record.results[0], **changes), *record.results[1:])
    return msgspec.structs.replace(record, results=results)


def test_the_headline_has_the_figures(full: Page) -> None:
    assert (
        "MobileNetV1 1.0 224 on host (x86-64, AVX-512), 2 threads: 12.1 ms, 7.8 times faster than with standard "
        "convolutions; 8.6 times was promised by the multiply-adds." in full.text
    )


def test_slower_is_said_as_slower() -> None:
    record = factory.record()
    slow = msgspec.structs.replace(record.results[0].end_to_end, latency_s=(0.2,) * 100)
    assert "times slower than with standard convolutions" in page(with_result(record, end_to_end=slow)).text


@pytest.mark.parametrize(
    "words",
    [
        "Failed: mobilenet_v1_0.5_128, at stage “build”: out of registers",
        "smallest visible slow-down",
        "8.56x", "6.96x", "1/N + 1/D²", "12.7 %",
        "End to end = layers + overhead",
        "instrument, a reading",
        "Energy, modelled", "no meter: no RAPL, no NVML",
        "2e-06", "torch 2.13.0",
        "stolen, since boot", "performance",
        "fused multiply-adds and a triad, best of 5",
        "Horowitz, ISSCC 2014, 45 nm", "estimate: a test's invention",
        "a test has no process",
        "fallback: no rule for reductions",
        "x86.depthwise_conv2d",
        "tvm 0.27.0", "mbench 0.1.0",
        "Test CPU @ 2.0 GHz", "2025-03-01 12:00 UTC",
    ],
)  # fmt: skip
def test_the_page_says(full: Page, words: str) -> None:
    assert words in full.text


def test_every_layer_is_in_the_table(full: Page) -> None:
    for result in factory.record().results:
        assert all(layer.kernel in full.text and layer.name in full.text for layer in result.layers)


def test_figures_are_data_of_the_record(full: Page) -> None:
    assert set(full.data) == {"run1-speedup1-data", "run1-depth1-data", "run1-depth2-data"}
    depth = json.loads(full.data["run1-depth1-data"])
    assert sum(len(trace["x"]) for trace in depth["data"]) == 29


def test_it_needs_nothing_else(full: Page) -> None:
    assert all(address.startswith(("#", "data:")) for address in full.addresses), full.addresses
    assert "link" in full.tags  # the empty icon, so that no browser asks for one
    style = re.search(
        r"<style>(.*?)</style>", report.render([factory.record((), failed=("mobilenet_v1_0.5_128",))]), re.S
    )
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
    assert len(report.render([factory.record()]).encode()) < 6_000_000


def test_without_latency_the_rest_is_shown() -> None:
    html = report.render([factory.record(latency=False)])
    found = Page(html)
    assert "latency not measured; 8.6 times fewer multiply-adds" in found.text
    assert f"No figure: {factory.NO_LATENCY}" in found.text
    assert f"No latency for mobilenet_v1_1.0_224: {factory.NO_LATENCY}" in found.text
    assert "8.56x" in found.text
    assert not found.data
    assert not re.search(r"(?<![\d.])0(\.0+)? [mµn]?s\b", found.text)
    assert len(html) < 500_000  # no figure, so no plotly


def test_whole_runs_without_layers_say_why() -> None:
    record = factory.record()
    untimed = [msgspec.structs.replace(layer, latency_s=None, roofline=None) for layer in record.results[0].layers]
    missing = {"layers.latency_s": "the instrument broke", "layers.roofline": "no times"}
    found = page(with_result(record, layers=tuple(untimed), missing=missing))
    assert found.text.count("No figure: the instrument broke.") == 2
    assert "Layers without latency: the instrument broke." in found.text
    assert "Layers without a roofline: no times." in found.text
    assert "7.8 times faster" in found.text
    assert set(found.data) == {"run1-depth2-data"}


def test_one_network_says_what_to_run() -> None:
    found = page(factory.record(factory.PAIR[:1]))
    assert "mbench run mobilenet_v1_1.0_224 mobilenet_v1_1.0_224_standard" in found.text
    assert "12.1 ms; 569 M multiply-adds" in found.text


def test_the_standard_network_alone_asks_for_the_other() -> None:
    assert (
        "mbench run mobilenet_v1_1.0_224_standard mobilenet_v1_1.0_224" in page(factory.record(factory.PAIR[1:])).text
    )


def test_only_failures() -> None:
    found = page(factory.record((), failed=("mobilenet_v1_0.5_128",)))
    assert "no variant could be built and measured" in found.text
    assert "out of registers" in found.text


def test_the_unfinished_are_named() -> None:
    record = msgspec.structs.replace(factory.record(failed=("mobilenet_v1_0.5_128",)), failures=())
    assert "Unfinished: mobilenet_v1_0.5_128" in page(record).text
    assert "Unfinished" not in page(factory.record()).text


def test_a_wrong_output_is_loud(full: Page) -> None:
    record = factory.record()
    wrong = msgspec.structs.replace(record.results[0].numerics, passed=False, max_rel_error=0.5)
    assert "Wrong output: mobilenet_v1_1.0_224 differs from torch" in page(with_result(record, numerics=wrong)).text
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
    assert "RAPL package; 400 runs in 5.00 s; idle power is not taken off" in text


def test_several_records_each_once() -> None:
    first, second = factory.record(run_id="a"), factory.record(factory.PAIR[:1], run_id="b")
    found = Page(report.render([first, second, first]))
    assert found.tags.count("article") == 2
    assert found.tags.count("h1") == 2
    assert {"#run1", "#run2"} <= set(found.addresses)


def test_title() -> None:
    assert "<title>A &amp; B</title>" in report.render([], title="A & B")


def injected(html: str) -> int:
    found = Page(html)
    return found.tags.count("img") + len(found.handlers) + max(0, len(found.scripts) - 2)


def test_hostile_names_are_text() -> None:
    record = factory.hostile(factory.record())
    html = report.render([record])
    found = Page(html)
    assert injected(html) == 0
    for name in factory.HOSTILE:
        assert " ".join(name.split()) in found.text
    assert "49" not in re.findall(r"\{\{7\*7\}\}|\b49\b", found.text)
    assert all("<" not in data and "\u2028" not in data for data in found.data.values())
    assert "<script>alert(1)</script>" in json.dumps(json.loads(found.data["run1-depth1-data"])).replace(
        "&lt;", "<"
    ).replace("&gt;", ">")


def test_the_check_of_hostile_names_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    escaping = report._environment

    def careless() -> jinja2.Environment:
        return escaping().overlay(autoescape=False)

    monkeypatch.setattr(report, "_environment", careless)
    assert injected(report.render([factory.hostile(factory.record())])) > 0


def test_a_script_that_ends_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot stand inside a page"):
        report._script("'</SCRIPT>'")


def test_write(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    report.write(path, [factory.record(latency=False)])
    assert path.read_text(encoding="utf-8") == report.render([factory.record(latency=False)])
    with pytest.raises(OutputError):
        report.write(tmp_path / "none" / "page.html", [])
