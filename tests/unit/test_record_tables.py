from __future__ import annotations

import re

import msgspec
import pytest
import record_factory as factory
from printed import printed
from session_records import in_sessions

from mbench.analysis import first_answers
from mbench.core import records, units
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


def test_all_is_said_of_a_quiet_pair() -> None:
    text = as_printed(in_sessions(factory.record()))
    for part in ("569 M", "4.87 G", "8.56x", "p50", "+ unattributed", "Cold start", "slowest layers"):
        assert part in text, part
    flat = " ".join(text.split())
    assert "Standard twin: 7.8 times the latency; multiply-adds predict 8.6 times." in flat
    assert text.count(" ok") == 2


def test_of_a_disturbed_pair_no_speed_up_is_a_figure() -> None:
    flat = " ".join(as_printed(in_sessions(factory.record(), disturbed=factory.PAIR[:1])).split())
    assert "Standard twin: latency ? (disturbed); multiply-adds predict 8.6 times." in flat
    assert "disturbed (~), 1 of 2 networks: other processes kept 0.40 to 1.60 processors busy; its threads" in flat


def test_what_to_try_next_is_said_last_in_the_words_of_the_page() -> None:
    for record in (
        in_sessions(factory.record()),
        in_sessions(factory.record(factory.PAIR[:1]), disturbed=factory.PAIR),
        in_sessions(factory.record(factory.PAIR[:1]), (1.0,)),
        factory.emulated(factory.PAIR[:1]),
    ):
        step = first_answers.steps([record])[0]
        flat = " ".join(as_printed(record).split())
        assert step.command is not None
        command = "." if step.at_hand else f": {step.command}"
        assert flat.endswith(f"Try next: {step.words[0].lower()}{step.words[1:]}{command}")


def test_a_pair_that_was_disturbed_still_says_where_its_time_goes() -> None:
    lines = as_printed(in_sessions(factory.record(), disturbed=factory.PAIR)).splitlines()
    assert sum(line.count("slowest layers") for line in lines) == 2
    assert sum(" ~" in line and ".pw" in line for line in lines) >= 2


def test_of_many_networks_it_is_said_where_the_time_goes() -> None:
    record = in_sessions(factory.record(("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64", "mobilenet_v1_0.5_32")))
    goes = first_answers.where([record])
    assert goes is not None
    assert f"{goes.question} {' '.join(goes.sentences)}" in " ".join(as_printed(record).split())


def test_several_pairs_are_one_line() -> None:
    names = [f"mobilenet_v1_{size}{kind}" for size in ("0.25_32", "0.5_32", "0.5_64") for kind in ("", "_standard")]
    flat = " ".join(as_printed(in_sessions(factory.record(names), disturbed=names[:1])).split())
    assert re.search(r"Standard twins of 3 networks: \d\.\d to \d\.\d times the latency \(\?: 1 disturbed\);", flat)


EVERY = (
    factory.record(),
    factory.record(latency=False),
    factory.emulated(),
    factory.counted(factory.record()),
    factory.on_board(factory.record()),
    factory.on_gpu(factory.record()),
    in_sessions(factory.record()),
    in_sessions(factory.record(), disturbed=factory.PAIR[:1]),
    in_sessions(factory.record(), disturbed=factory.PAIR),
    in_sessions(factory.counted(factory.record())),
    in_sessions(factory.on_gpu(factory.record())),
    in_sessions(factory.record(factory.PAIR[:1])),
)


@pytest.mark.parametrize("record", [*EVERY, *map(factory.hostile, EVERY)])
def test_eighty_columns(record: records.Record) -> None:
    lines = as_printed(record).splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("record", EVERY)
def test_up_to_two_networks_are_one_screen(record: records.Record) -> None:
    """With the two lines that name record and page; nor does it say less than there is room for."""
    assert len(as_printed(record).splitlines()) + 2 <= 24


def warned(record: records.Record, *warnings: str) -> records.Record:
    results = tuple(msgspec.structs.replace(result, warnings=warnings) for result in record.results)
    return msgspec.structs.replace(record, results=results)


@pytest.mark.parametrize(
    ("name", "more"), [("mobilenet_v4_conv_medium_1.0_256", 0), ("mobilenet_v3_large_minimalistic_1.0_224", 2)]
)
def test_two_long_names_leave_out_nothing_that_is_wanted(name: str, more: int) -> None:
    """The longest of all, of 48 characters, take two lines more than a screen has."""
    lines = as_printed(in_sessions(factory.record((name, f"{name}_standard")))).splitlines()
    heads = {word for line in lines if line.startswith("network") for word in line.split()[1:]}
    assert {"latency", "interval", "MACs", "memory", "energy*", "output", "p90", "p99", "unattributed"} <= heads
    assert len(lines) <= record_tables.SCREEN + more


CAUSES = ["it is hot", "it is wet", "somebody sings", "a door is open", "no light", "a long day", "rain", "a cat"]


def test_the_slowest_layers_make_room_for_warnings() -> None:
    texts = [as_printed(warned(in_sessions(factory.record()), *CAUSES[:count])) for count in range(len(CAUSES) + 1)]
    rows = [text.partition("slowest layers")[2].partition("warning")[0].count("\n") for text in texts]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > rows[-1] == 0
    assert all(len(text.splitlines()) == record_tables.SCREEN for text in texts[:2])


SIXTEEN = [
    f"mobilenet_v1_{width}_{side}{kind}{batch}"
    for width in (0.25, 0.5) for side in (32, 64) for kind in ("", "_standard") for batch in ("_b1", "_b8")
]  # fmt: skip


def test_sixteen_networks_are_a_line_each_and_a_few_more() -> None:
    record = in_sessions(factory.record(SIXTEEN, repeat=3, layer_repeat=3), disturbed=SIXTEEN[:3])
    lines = as_printed(record).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("mobilenet")] == SIXTEEN
    assert len(lines) <= 16 + 18
    [said] = [line for line in lines if line.startswith("disturbed")]
    assert said.startswith("disturbed (~), 3 of 16 networks: other processes kept 0.40 to 1.60 processors")


def test_a_warning_is_one_line_for_all_networks_and_their_range() -> None:
    record = in_sessions(factory.record(SIXTEEN, repeat=3, layer_repeat=3))
    results = list(record.results)
    for at, busy in ((0, "0.40"), (5, "1.60"), (6, "0.90")):
        results[at] = msgspec.structs.replace(results[at], warnings=(f"others kept {busy} processors busy",))
    text = as_printed(msgspec.structs.replace(record, results=tuple(results)))
    assert text.count("warning") == 1
    assert "warning: others kept 0.40 to 1.60 processors busy (3 of 16 networks)\n" in text


def test_a_warning_that_repeats_what_disturbed_a_network_is_left_out() -> None:
    said = "other processes kept 1.00 processors busy while this was measured: stop them and run it again"
    peaks = "other processes kept 1.00 processors busy while the machine's peaks were measured: they are too low"
    quiet, disturbed = (
        as_printed(warned(in_sessions(factory.record(), disturbed=names), said, peaks, "a cause of its own"))
        for names in ((), factory.PAIR)
    )
    assert (quiet.count("warning: other processes"), disturbed.count("warning: other processes")) == (2, 1)
    assert "peaks were measured: they are too low" in " ".join(disturbed.split())
    assert "warning: a cause of its own\n" in disturbed


def tuned(record: records.Record, number: int) -> records.Record:
    results = []
    for result in record.results:
        kernels = list(result.artifact.schedules)[:number]
        schedules = result.artifact.schedules | dict.fromkeys(kernels, "cpu.matmul 8x2x16 (tuned)")
        artifact = msgspec.structs.replace(result.artifact, schedules=schedules)
        results.append(msgspec.structs.replace(result, artifact=artifact))
    settings = msgspec.structs.replace(record.settings, tuned={"host.toml": "0" * 64})
    return msgspec.structs.replace(record, results=tuple(results), settings=settings)


def test_tuned_choices_are_one_line() -> None:
    record = factory.record(factory.PAIR[:1])
    kernels = len(record.results[0].artifact.schedules)
    assert f"tuned: 3 of {kernels} kernels, by host.toml (--no-tuned: none)\n" in as_printed(tuned(record, 3))
    assert "tuned" not in as_printed(tuned(record, 0))


def test_the_tables_themselves_are_ascii_but_for_units() -> None:
    assert {character for character in as_printed(factory.record()) if ord(character) > 127} <= {
        "µ",
        "→",
        units.NOT_AVAILABLE,
    }


def test_without_latency_it_says_why_and_shows_no_zero() -> None:
    text = as_printed(factory.record(latency=False))
    assert factory.NO_LATENCY.split(":")[0] in text
    assert "569 M" in text
    assert "latency not measured; multiply-adds predict 8.6 times" in " ".join(text.split())
    assert "slowest" not in text
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
    assert "device emulated, float32" in flat
    assert f"emulated by {factory.EMULATOR}" in flat
    assert "network instr latency* MACs" in flat
    assert "mobilenet_v1_1.0_224 187 M" in flat
    assert "Standard twin: 10 times the instructions; multiply-adds predict 8.6 times." in flat
    assert f"No latency: {factory.NO_TIME}" in flat
    assert "slowest" not in text
    assert "median" not in text


def test_an_emulated_run_shows_no_time_but_the_models() -> None:
    record = factory.emulated()
    text = as_printed(record)
    shown = seconds_in(text)
    assert shown
    assert shown <= modelled(record)


def modelled_with_error() -> records.Record:
    """Return a record of an emulated run that knows the error of its model and what it says of more threads."""
    record = factory.emulated(factory.PAIR[:1])
    [result] = record.results
    whole = msgspec.structs.replace(
        result.end_to_end,
        latency_model_error="off by 8% in the median",
        latency_model_threads_s={"2": 0.021, "4": 0.011},
    )
    return msgspec.structs.replace(record, results=(msgspec.structs.replace(result, end_to_end=whole),))


def test_a_modelled_latency_has_its_error_beside_it() -> None:
    flat = " ".join(as_printed(modelled_with_error()).split())
    assert "latency*: a model's, of one thread, not measured; off by 8% in the median" in flat
    assert "off by" not in as_printed(factory.emulated())  # of earlier versions


def test_more_threads_are_said_to_be_the_models() -> None:
    flat = " ".join(as_printed(modelled_with_error()).split())
    name = factory.PAIR[0]
    assert f"latency* of {name} on more threads, also the model's: 21.0 ms on 2, 11.0 ms on 4" in flat
    assert "more threads" not in as_printed(factory.emulated())


def test_the_check_of_times_can_fail() -> None:
    assert not seconds_in(as_printed(factory.record())) <= modelled(factory.record())
    assert seconds_in("12.1 ms, 3 s, 886 µs, 4 stores") == {"12.1 ms", "3 s", "886 µs"}


def test_an_emulated_run_that_went_wrong_has_neither() -> None:
    record = factory.emulated(factory.PAIR[:1])
    result = msgspec.structs.replace(record.results[0], counts=None, missing={"counts": "the output is wrong"})
    text = " ".join(as_printed(msgspec.structs.replace(record, results=(result,))).split())
    assert f"{factory.PAIR[0]} {units.NOT_AVAILABLE} " in text
    assert "No counts: the output is wrong." in text
    assert "most instructions" not in text


def test_a_board_is_named() -> None:
    text = " ".join(as_printed(factory.on_board(factory.record())).split())
    assert "device rpc (rpc://10.0.0.7:9090), 2 threads" in text
    assert "board raspberrypi: Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4), Debian GNU/Linux 12" in text
    assert "compiled on testhost: Test CPU @ 2.0 GHz" in text
    assert "board" not in as_printed(factory.record())
    assert "device local (testhost), 2 threads" in as_printed(factory.record())


def test_failures_and_the_unfinished_are_loud() -> None:
    record = factory.record(failed=("mobilenet_v1_0.5_128",))
    assert "FAILED: mobilenet_v1_0.5_128 (build): out of registers" in as_printed(record)
    assert "UNFINISHED" not in as_printed(record)
    assert "UNFINISHED: mobilenet_v1_0.5_128" in as_printed(msgspec.structs.replace(record, failures=()))
    assert "FAILED" not in as_printed(factory.record())


def test_a_network_with_too_few_sessions_has_a_result_all_the_same() -> None:
    record = factory.in_sessions(factory.record())
    had = len(record.results[0].sessions)
    asked = msgspec.structs.replace(record.settings, sessions=had + 2)
    text = " ".join(as_printed(msgspec.structs.replace(record, settings=asked)).split())
    assert f"UNFINISHED: mobilenet_v1_1.0_224: {had} of {had + 2} sessions were measured" in text
    assert "has no result" not in text


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
    both = units.ranged((result.energy.energy_j for result in record.results), units.joules)
    assert f"energy*: measured, including idle power (RAPL package); modelled {both}, with static power" in text
    [separable] = [line for line in as_printed(record).splitlines() if line.startswith(f"{factory.PAIR[0]} ")][:1]
    assert " 31.0 mJ" in separable
    [ratio] = [line for line in as_printed(record).splitlines() if "ratio standard/separable" in line]
    assert ratio.split()[-1] == "3.00x"


def test_energy_is_modelled_in_the_table_where_one_network_was_not_metered() -> None:
    record = metered(factory.record(), 0, 0.031)
    text = " ".join(as_printed(record).split())
    assert "energy*: modelled, with static power; measured 31.0 mJ in 1 of 2 networks (RAPL package)" in text
    [separable] = [line for line in as_printed(record).splitlines() if line.startswith(f"{factory.PAIR[0]} ")][:1]
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


def test_a_gpu_is_named_with_its_driver_and_its_idle_power() -> None:
    text = " ".join(as_printed(factory.on_gpu(factory.record())).split())
    assert "NVIDIA H100 80GB HBM3, driver 580.82.07; host Test CPU" in text
    assert "measured: NVML: 70.2 W before" in text
    assert "thread" not in text.split("driver", 1)[0]


def test_several_batches_are_said() -> None:
    record = factory.record(("mobilenet_v1_0.25_32_b1", "mobilenet_v1_0.25_32_b8"))
    assert "batch 1, 8" in as_printed(record)
