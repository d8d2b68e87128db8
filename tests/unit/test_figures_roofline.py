from __future__ import annotations

import pandas as pd
import pytest
import record_factory as factory
from checked_figures import checked

from mbench.analysis import frame
from mbench.core import records
from mbench.page import figure_data, figures_roofline


def layers(record: records.Record | None = None, *, latency: bool = True) -> pd.DataFrame:
    record = record or factory.record(factory.PAIR[:1], latency=latency)
    return figure_data.of_layers(frame.from_records([record]), record.results[0])


def test_points_under_the_peaks() -> None:
    record = factory.record(factory.PAIR[:1])
    table = layers(record)
    peaks = figure_data.of_peaks(record, "float32")
    figure = checked(figures_roofline.roofline(table, peaks))
    lines = [trace for trace in figure.data if trace.mode == "lines+text"]
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in points) == (table["flops_per_s"] > 0).sum() == 28
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    calibration = record.device.calibration
    assert calibration is not None
    dotted = [trace for trace in figure.data if trace.mode == "lines"]
    assert [trace.y[0] / trace.x[0] for trace in dotted] == [
        pytest.approx(mix.bytes_per_s) for mix in calibration.mixes
    ]
    for line, rate in zip(lines[1:], calibration.bytes_per_s.values(), strict=True):
        assert [y / x for x, y in zip(line.x, line.y, strict=True)] == pytest.approx([rate] * len(line.x))
        assert max(line.y) <= calibration.flops_per_s["float32"] * 1.001
    assert set(lines[0].y) == {calibration.flops_per_s["float32"]}
    assert len({trace.marker.symbol for trace in points}) == len(points)


def test_names_of_near_peaks_stand_on_either_side() -> None:
    peaks = pd.DataFrame(
        {"name": ["float32", "L3", "DRAM"], "kind": ["compute", "memory", "memory"], "value": [2e11, 1.6e10, 1.5e10]}
    )
    figure = checked(figures_roofline.roofline(layers(), peaks))
    assert [trace.textposition for trace in figure.data[1:3]] == ["top left", "bottom right"]


def test_no_peaks_no_roofline() -> None:
    record = factory.record(factory.PAIR[:1])
    assert figures_roofline.roofline(layers(record), figure_data.of_peaks(record, "int8")) is None
    assert figures_roofline.roofline(layers(latency=False), figure_data.of_peaks(record, "float32")) is None
