from __future__ import annotations

import csv
from typing import Any

import pytest
from benchmark_scripts import script

from mbench.analysis import latency_model, latency_model_error
from mbench.analysis.latency_model_error import MEASURED, PUBLISHED, Compared
from mbench.core import resources
from mbench.hardware import targets

A72, A78 = targets.load("arm64_cortex_a72"), targets.load("arm64_cortex_a78")


def compared(kind: str = MEASURED, **changes: Any) -> Compared:
    given: dict[str, Any] = {
        "core": "x86-64-v3", "machine": "a machine", "network": "n", "dtype": "float32", "threads": 1,
        "reference_s": 0.1, "modelled_s": 0.1, "source": "somebody, a table", **changes,
    }  # fmt: skip
    return Compared(kind=kind, **given)


def test_the_error_is_relative_to_the_reference() -> None:
    assert compared(modelled_s=0.08).error == pytest.approx(-0.2)
    assert compared(modelled_s=0.15).error == pytest.approx(0.5)


def test_median_and_worst_of_what_was_measured_whatever_the_sign() -> None:
    said = latency_model_error.sentence(A72, [compared(modelled_s=each) for each in (0.09, 0.15, 0.1)])
    assert said == "off by 10% in the median and 50% at worst over 3 networks measured on a machine"


def test_each_published_latency_of_the_targets_core_by_threads() -> None:
    found = [
        compared(PUBLISHED, core="cortex-a72", network="first", modelled_s=0.08),
        compared(PUBLISHED, core="cortex-a72", network="second", dtype="int8", modelled_s=0.103),
        compared(PUBLISHED, core="cortex-a72", network="first", threads=4, modelled_s=0.05),
        compared(PUBLISHED, core="cortex-a53", network="other", modelled_s=0.3),
    ]
    assert latency_model_error.sentence(A72, found) == (
        "against somebody on cortex-a72, 1 thread: first -20%, second int8 +3%; "
        "against somebody on cortex-a72, 4 threads: first -50%"
    )
    assert latency_model_error.sentence(A78, found) == "compared with no published latency of cortex-a78"


def test_the_typical_error_is_that_of_the_core_in_one_thread_else_of_what_was_measured() -> None:
    found = [
        compared(PUBLISHED, core="cortex-a72", modelled_s=0.08),
        compared(PUBLISHED, core="cortex-a72", modelled_s=0.11),
        compared(PUBLISHED, core="cortex-a72", threads=4, modelled_s=0.9),
        compared(modelled_s=0.13),
    ]
    assert latency_model_error.typical(A72, found) == pytest.approx(0.15)
    assert latency_model_error.typical(A78, found) == pytest.approx(0.3)
    assert latency_model_error.typical(A78, found[:3]) is None


def test_what_ships_names_its_source_and_stays_within_the_stated_bounds() -> None:
    known = latency_model_error.known()
    assert all(each.source and each.machine and each.reference_s > 0 and each.modelled_s > 0 for each in known)
    assert sum(each.kind == MEASURED for each in known) >= 30
    networks = ("mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224")
    published = [each for each in known if each.kind == PUBLISHED and each.network in networks]
    judged = [each for each in published if each.threads == 1 and each.dtype != "int8"]
    assert {each.core for each in judged} == {"cortex-a53", "cortex-a72", "cortex-a76"}
    assert max(abs(each.error) for each in judged) <= 0.30
    later = [each for each in known if each.runtime == "XNNPACK"]  # published before, and not looked at for the model
    assert len(later) == 4
    assert max(abs(each.error) for each in later) <= 0.30


def test_each_runtime_has_a_part_of_its_own() -> None:
    said = latency_model_error.sentence(A72).split("; ")
    assert [part.partition(":")[0] for part in said[1:]] == [
        "against ncnn on cortex-a72, 1 thread",
        "against XNNPACK on cortex-a72, 4 threads",
        "against ncnn on cortex-a72, 4 threads",
    ]


def test_published_latencies_are_those_of_the_source_and_lie_between_its_bounds() -> None:
    with (resources.data_dir("published") / "latencies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sources = {row["source"].split(",")[0] for row in rows}
    assert sources == {"ncnn", "XNNPACK"}
    assert all("github.com/" in row["source"] for row in rows)
    assert all(float(row["least_s"]) <= float(row["latency_s"]) <= float(row["most_s"]) for row in rows)
    keys = {(row["source"], row["core"], row["network"], row["dtype"], row["threads"]) for row in rows}
    assert len(keys) == len(rows)
    # Tencent/ncnn, benchmark/README.md, Raspberry Pi 4 Model B, 1 thread: mobilenet avg = 124.32
    assert any(row["core"] == "cortex-a72" and float(row["latency_s"]) == pytest.approx(0.12432) for row in rows)
    # google/XNNPACK, README.md, RPi 4 (BCM2711, ARM64), multi-threaded: FP32 MobileNet v2 1.0X 46 ms
    assert any(row["source"].startswith("XNNPACK") and float(row["latency_s"]) == 0.046 for row in rows)


def test_what_ships_is_what_the_model_says_of_the_kept_counts() -> None:
    benchmark = script("latency_model")
    kept = benchmark.read()
    now = {
        (each.source, each.core, each.network, each.dtype, each.threads): (each.reference_s, each.modelled_s)
        for each in (*benchmark.measured(kept), *benchmark.published(kept))
    }
    ships = {
        (each.source, each.core, each.network, each.dtype, each.threads): (each.reference_s, each.modelled_s)
        for each in latency_model_error.known()
    }
    assert now.keys() == ships.keys()
    for key, seconds in now.items():
        assert ships[key] == pytest.approx(seconds, rel=2e-3), "renew with: python benchmarks/latency_model.py --write"
    assert benchmark.reached(kept)
    assert pytest.approx(benchmark.call_cycles(kept), rel=0.03) == latency_model.CALL_CYCLES


def test_the_widest_error_is_of_all_that_was_measured_and_of_the_core() -> None:
    found = [
        compared(modelled_s=0.142),
        compared(PUBLISHED, core="cortex-a72", modelled_s=0.127),
        compared(PUBLISHED, core="cortex-a72", threads=4, modelled_s=0.055),
        compared(PUBLISHED, core="cortex-a53", modelled_s=0.9),
    ]
    assert latency_model_error.widest(A72, found) == pytest.approx((-0.45, 0.42))
    assert latency_model_error.widest(A78, found) == pytest.approx((0.42, 0.42))
    assert latency_model_error.widest(A72, []) == (-1.0, float("inf"))
