from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import quantized_records as quantized
import record_factory as factory
from sustained_factory import sustained, with_sustained

import mbench
from mbench.analysis import frame, frame_columns, headline, pairs
from mbench.core import record_files, records, stats
from mbench.core.errors import RecordError
from mbench.hardware import host


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record_files.write(tmp_path / "a.json", factory.record(run_id="a"))
    record_files.write(tmp_path / "b.json", factory.record(latency=False, run_id="b"))
    return tmp_path


def test_a_row_for_each_network_and_layer() -> None:
    record = factory.record()
    table = frame.from_records([record])
    assert tuple(table.columns) == frame_columns.COLUMNS
    assert (table["scope"] == "network").sum() == 2
    assert (table["scope"] == "layer").sum() == 29 + 16


def test_values_are_the_records() -> None:
    record = factory.record()
    result = record.results[0]
    table = frame.from_records([record])
    network = table[(table["scope"] == "network") & (table["variant"] == result.variant.name)].iloc[0]
    assert network["latency_s"] == stats.median(result.end_to_end.latency_s or ())
    assert network["samples"] == 100
    assert network["activation_bytes"] == result.memory.activation_peak_bytes
    layer = table[(table["layer"] == "block3.pw")].iloc[0]
    expected = next(item for item in result.layers if item.name == "block3.pw")
    assert layer["latency_p10_s"] < layer["latency_s"] < layer["latency_p90_s"]
    assert layer["macs"] == expected.macs
    assert layer["schedule"] == "x86.pointwise_conv2d"
    assert expected.roofline is not None
    assert layer["fraction_of_bound"] == expected.roofline.fraction_of_bound
    assert layer["width_multiplier"] == 1.0


def test_the_sum_over_layers_is_the_network() -> None:
    table = frame.from_records([factory.record()])
    sums = table[table["scope"] == "layer"].groupby("variant")["macs"].sum()
    networks = table[table["scope"] == "network"].set_index("variant")["macs"]
    assert sums.to_dict() == networks.to_dict()


def test_missing_stays_missing() -> None:
    table = frame.from_records([factory.record(latency=False)])
    for name in ("latency_s", "latency_p10_s", "samples", "flops_per_s", "bound", "process_peak_bytes"):
        assert table[name].isna().all(), name
    assert table[table["scope"] == "network"]["layer"].isna().all()
    assert table["macs"].notna().all()


def test_noise_warnings_and_versions() -> None:
    record = factory.record()
    record = msgspec.structs.replace(record, host=host.describe())
    [first, *_] = record.results
    warned = msgspec.structs.replace(first, warnings=("too hot", "too busy"))
    table = frame.from_records([msgspec.structs.replace(record, results=(warned, *record.results[1:]))])
    row, other = table[table["scope"] == "network"].iloc[0], table[table["scope"] == "network"].iloc[1]
    noise = pairs.noise(record, first)
    assert noise is not None
    assert (row["noise_log_ratio_mean"], row["noise_log_ratio_sd"], row["smallest_visible_change"]) == (
        noise.log_ratio_mean, noise.log_ratio_sd, noise.smallest_visible_change,
    )  # fmt: skip
    assert (row["warnings"], pd.isna(other["warnings"])) == ("too hot\ntoo busy", not record.results[1].warnings)
    versions = ("mbench", "python", "tvm", "torch")
    assert [row[f"{name}_version"] for name in versions] == [
        record.mbench_version, platform.python_version(), metadata.version("apache-tvm"), metadata.version("torch"),
    ]  # fmt: skip
    assert table[table["scope"] == "layer"][["warnings", "smallest_visible_change"]].isna().all().all()


def test_what_networks_came_to_under_load_are_columns() -> None:
    curve, never = sustained(), sustained(lambda now_s: 5e-3 * (1 + now_s / 60))
    table = frame.from_records([with_sustained(factory.record(), curve, never)])
    first, second = (row for _, row in table[table["scope"] == "network"].iterrows())
    assert curve.steady is not None
    assert [first[f"sustained_{name}"] for name in ("s", "first_s", "latency_s", "low_s", "high_s", "from_s")] == [
        curve.ran_s, curve.first_second_s, curve.steady.latency_s, curve.steady.low_s, curve.steady.high_s,
        curve.steady.from_s,
    ]  # fmt: skip
    assert first["sustained_slower"] == curve.steady.slower_than_headline
    assert (second["sustained_s"], second["sustained_first_s"]) == (never.ran_s, never.first_second_s)
    assert pd.isna(second["sustained_latency_s"])
    assert table[table["scope"] == "layer"]["sustained_s"].isna().all()


def test_every_column_says_what_it_is() -> None:
    assert all(frame_columns.MEANINGS.values())
    assert set(frame_columns.TEXT) | set(frame_columns.WHOLE) <= set(frame_columns.COLUMNS)
    units = {"_s": "second", "_bytes": "bytes", "_j": "joules"}
    for column, meaning in frame_columns.MEANINGS.items():
        for ending, unit in units.items():
            assert not column.endswith(ending) or unit in meaning or column.endswith("_per_s"), column


def test_timestamps_are_moments_of_their_own(folder: Path) -> None:
    moments = mbench.load(folder)["created_at_utc"]
    assert moments.dtype == "datetime64[ns, UTC]"
    assert set(moments) == {pd.Timestamp("2025-03-01T12:00:00Z")}


def test_a_moment_beyond_what_a_table_holds_is_missing(tmp_path: Path) -> None:
    late = msgspec.structs.replace(factory.record(), created_at_utc="9999-01-01T00:00:00Z")
    record_files.write(tmp_path / "late.json", late)
    assert mbench.load(tmp_path)["created_at_utc"].isna().all()


def test_counts_traffic_and_models() -> None:
    record = factory.emulated()
    table = frame.from_records([record])
    for scope, expected in (("network", record.results[0].counts), ("layer", record.results[0].layers[2])):
        row = table[(table["scope"] == scope) & (table["variant"] == record.results[0].variant.name)]
        found = row.iloc[0 if scope == "network" else 2]
        assert expected is not None
        assert expected.counters is not None
        for name in records.Counters.__struct_fields__:
            assert found[name] == getattr(expected.counters, name), name
        assert expected.traffic_bytes is not None
        assert found["traffic_l1_bytes"] == expected.traffic_bytes["L1"]
        assert found["traffic_dram_bytes"] == expected.traffic_bytes["DRAM"]
        assert found["counts_target"] == "arm64_cortex_a72"
        assert found["instructions_per_fma"] == pytest.approx(found["instructions"] / (found["macs"] / 4))
        assert found["latency_model_method"] == factory.MODEL_METHOD
    sums = table[table["scope"] == "layer"].groupby("variant")[["instructions", "latency_model_s"]].sum()
    networks = table[table["scope"] == "network"].set_index("variant")
    assert sums["instructions"].to_dict() == networks["instructions"].to_dict()
    assert sums["latency_model_s"].to_dict() == pytest.approx(networks["latency_model_s"].to_dict())
    assert table["latency_s"].isna().all()
    assert table["traffic_l3_bytes"].isna().all()


def test_without_counts_their_columns_are_missing() -> None:
    table = frame.from_records([factory.record()])
    counts = table.columns[list(table.columns).index("fraction_of_bound") + 1 :]
    assert {"instructions", "traffic_dram_bytes", "latency_model_s"} <= set(counts)
    assert table[counts].isna().all().all()


def test_types_do_not_depend_on_what_is_missing() -> None:
    full, empty = frame.from_records([factory.record()]), frame.from_records([])
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert len(empty) == 0


def test_a_run_counts_once() -> None:
    record = factory.record()
    assert len(frame.from_records([record, record])) == len(frame.from_records([record]))


def test_file_folder_glob_and_several(folder: Path) -> None:
    def runs(paths: object) -> list[str]:
        return list(mbench.load(paths)["run_id"].unique())  # type: ignore[arg-type]

    assert runs(folder / "a.json") == ["a"]
    assert runs(str(folder)) == ["a", "b"]
    assert runs(str(folder / "*.json")) == ["a", "b"]
    assert runs([folder / "b.json", folder / "a.json", folder]) == ["b", "a"]


def test_a_file_named_like_a_glob_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run[1].json"
    record_files.write(path, factory.record())
    assert frame.files(path) == (path,)


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "*.json", tmp_path / "none.json"):
        with pytest.raises(RecordError, match=r"no record there|cannot be read"):
            mbench.load(path)


def test_a_folder_of_more_files_than_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(frame.files(folder))
    monkeypatch.setattr(frame, "MOST_FILES", count - 1)
    for path in (folder, folder / "*.json"):
        with pytest.raises(RecordError, match=f"{count} files there; expected at most {count - 1}"):
            frame.files(path)


def test_a_bad_record_is_an_error(folder: Path) -> None:
    (folder / "c.json").write_text('{"format_version": 1}')
    with pytest.raises(RecordError, match=r"c\.json"):
        mbench.load(folder)


def test_public_name_and_lazy_pandas() -> None:
    code = "import sys, mbench.analysis.frame; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert isinstance(frame.from_records([]), pd.DataFrame)


def test_labels_and_places_of_layers_are_columns() -> None:
    record = factory.record(factory.PAIR[:1])
    labelled = msgspec.structs.replace(record, labels={"commit": "9f8e", "branch": "main", "nightly": "yes"})
    table = frame.from_records([labelled])
    assert set(table["commit"]) == {"9f8e"}
    assert set(table["branch"]) == {"main"}
    assert table["change"].isna().all()
    layers = table[table["scope"] == "layer"]
    found = list(zip(layers["layer"], layers["block"], layers["role"], strict=True))
    assert found[:3] == [
        ("conv0", "stem", "stem"),
        ("block1.dw", "block1", "depthwise"),
        ("block1.pw", "block1", "pointwise"),
    ]
    assert set(table["network_digest"].dropna()) == ({record.results[0].variant.digest} - {None})


def test_a_network_in_sessions_has_its_headline_and_how_sure_it_is() -> None:
    record = factory.in_sessions(factory.record(), disturbed=(1,))
    table = frame.from_records([record])
    row = table[table["scope"] == "network"].iloc[0]
    result = record.results[0]
    found = headline.of_result(result)
    assert found is not None
    assert found.interval is not None
    assert (row["latency_s"], row["sessions"], row["samples"]) == (found.median_s, 4, 400)
    assert (row["latency_low_s"], row["latency_high_s"]) == (found.interval.low, found.interval.high)
    assert row["latency_confidence"] == 0.875  # the sign test's, of four values: 1 - 2 / 2**4
    assert (row["spread_within"], row["spread_between"]) == (found.within, found.between)
    assert row["smallest_visible_change"] == found.smallest_change
    assert row["images_per_s"] == pytest.approx(1 / found.median_s)
    assert (row["load_s"], row["first_s"]) == pytest.approx((0.045, 0.45))  # of 20, 40, 50, 60 and 200 to 600 ms
    samples = pd.Series(result.end_to_end.latency_s)
    percentiles = [row[f"latency_p{percent}_s"] for percent in (10, 50, 90, 99)]
    assert percentiles == pytest.approx(list(samples.quantile([0.1, 0.5, 0.9, 0.99])))
    assert row["noise_log_ratio_sd"] is pd.NA or pd.isna(row["noise_log_ratio_sd"])


def test_layers_keep_the_median_of_their_samples_which_their_roofline_is_of() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]))
    layers = frame.from_records([record]).query("scope == 'layer'")
    assert list(layers["latency_s"]) == [pairs.layer_latency_s(layer) for layer in record.results[0].layers]
    assert set(layers["sessions"]) == {5}
    for name in ("latency_low_s", "spread_between", "images_per_s", "load_s"):
        assert layers[name].isna().all(), name


def test_what_is_disturbed_says_so_and_by_what() -> None:
    record = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[:1])
    table = frame.from_records([record])
    first, second = (table[table["variant"] == name] for name in factory.PAIR)
    assert first["disturbed"].all()
    assert set(first["disturbed_by"]) == {factory.BUSY}
    assert first["smallest_visible_change"].isna().all()
    assert not second["disturbed"].any()
    assert second["disturbed_by"].isna().all()
    assert table["disturbed"].dtype == "boolean"


def test_a_steady_state_is_not_compared_with_a_disturbed_latency() -> None:
    curve = sustained()
    quiet = with_sustained(factory.in_sessions(factory.record(factory.PAIR[:1])), curve)
    disturbed = with_sustained(
        factory.in_sessions(factory.record(factory.PAIR[:1], run_id="b"), disturbed=range(5)), curve
    )
    table = frame.from_records([quiet, disturbed]).query("scope == 'network'")
    assert list(table["sustained_slower"].isna()) == [False, True]
    assert list(table["sustained_latency_s"].isna()) == [False, False]


def test_a_record_without_sessions_has_what_it_had() -> None:
    record = factory.record()
    table = frame.from_records([record, factory.record(latency=False, run_id="b")])
    row, *_ = table[table["scope"] == "network"].to_dict("records")
    noise = pairs.noise(record, record.results[0])
    assert noise is not None
    assert row["smallest_visible_change"] == noise.smallest_visible_change
    for name in ("sessions", "latency_low_s", "latency_confidence", "spread_between", "load_s", "first_s"):
        assert pd.isna(row[name]), name
    assert row["disturbed"] is False
    untimed = table[table["run_id"] == "b"]
    for name in ("disturbed", "spread_within", "images_per_s", "latency_p99_s"):
        assert untimed[name].isna().all(), name


def test_quantisation_has_columns() -> None:
    record = quantized.evaluated(quantized.both(left_float=("block2.pw",)))
    table = frame.from_records([record])
    floats, whole = (row for _, row in table[table["scope"] == "network"].iterrows())
    assert (whole["sqnr_db"], whole["agreement"], whole["agreement_images"], whole["left_float"]) == (19.5, 0.75, 4, 1)
    assert (whole["evaluated_images"], whole["float32_correct"], whole["int8_correct"]) == (100, 90, 88)
    assert floats[["sqnr_db", "agreement", "left_float", "evaluated_images"]].isna().all()
    layers = table[(table["scope"] == "layer") & (table["dtype"] == "int8")].set_index("layer")
    assert layers.loc["conv0", "sqnr_db"] == 40.0
    assert layers["stayed_float"].sum() == 1
    assert layers.loc["block2.pw", "stayed_float"]
    assert table[(table["scope"] == "layer") & (table["dtype"] == "float32")]["stayed_float"].isna().all()
