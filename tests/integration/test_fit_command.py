"""`mbench fit` on this machine, as a user runs it: interrupted, taken up, at another batch; then `mbench predict`."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from running_mbench import PAIR, TARGET, finished, running, warm_cache

from mbench.core import fit_files, record_files

pytestmark = pytest.mark.slow
NAMES = (PAIR[0], "mobilenet_v1_0.25_48")
COMMON = (*NAMES, "--target", TARGET, "--threads", "1", "--accuracies", "mine.csv")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache of this module's own, with the peaks and an artifact of another."""
    copy = tmp_path_factory.mktemp("fit") / "cache"
    shutil.copytree(warm_cache(tmp_path_factory.getbasetemp()), copy)
    return copy


def figures(found: Any) -> dict[str, tuple[float, str]]:
    known = [(each["network"]["name"], each["latency_s"]) for each in found if each["latency_s"] is not None]
    return {name: (figure["value"], figure["basis"]) for name, figure in known}


def test_a_search_is_interrupted_taken_up_and_goes_by_what_it_measured(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"name,top1\n{NAMES[0]},30\n{NAMES[1]},40\n", encoding="utf-8")
    asked = ("fit", *COMMON, "--max-latency", "1s", "--output", "out")
    with running(*asked, cache=cache, cwd=tmp_path) as started:
        started.wait_for(": measuring, 5 sessions")
        started.send(signal.SIGINT)
        assert started.end() == 130
        started.assert_nobody_left()
    assert "interrupted: what was measured is kept; the same command goes on" in started.err
    [first] = [path for path in (tmp_path / "out").glob("fit-*.json") if "measured" not in path.name]
    assert first.with_suffix(".html").is_file()
    assert not fit_files.read(first).certain

    code, again = finished(*asked, "--json", cache=cache, cwd=tmp_path)
    assert code == 0, again.err
    found = json.loads(again.out)
    assert found["certain"]
    assert found["answers"][0]["network"] == NAMES[1]
    value, basis = figures(found["candidates"])[NAMES[1]]
    assert basis == "measured"
    measured = record_files.read(tmp_path / "out" / found["measured_record"])
    [result] = [each for each in measured.results if each.variant.name == NAMES[1]]
    assert len(result.sessions) >= 5
    assert min(result.end_to_end.latency_s or ()) <= value <= max(result.end_to_end.latency_s or ())

    code, more = finished(*asked, "--batch", "4", "--json", cache=cache, cwd=tmp_path)
    assert code == 0, more.err
    [four] = [each for each in json.loads(more.out)["candidates"] if each["network"]["name"] == NAMES[1]]
    assert four["network"]["batch"] == 4
    assert four["latency_s"]["value"] > 1.5 * value  # not what was measured of one image

    code, told = finished("predict", *COMMON, "--json", cache=cache, cwd=tmp_path)
    assert code == 0, told.err
    predicted, basis = figures(json.loads(told.out)["networks"])[NAMES[1]]
    assert (predicted, basis) == (value, "measured")
