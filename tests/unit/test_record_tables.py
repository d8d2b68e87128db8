from __future__ import annotations

import io
import re

import msgspec
import pytest
import record_factory as factory
from printed import printed
from rich.console import Console

from mbench.core import records, units
from mbench.networks import architectures, variants
from mbench.terminal import record_tables


def as_printed(record: records.Record) -> str:
    return printed(*record_tables.record_tables(record))


def numerics(record: records.Record, **changes: object) -> records.Record:
    replace = msgspec.structs.replace
    results = []
    for item in record.results:
        assert item.numerics is not None
        results.append(replace(item, numerics=replace(item.numerics, **changes)))
    return replace(record, results=tuple(results))


def test_totals_say_what_was_seen() -> None:
    record = factory.record()
    text = as_printed(record)
    assert "mobilenet_v1_1.0_224 " in text
    assert "mobilenet_v1_1.0_224_standard " in text
    for part in ("569 M", "4.87 G", "4.21 M", "29.3 M", "8.56x", "6.96x"):
        assert part in text, part
    flat = " ".join(text.split())
    assert "latency 7.8 times; the multiply-adds predict 8.6 times" in flat
    assert "Smallest slow-down that a comparison of this length would show: +0.8 % in mobilenet_v1_1.0_224," in flat
    assert text.count(" ok") == 2
    assert "modelled, not measured" in text


EVERY = (
    factory.record(),
    factory.record(latency=False),
    factory.emulated(),
    factory.counted(factory.record()),
    factory.on_board(factory.record()),
    factory.on_gpu(factory.record()),
)


@pytest.mark.parametrize("record", [*EVERY, *map(factory.hostile, EVERY)])
def test_eighty_columns(record: records.Record) -> None:
    assert max(map(len, as_printed(record).splitlines())) <= 80


def test_the_tables_themselves_are_ascii_but_for_units() -> None:
    assert {character for character in as_printed(factory.record()) if ord(character) > 127} <= {
        "µ",
        "→",
        units.NOT_AVAILABLE,
    }


def test_the_slowest_layers_come_first() -> None:
    record = factory.record(factory.PAIR[:1])
    text = as_printed(record)
    slowest = max(record.results[0].layers, key=lambda layer: sorted(layer.latency_s or ())[10])
    listed = text[text.index("Slowest layers") :].splitlines()
    assert slowest.op == "pointwise_conv2d"
    assert listed[3].startswith("block")
    assert sum(line.startswith(("block", "conv", "fc")) for line in listed) == record_tables.SLOWEST
    assert "compute" in text


def test_without_latency_it_says_why_and_shows_no_zero() -> None:
    text = as_printed(factory.record(latency=False))
    assert factory.NO_LATENCY.split(":")[0] in text
    assert "569 M" in text
    assert "not measured; the multiply-adds predict 8.6 times" in " ".join(text.split())
    assert "Slowest" not in text
    assert " 0 s" not in text


def seconds_in(text: str) -> set[str]:
    """Return every amount of time that a text names."""
    return {" ".join(found.split()) for found in re.findall(r"\d[\d.]*\s+[mµn]?s\b", text)}


def modelled(record: records.Record) -> set[str]:
    """Return the times that a record of an emulated run may show: those of the model."""
    whole = [result.end_to_end.latency_model_s for result in record.results]
    layers = [layer.latency_model_s for result in record.results for layer in result.layers]
    return {units.seconds(value) for value in (*whole, *layers) if value is not None}


def test_an_emulated_run_has_counts_where_latency_would_stand() -> None:
    record = factory.emulated()
    text = as_printed(record)
    flat = " ".join(text.split())
    assert "device emulated (emulated), float32" in flat
    assert f"emulated by {factory.EMULATOR}" in flat
    assert "variant instr MACs params" in flat
    assert "mobilenet_v1_1.0_224 187 M 569 M" in flat
    assert "instructions 10 times; the multiply-adds predict 8.6 times" in flat
    assert f"latency model: {factory.MODEL_METHOD}" in flat
    assert f"DRAM: {factory.TRAFFIC_METHOD}" in flat
    assert f"counts: {factory.COUNTS_METHOD}" in flat
    assert "4 lanes of arm64_cortex_a72" in flat
    assert f"No latency for mobilenet_v1_1.0_224: {factory.NO_TIME}" in flat
    assert "Slowest" not in text
    assert "median" not in text


def test_an_emulated_run_shows_no_time_but_the_models() -> None:
    record = factory.emulated()
    text = as_printed(record)
    shown = seconds_in(text)
    assert shown
    assert shown <= modelled(record)
    assert text.count("latency\n") == 1  # one column, whose head goes on with "model"


def test_the_check_of_times_can_fail() -> None:
    assert not seconds_in(as_printed(factory.record())) <= modelled(factory.record())
    assert seconds_in("12.1 ms, 3 s, 886 µs, 4 stores") == {"12.1 ms", "3 s", "886 µs"}


def test_counts_of_other_code_follow_the_latency_and_say_whose_they_are() -> None:
    plain, text = as_printed(factory.record()), as_printed(factory.counted(factory.record()))
    assert text.startswith(plain.rstrip())
    added = " ".join(text[len(plain.rstrip()) :].split())
    assert added.startswith("Counts, exact, of code for x86_64_v3 in emulation (not of what was timed)")
    assert "8 lanes of x86_64_v3" in added
    assert "latency" not in added
    assert not seconds_in(added)


def test_an_emulated_run_that_went_wrong_has_neither() -> None:
    record = factory.emulated(factory.PAIR[:1])
    result = msgspec.structs.replace(record.results[0], counts=None, missing={"counts": "the output is wrong"})
    text = " ".join(as_printed(msgspec.structs.replace(record, results=(result,))).split())
    assert f"{factory.PAIR[0]} {units.NOT_AVAILABLE} 569 M" in text
    assert "No counts for mobilenet_v1_1.0_224: the output is wrong." in text
    assert "Layers with most" not in text


def test_a_board_is_named() -> None:
    text = " ".join(as_printed(factory.on_board(factory.record())).split())
    assert "device rpc (rpc://10.0.0.7:9090), 2 threads" in text
    assert "board raspberrypi: Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4), Debian GNU/Linux 12" in text
    assert "compiled on testhost: Test CPU @ 2.0 GHz" in text
    assert "board" not in as_printed(factory.record())


def test_failures_and_the_unfinished_are_loud() -> None:
    record = factory.record(failed=("mobilenet_v1_0.5_128",))
    assert "FAILED: mobilenet_v1_0.5_128 (build): out of registers" in as_printed(record)
    assert "UNFINISHED" not in as_printed(record)
    assert "UNFINISHED: mobilenet_v1_0.5_128" in as_printed(msgspec.structs.replace(record, failures=()))
    assert "FAILED" not in as_printed(factory.record())


def test_a_wrong_output_is_loud() -> None:
    text = " ".join(as_printed(numerics(factory.record(), passed=False, max_rel_error=0.5)).split())
    assert "WRONG OUTPUT: mobilenet_v1_1.0_224: relative error 0.5, tolerance 0.0001" in text
    assert "WRONG" not in as_printed(factory.record())


def test_no_pair_names_what_to_run() -> None:
    assert "run also: mobilenet_v1_1.0_224_standard." in " ".join(as_printed(factory.record(factory.PAIR[:1])).split())


def test_names_are_no_markup_and_no_terminal_codes() -> None:
    record = msgspec.structs.replace(factory.record().host, cpu="\x1b[31m[bold]red[/bold]")
    text = as_printed(msgspec.structs.replace(factory.record(), host=record))
    assert "[bold]red[/bold]" in text
    assert "\x1b" not in text


def test_measured_energy_leads_where_every_network_has_it() -> None:
    record = metered(metered(factory.record(), 0, 0.031), 1, 0.093)
    text = " ".join(as_printed(record).split())
    modelled = units.joules(record.results[0].energy.energy_j)
    assert "*energy: measured, including idle power (RAPL package)" in text
    assert f"; modelled {modelled} for mobilenet_v1_1.0_224" in text
    [separable] = [line for line in as_printed(record).splitlines() if line.startswith(f"{factory.PAIR[0]} ")]
    assert " 31.0 mJ" in separable
    assert modelled not in separable
    [ratio] = [line for line in as_printed(record).splitlines() if "ratio standard/separable" in line]
    assert ratio.split()[-1] == "3.00x"


def test_energy_is_modelled_in_the_table_where_one_network_was_not_metered() -> None:
    record = metered(factory.record(), 0, 0.031)
    text = " ".join(as_printed(record).split())
    assert "*energy: modelled, not measured; measured 31.0 mJ for mobilenet_v1_1.0_224 (RAPL package)" in text
    [separable] = [line for line in as_printed(record).splitlines() if line.startswith(f"{factory.PAIR[0]} ")]
    assert f" {units.joules(record.results[0].energy.energy_j)}" in separable


def metered(record: records.Record, index: int, energy_j: float) -> records.Record:
    """Return the record with a meter's energy for one result."""
    measured = records.MeteredEnergy(energy_j=energy_j, method="RAPL package", window_s=5.0, runs=400)
    results = list(record.results)
    energy = msgspec.structs.replace(results[index].energy, measured=measured)
    results[index] = msgspec.structs.replace(results[index], energy=energy)
    return msgspec.structs.replace(record, results=tuple(results))


def test_a_record_without_results() -> None:
    assert "FAILED" in as_printed(factory.record((), failed=("mobilenet_v1_0.5_128",)))


def test_layers_and_the_papers_split() -> None:
    """Oracle: arXiv:1704.04861, table 2: 94.86 % of multiply-adds and 74.59 % of parameters in 1x1 convolutions."""
    stream = io.StringIO()
    Console(file=stream, width=80).print(
        record_tables.layers_table(architectures.layers(variants.parse(factory.PAIR[0])))
    )
    text = stream.getvalue()
    [pointwise] = [line.split() for line in text.splitlines() if line.startswith("pointwise_conv2d")]
    assert pointwise[3:5] == ["94.86", "%"]
    assert pointwise[-2:] == ["74.59", "%"]
    assert "1x1024x7x7" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_gpu_is_named_with_its_driver_and_its_idle_power() -> None:
    text = " ".join(as_printed(factory.on_gpu(factory.record())).split())
    assert "NVIDIA H100 80GB HBM3, driver 580.82.07; host Test CPU" in text
    assert "measured: NVML: 70.2 W before" in text
    assert "thread" not in text.split("driver", 1)[0]


def test_several_batches_are_said() -> None:
    record = factory.record(("mobilenet_v1_0.25_32_b1", "mobilenet_v1_0.25_32_b8"))
    assert "batch 1, 8" in as_printed(record)
