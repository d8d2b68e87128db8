from __future__ import annotations

from pathlib import Path

import pytest
from fit_world import Machine, described, truth

from mbench.build import builders
from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.core.progress import silent, unheard
from mbench.fitting import predicting
from mbench.hardware import host
from mbench.pipeline.job import Job

TARGET, OPTIONS = "arm64_cortex_a72", FitOptions(threads=1)
SEEN = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.5_160", "mobilenet_v1_1.0_224")


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(builders, "in_a_child", lambda task, *arguments: task(*arguments))


def test_networks_are_predicted_in_the_order_given_and_those_known_are_as_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    with silent([]) as progress:
        machine.measure([described(name).network for name in SEEN], progress, sessions=5)

    def known(_job: Job, _wanted: object) -> Machine:
        return machine

    monkeypatch.setattr(predicting, "Observations", known)
    asked = ["mobilenet_v1_0.75_192", SEEN[1], "mobilenet_v1_0.25_32"]
    found, quality = predicting.predicted(asked, TARGET, host.describe(), OPTIONS, unheard)
    assert [each.network.name for each in found] == asked
    between, seen, _ = (each.latency_s for each in found)
    assert between is not None
    assert seen is not None
    assert (between.basis, seen.basis) == ("predicted", "measured")
    assert between.value == pytest.approx(truth(asked[0]), rel=0.1)
    assert seen.value == truth(SEEN[1])
    assert quality is not None
    assert quality.networks == len(SEEN)


def test_where_nothing_was_measured_it_says_how_to(tmp_path: Path) -> None:
    assert tmp_path.exists()
    with pytest.raises(UsageError) as caught:
        predicting.predicted(["mobilenet_v1"], TARGET, host.describe(), OPTIONS, unheard)
    said = str(caught.value)
    assert "nothing has been measured for target 'arm64_cortex_a72' with 1 thread" in said
    assert "mbench fit mobilenet_v1 --target arm64_cortex_a72 --threads 1" in said
