"""The command that repeats a result: the command line reads out of it what the record was made with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from hypothesis import given
from hypothesis import strategies as st

from mbench.analysis import repeat
from mbench.api import run as api
from mbench.cli import main
from mbench.cli.run import run
from mbench.core import outputs
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Record
from mbench.core.run_options import RunOptions, flag


class Asked(Exception):
    pass


def parsed(words: list[str]) -> tuple[tuple[str, ...], str, RunOptions]:
    """Return what `mbench.api.run` is asked for by a command: networks, target and options."""
    asked: list[tuple[tuple[str, ...], str, RunOptions]] = []

    def run(networks: tuple[str, ...], *, target: str, options: RunOptions, executor: str, display: object) -> Record:
        assert executor == "local"  # where it is built changes nothing of a result
        asked.append((networks, target, options))
        raise Asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "run", run)
        with pytest.raises(Asked):
            main.main.main(words[1:], prog_name=words[0], standalone_mode=False)
    return asked[0]


def repeated(record: Record) -> list[str]:
    return shlex.split(repeat.command(record, record.results[0]))


NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)
WHOLE_SECONDS = st.integers(1, 86_400).map(float)
OPTIONS = st.builds(
    RunOptions,
    device=st.none() | NAMES,
    threads=st.none() | st.integers(1, 1024),
    batch=st.integers(1, 65_536) | st.lists(st.integers(1, 65_536), min_size=2, max_size=3, unique=True).map(tuple),
    dtype=NAMES,
    output=st.just(Path("mbench-results")) | NAMES.map(lambda text: Path(f"x{text}")),
    sessions=st.none() | st.integers(1, 1000),
    quick=st.booleans(),
    wait_quiet_s=st.none() | WHOLE_SECONDS,
    repeat=st.none() | st.integers(3, 100_000),
    sustain_s=st.none() | WHOLE_SECONDS | st.sampled_from([0.5, 1234.5678]),
    timeout_s=WHOLE_SECONDS,
    build_timeout_s=WHOLE_SECONDS,
    compile_only=st.booleans(),
    counts=st.booleans(),
    keep_artifacts=st.booleans(),
    use_cache=st.booleans(),
    use_tuned=st.booleans(),
    percentile=st.just(100.0) | st.sampled_from([99.9, 99.999]),
    keep_float=st.lists(NAMES.map(lambda text: f"x{text}"), max_size=2).map(tuple),
    weight_bits=st.sampled_from([7, 8]),
    activation_type=st.sampled_from(["uint8", "int8"]),
    calibration=st.none() | NAMES.map(lambda text: Path(f"x{text}")),
    evaluate=st.none() | NAMES.map(lambda text: Path(f"x{text}")),
    preprocessing=st.sampled_from([None, "torchvision", "tensorflow", "unit"]),
    target_dirs=st.lists(NAMES.map(lambda text: Path(f"x{text}")), max_size=2).map(tuple),
)


@given(OPTIONS)
def test_options_as_words_are_the_same_options(options: RunOptions) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "check_folder", lambda *_, **__: None)  # the folders are not there
        networks, target, found = parsed(["mbench", "run", "net", *repeat.option_words(options)])
    assert (networks, target) == (("net",), "host")
    plain = {field: getattr(found, field) for field in RunOptions.__struct_fields__} | {"batch": found.batches}
    assert plain == {field: getattr(options, field) for field in RunOptions.__struct_fields__} | {
        "batch": options.batches
    }


SETTINGS = st.fixed_dictionaries(
    {
        "threads": st.integers(1, 1024),
        "dtype": st.sampled_from(["float32", "float16"]),
        "repeat": st.integers(3, 100_000),
        "measure_max_s": st.none() | st.just(4.0),
        "sustain_s": st.none() | WHOLE_SECONDS,
        "timeout_s": WHOLE_SECONDS,
        "compile_only": st.booleans(),
        "counts": st.booleans(),
        "tuned": st.sampled_from([{}, {"host-x.toml": "0" * 64}]),
    }
)
KINDS = st.sampled_from(["local", "emulated", "rpc"])


@given(SETTINGS, KINDS, st.integers(1, 65_536))
def test_the_command_of_a_result_asks_for_what_its_record_was_made_with(
    changes: dict[str, Any], kind: str, batch: int
) -> None:
    record, replace = factory.record(factory.PAIR[:1]), msgspec.structs.replace
    [result] = record.results
    result = replace(result, variant=replace(result.variant, batch=batch, dtype=changes["dtype"]))
    kind = "none" if changes["compile_only"] else kind
    record = replace(
        record, settings=replace(record.settings, **changes), device=replace(record.device, kind=kind, name="pi 4")
    )
    networks, target, options = parsed(shlex.split(repeat.command(record, result)))
    settings = record.settings
    assert (networks, target) == ((result.variant.name,), record.target.name)
    assert (options.threads, options.batches, options.dtype) == (settings.threads, (batch,), settings.dtype)
    assert options.repeat == (None if settings.measure_max_s else settings.repeat)
    assert (options.timeout_s, options.sustain_s) == (settings.timeout_s, settings.sustain_s)
    assert (options.compile_only, options.counts) == (settings.compile_only, settings.counts)
    assert options.use_tuned == bool(settings.tuned)
    assert options.device == {"rpc": "pi 4", "emulated": "emulated"}.get(kind)


def test_what_is_no_default_is_in_the_command() -> None:
    """What was dropped once: a check that can fail."""
    record = factory.record()
    settings = msgspec.structs.replace(record.settings, repeat=7, measure_max_s=None, timeout_s=30.0, tuned={})
    words = repeated(msgspec.structs.replace(record, settings=settings))
    assert words == [
        "mbench", "run", "mobilenet_v1_1.0_224", "--target", "host", "--threads", "2", "--batch", "1", "--dtype",
        "float32", "--repeat", "7", "--timeout", "30", "--quick", "--no-tuned",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "typed"), [("onnx", "FILE.onnx"), ("export", "FILE.pt2"), ("function", "MODULE:FUNCTION")]
)
def test_of_an_imported_network_the_command_does_not_know_the_file(source: str, typed: str) -> None:
    record = factory.record()
    ours, theirs = (
        msgspec.structs.replace(each, variant=msgspec.structs.replace(each.variant, source=source))
        for each in record.results
    )
    assert shlex.split(repeat.command(record, ours))[:3] == ["mbench", "run", typed]
    assert "--standard" not in shlex.split(repeat.command(record, ours))
    assert "--standard" in shlex.split(repeat.command(record, theirs))


def test_a_tuned_run_is_repeated_with_tuned_choices() -> None:
    record = factory.record()
    tuned = msgspec.structs.replace(record.settings, tuned={"rules.toml": "0" * 64})
    assert "--no-tuned" not in repeated(msgspec.structs.replace(record, settings=tuned))


def test_once_more_with_other_options_at_the_same_place() -> None:
    for record, device in (
        (factory.emulated(), "emulated"),
        (factory.on_board(factory.record()), "rpc://10.0.0.7:9090"),
    ):
        words = shlex.split(repeat.again(record, record.results[0], dtype="float32,int8"))
        networks, target, options = parsed(words)
        assert (networks, target) == ((record.results[0].variant.name,), record.target.name)
        assert (options.device, options.dtype) == (device, "float32,int8")
        assert options.threads == record.settings.threads


def test_a_network_and_its_standard_twin_are_run_together_where_the_one_ran() -> None:
    one, other = (result.variant for result in factory.record().results)
    networks, target, options = parsed(shlex.split(repeat.together(factory.emulated(), one, other)))
    assert (networks, target, options.device) == ((one.name, other.name), factory.emulated().target.name, "emulated")


def test_where_it_ran_is_in_the_command() -> None:
    for record, device in (
        (factory.emulated(), "emulated"),
        (factory.on_board(factory.record()), "rpc://10.0.0.7:9090"),
    ):
        words = repeated(record)
        assert words[words.index("--device") + 1] == device
    assert "--compile-only" in repeated(factory.record(latency=False))


@pytest.mark.parametrize("changes", [{"repeat": 1}, {"timeout_s": 1e-9}, {"timeout_s": 86_400.0}, {"dtype": "x; y"}])
def test_settings_that_no_command_asks_for_still_have_one(changes: dict[str, Any]) -> None:
    record = factory.record()
    parsed(repeated(msgspec.structs.replace(record, settings=msgspec.structs.replace(record.settings, **changes))))


@pytest.mark.parametrize("name", ["x; rm -rf $HOME", "--output=/", "-o", "$(id)"])
def test_a_hostile_name_is_one_word_of_the_command(name: str) -> None:
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    hostile = msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, name=name))
    networks, _, options = parsed(shlex.split(repeat.command(record, hostile)))
    assert (networks, options.output) == ((name,), Path("mbench-results"))


def test_the_command_line_has_the_defaults_of_the_options() -> None:
    assert parsed(["mbench", "run"])[2] == RunOptions()
    named = {option for param in run.params if isinstance(param, click.Option) for option in param.opts}
    assert {flag(field) for field in RunOptions.__struct_fields__} <= named


def test_how_a_network_was_quantised_is_in_the_command() -> None:
    record = quantized.both()
    made = QuantizationSettings(
        activations="int8", largest_weight=63, percentile=99.9, keep_float=("conv0", "fc*"),
        calibration_sha256="0" * 64, evaluation_sha256="1" * 64, preprocessing="unit",
    )  # fmt: skip
    narrow = record.results[1]
    result = msgspec.structs.replace(narrow, variant=msgspec.structs.replace(narrow.variant, quantization=made))
    words = shlex.split(repeat.command(record, result))
    networks, _, options = parsed(words)
    assert networks == ("mobilenet_v1_0.25_128_int8",)
    assert (options.percentile, options.keep_float, options.weight_bits) == (99.9, ("conv0", "fc*"), 7)
    assert (options.activation_type, options.preprocessing) == ("int8", "unit")
    assert (options.calibration, options.evaluate) == (Path("IMAGES"), Path("LABELLED"))
    assert not {"--percentile", "--keep-float", "--weight-bits"} & set(repeated(record))
    plain = shlex.split(repeat.command(record, narrow))
    assert not {"--percentile", "--keep-float", "--weight-bits", "--calibration"} & set(plain)
