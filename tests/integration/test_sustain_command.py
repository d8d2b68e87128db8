"""`mbench run --sustain` as a user runs it: a curve in the record, a line, a section of the page; and an interrupt."""

from __future__ import annotations

import signal
from pathlib import Path

import fake_devices as fakes
import pytest
from measure_plans import MOST_FLOPS_PER_S
from running_mbench import PAIR, TARGET, finished, only_record, running, warm_cache

from mbench.analysis import completeness, sustained_load
from mbench.core import record_files
from mbench.networks import architectures, costs, variants
from mbench.pipeline import sustaining

pytestmark = pytest.mark.slow
NAME = PAIR[0]
RUN = ("run", NAME, "--target", TARGET, "--threads", "1", "--quick", "--repeat", "5", "--sustain")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_cache(tmp_path_factory.getbasetemp())


def test_a_network_under_load_for_three_seconds(cache: Path, tmp_path: Path) -> None:
    code, started = finished(*RUN, "3s", cache=cache, cwd=tmp_path)
    assert code == 0, started.err
    record = record_files.read(only_record(tmp_path / "mbench-results"))
    assert record.settings.sustain_s == 3.0
    assert completeness.complete(record)
    [result] = record.results
    curve = result.sustained
    assert curve is not None
    assert curve.asked_s == 3.0
    assert 1 <= len(curve.points) <= 30
    longest_s = max(point.median_s for point in curve.points)
    assert curve.ran_s >= 3.0 - 0.05 - 2 * longest_s  # the last slice may end half a slice or a run early
    macs = sum(costs.of_layer(spec).macs for spec in architectures.layers(variants.parse(NAME)))
    assert min(point.p25_s for point in curve.points) > 2 * macs / MOST_FLOPS_PER_S
    assert sum(point.p25_s * point.runs for point in curve.points) / 2 < curve.ran_s
    nulls = {path for path in fakes.null_paths(curve) if not path.startswith("steady.")}
    assert nulls == set(curve.missing) - {path for path in curve.missing if path.startswith("steady.")}
    said = " ".join(started.out.split())
    assert sustained_load.sentence(curve) in said
    assert f"{NAME}: under load for 3 s" in started.lines
    page = only_record(tmp_path / "mbench-results").with_suffix(".html").read_text(encoding="utf-8")
    assert "<h2>Under load</h2>" in page
    assert "Latency under load: MobileNetV1" in page


def test_an_interrupt_under_load_keeps_the_sessions(cache: Path, tmp_path: Path) -> None:
    with running(*RUN, "1h", cache=cache, cwd=tmp_path) as started:
        started.wait_for("under load for 1 h")
        started.send(signal.SIGINT, group=True)
        assert started.end() == 130, started.err
        started.assert_nobody_left()
    assert "Traceback" not in started.err
    assert "go on with: mbench run --resume" in started.err
    record = record_files.read(only_record(tmp_path / "mbench-results"))
    [result] = record.results
    assert len(result.end_to_end.latency_s or ()) == 5
    assert (result.sustained, result.missing["sustained"]) == (None, sustaining.NOT_YET)
    assert record.unfinished() == (NAME,)
