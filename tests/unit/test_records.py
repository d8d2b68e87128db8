from __future__ import annotations

import copy
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import record_factory as factory

from mbench.core import atomic_files, record_files, records
from mbench.core.errors import OutputError, RecordError

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record_files.encode(factory.record(failed=("mobilenet_v1_0.5_128",))))
    return found


def refused(data: bytes | str) -> str:
    """Return the error that a file with this content gives; it names the file and is one short line."""
    with pytest.raises(RecordError) as caught:
        record_files.decode(data.encode() if isinstance(data, str) else data, source="some/file.json")
    message = str(caught.value)
    assert message.startswith("some/file.json: ")
    assert "\n" not in message
    assert len(message) < 300  # whatever it quotes
    assert caught.value.exit_code == 2
    return message


def changed(plain: dict[str, Any], change: Change) -> dict[str, Any]:
    found = copy.deepcopy(plain)
    change(found)
    return found


# -------------------------------------------------------------------------------------------------------- round trip
@pytest.mark.parametrize(
    "record",
    [
        factory.record(),
        factory.record(latency=False),
        factory.record(failed=("mobilenet_v1_0.5_128",)),
        factory.hostile(factory.record()),
        factory.record(names=()),
    ],
)
def test_round_trip(tmp_path: Path, record: records.Record) -> None:
    file = tmp_path / "record.json"
    record_files.write(file, record)
    read = record_files.read(file)
    assert msgspec.structs.replace(read, results=()) == msgspec.structs.replace(record, results=())
    expected = record_files._rounded(msgspec.to_builtins(record))
    assert record_files._rounded(msgspec.to_builtins(read)) == expected
    again = tmp_path / "again.json"
    record_files.write(again, read)
    assert record_files.read(again) == read


def test_one_line_of_utf8() -> None:
    data = record_files.encode(factory.hostile(factory.record()))
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    assert json.loads(data.decode("utf-8"))["format_version"] == 2


def test_floats_keep_nine_digits() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    samples = (0.001234567891234, 1.0, 1e-9 / 3, 123456789.123)
    end_to_end = msgspec.structs.replace(result.end_to_end, latency_s=samples)
    record = msgspec.structs.replace(
        factory.record(), results=(msgspec.structs.replace(result, end_to_end=end_to_end),)
    )
    read = record_files.decode(record_files.encode(record), source="x").results[0].end_to_end.latency_s
    assert read == (0.00123456789, 1.0, 3.33333333e-10, 123456789.0)


def test_unfinished() -> None:
    record = factory.record(factory.PAIR[:1], failed=("mobilenet_v1_0.5_128",))
    assert record.unfinished() == ("mobilenet_v1_0.5_128",)


# ---------------------------------------------------------------------------------------------------- strict reading
def test_cut_short_anywhere() -> None:
    data = record_files.encode(factory.record(factory.PAIR[:1])).rstrip()
    step = max(1, len(data) // 200)
    for length in [*range(1, len(data), step), len(data) - 1]:
        assert "truncated" in refused(data[:length])


@pytest.mark.parametrize("data", ["", " \n\t", b""])
def test_empty(data: bytes | str) -> None:
    assert "is empty" in refused(data)


@pytest.mark.parametrize(
    "data",
    ["not JSON", "{", "{'a': 1}", b"\xff\xfe\x00", b"\x00" * 64, "[" * 100_000, "{}{}", b'{"run_id": "\xff"}', "NaN"],
)
def test_not_json(data: bytes | str) -> None:
    assert "not a whole JSON document" in refused(data)


@pytest.mark.parametrize("data", ["[]", "[1, 2]", "null", "1", '"text"', "{}", '{"run_id": "x"}'])
def test_not_a_record(data: str) -> None:
    assert "no format_version" in refused(data)


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", "2", [1], {}, False])
def test_other_versions(plain: dict[str, Any], version: object) -> None:
    message = refused(json.dumps({**plain, "format_version": version}))
    assert f"format_version is {version}" in message.replace("'", "")
    assert "reads 1 to 2" in message


@pytest.mark.parametrize("version", [3, 10**30])
def test_a_newer_version_says_what_to_do(plain: dict[str, Any], version: int) -> None:
    message = refused(json.dumps({**plain, "format_version": version}))
    assert f"format_version is {version}" in message
    assert message.endswith("newer format, update mbench")


@pytest.mark.parametrize("version", [True, 1.0, 2.0])
def test_versions_that_only_look_like_ours(plain: dict[str, Any], version: object) -> None:
    assert "format_version" in refused(json.dumps({**plain, "format_version": version}))


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_has_not(plain: dict[str, Any], token: str) -> None:
    data = json.dumps(
        changed(plain, lambda record: record["results"][0]["end_to_end"].update(latency_s=["TOKEN"]))
    ).replace('"TOKEN"', token)
    assert token in data
    refused(data)


def _set(*path: Any, value: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        target = record
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return change


def _delete(*path: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        target = record
        for part in path[:-1]:
            target = target[part]
        del target[path[-1]]

    return change


MUTATIONS: dict[str, tuple[Change, str]] = {
    "negative latency": (_set("results", 0, "end_to_end", "latency_s", 0, value=-1e-3), "latency_s"),
    "negative layer latency": (_set("results", 0, "layers", 3, "latency_s", 0, value=-1.0), "latency_s"),
    "negative bytes": (_set("results", 0, "memory", "weight_bytes", value=-1), "weight_bytes"),
    "no threads": (_set("settings", "threads", value=0), "threads"),
    "unknown field": (_set("surprise", value=1), "surprise"),
    "unknown field deep": (_set("results", 0, "layers", 0, "surprise", value=1), "surprise"),
    "unknown field with a line break": (_set("sur\nprise", value=1), "sur"),
    "missing field": (_delete("host"), "host"),
    "missing field deep": (_delete("results", 1, "layers", 0, "op"), "op"),
    "text for a number": (_set("results", 0, "artifact", "library_bytes", value="1000"), "library_bytes"),
    "number for text": (_set("run_id", value=7), "run_id"),
    "null for text": (_set("run_id", value=None), "run_id"),
    "fraction for a whole number": (_set("settings", "repeat", value=1.5), "repeat"),
    "an op in other letters": (_set("results", 0, "layers", 0, "op", value="Conv 3D"), "layers[0].op"),
    "impossible device": (_set("device", "kind", value="the moon"), "kind"),
    "empty name": (_set("run_id", value=""), "run_id"),
    "long name": (_set("run_id", value="x" * 201), "run_id"),
    "list for an object": (_set("host", value=[]), "host"),
    "object for a list": (_set("results", value={}), "results"),
    "a count of 2^63": (_set("results", 0, "layers", 1, "macs", value=2**63), "$.results[0].layers[1].macs"),
    "a count above 1e308": (_set("results", 0, "layers", 1, "macs", value=10**309), "$.results[0].layers[1].macs"),
    "bytes above all memory": (_set("results", 0, "memory", "weight_bytes", value=10**19), "weight_bytes"),
    "a network without layers": (_set("results", 0, "layers", value=[]), "$.results[0].layers"),
    "a replacement of no layers": (
        _set("results", 1, "replaced", 0, "layers", value=[]),
        "$.results[1].replaced[0].layers",
    ),
    "a replacement of less than nothing": (
        _set("results", 1, "replaced", 2, "macs_before", value=-1),
        "$.results[1].replaced[2].macs_before",
    ),
    "a shape without sides": (_set("results", 0, "layers", 0, "output_shape", value=[]), "layers[0].output_shape"),
    "a shape of thousands of sides": (
        _set("results", 0, "layers", 0, "output_shape", value=[1] * 4_000),
        "layers[0].output_shape",
    ),
    "a side of 0": (_set("results", 0, "layers", 0, "input_shape", 2, value=0), "layers[0].input_shape[2]"),
    "a latency of ages": (_set("results", 0, "end_to_end", "latency_s", 0, value=1e300), "latency_s[0]"),
    "samples without end": (
        _set("results", 0, "end_to_end", "latency_s", value=[0.1] * 100_001),
        "latency_s",
    ),
    "threads that no machine has": (_set("settings", "threads", value=10**9), "$.settings.threads"),
    "a timeout of ages": (_set("settings", "timeout_s", value=1e300), "$.settings.timeout_s"),
    "a negative timeout": (_set("settings", "timeout_s", value=-1), "$.settings.timeout_s"),
    "runs a sample without end": (_set("settings", "number", value=10**18), "$.settings.number"),
    "more variants than a run takes": (
        _set("settings", "networks", value=[f"n{number}" for number in range(10_001)]),
        "$.settings.networks",
    ),
    "a text without end": (_set("host", "cpu", value="x" * 10**6), "$.host.cpu"),
    "a table without end": (
        _set("results", 0, "missing", value=dict.fromkeys(map(str, range(20_001)), "why")),
        "$.results[0].missing",
    ),
    "a date that is none": (_set("created_at_utc", value="yesterday"), "$.created_at_utc"),
    "a date elsewhere": (_set("created_at_utc", value="2025-03-01T12:00:00+05:00"), "$.created_at_utc"),
    "figure with neither source nor estimate": (
        _set("target", "processor", "frequency_hz", value={"value": 1.0}),
        "source",
    ),
    "figure with both": (
        _set("target", "processor", "frequency_hz", value={"value": 1.0, "source": "a", "estimate": "b"}),
        "source",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_fields_that_break_the_format(plain: dict[str, Any], name: str) -> None:
    change, said = MUTATIONS[name]
    message = refused(json.dumps(changed(plain, change)))
    assert "not a valid record" in message
    assert said in message


def _multiply_adds_without_end(record: dict[str, Any]) -> None:
    for layer in record["results"][0]["layers"]:
        layer.update(macs=10**18)


RULES: dict[str, tuple[Change, str]] = {
    "a month that is none": (_set("created_at_utc", value="2025-13-01T12:00:00Z"), "$.created_at_utc"),
    "a day that is none, deep": (
        _set("results", 0, "end_to_end", "conditions_before", "at_utc", value="2025-02-30T12:00:00Z"),
        "$.results[0].end_to_end.conditions_before.at_utc",
    ),
    "a sample next to 0": (_set("results", 1, "end_to_end", "latency_s", 3, value=5e-324), "latency_s[3]"),
    "a number next to 0": (_set("results", 0, "energy", "energy_j", value=5e-324), "$.results[0].energy.energy_j"),
    "a number next to 0 in a table": (
        _set("results", 0, "energy", "components_j", "DRAM", value=5e-324),
        '$.results[0].energy.components_j["DRAM"]',
    ),
    "a network twice": (lambda record: record["results"].append(record["results"][0]), "$.results"),
    "a variant twice": (lambda record: record["settings"]["networks"].extend(factory.PAIR[:1]), "$.settings.networks"),
    "a result not asked for": (
        _set("results", 0, "network", "name", value="another"),
        "$.results[0].network.name",
    ),
    "a failure not asked for": (_set("failures", 0, "network", value="another"), "$.failures[0].network"),
    "two layers of one name": (_set("results", 0, "layers", 1, "name", value="conv0"), "$.results[0].layers"),
    "a layer out of its place": (_set("results", 0, "layers", 4, "index", value=5), "$.results[0].layers[4].index"),
    "counts whose sum is too large": (
        _multiply_adds_without_end,
        "sum of `macs`",
    ),
    "a convolution of two sides": (
        _set("results", 0, "layers", 0, "output_shape", value=[1, 8]),
        "$.results[0].layers[0].output_shape",
    ),
    "a convolution without a kernel": (
        _set("results", 0, "layers", 0, "kernel_size", value=None),
        "$.results[0].layers[0].kernel_size",
    ),
    "groups that do not divide the channels": (
        _set("results", 0, "layers", 1, "groups", value=7),
        "$.results[0].layers[1].groups",
    ),
    "a tensor larger than all memory": (
        _set("results", 0, "layers", 27, "input_shape", value=[10**9, 10**9, 7, 7]),
        "$.results[0].layers[27].input_shape",
    ),
    "a time balance that does not add up": (
        _set("results", 0, "time_balance", "layer_sum_s", value=7.0),
        "$.results[0].time_balance",
    ),
    "an input that no layer gives": (
        _set("results", 0, "layers", 4, "inputs", value=["another"]),
        "$.results[0].layers[4].inputs",
    ),
    "an input that comes later": (
        _set("results", 0, "layers", 4, "inputs", value=["fc"]),
        "$.results[0].layers[4].inputs",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_type_cannot_say(plain: dict[str, Any], name: str) -> None:
    change, said = RULES[name]
    message = refused(json.dumps(changed(plain, change)))
    assert "not a valid record" in message
    assert said in message


def test_layers_that_count_more_than_their_network() -> None:
    plain = json.loads(record_files.encode(factory.counted(factory.record())))
    record_files.decode(json.dumps(plain).encode(), source="x")
    plain["results"][1]["counts"]["counters"]["loads"] -= 1
    assert "$.results[1].counts.counters.loads" in refused(json.dumps(plain))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"run_id":', '"run_id":"first","run_id":', "key 'run_id' twice"),
        ('"index":3', '"index":3,"index":3', "key 'index' twice"),
        ('"batch":1', '"batch":' + "1" * 5000, "out of range"),
        ('"batch":1', '"batch":1e400', "out of range"),
        ('"threads":2', '"threads":' + "[" * 100_000, "not a whole JSON document"),
        ('"testhost"', '"\\ud800"', "not a whole JSON document"),
        ('"testhost"', '"\\ud800\\ud800"', "not a whole JSON document"),
        ("}\n", "}\n{}", "not a whole JSON document"),
        ("}\n", "}\x00", "not a whole JSON document"),
        ('"threads":2', '"x\u202e' + "y" * 10**6 + '":2', "unknown field"),
        ('"pool"', '"' + "z" * 10**6 + '"', "not a valid record"),
        ('"format_version":2', '"format_version":' + "9" * 10**6, "out of range"),
        ('"format_version":2', '"format_version":[' + "9," * 10**5 + "9]", "format_version"),
        ('"format_version":2', '"format_version":1e400', "out of range"),
    ],
)
def test_documents_that_readers_would_take_apart(old: str, new: str, said: str) -> None:
    text = record_files.encode(factory.record(factory.PAIR[:1])).decode()
    assert old in text
    assert said in refused(text.replace(old, new, 1))


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_codings(coding: str) -> None:
    data = record_files.encode(factory.record(factory.PAIR[:1])).decode().encode(coding)
    assert "not a whole JSON document" in refused(data)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = record_files.encode(factory.record(factory.PAIR[:1]))
    (tmp_path / "record.json").write_bytes(data)
    monkeypatch.setattr(record_files, "MOST_BYTES", len(data))
    record_files.read(tmp_path / "record.json")
    monkeypatch.setattr(record_files, "MOST_BYTES", len(data) - 1)
    with pytest.raises(RecordError, match="more than"):
        record_files.read(tmp_path / "record.json")
    with pytest.raises(RecordError, match="more than"):
        record_files.read(_sparse(tmp_path / "large.json", 2**40))


@pytest.mark.parametrize(("field", "value"), [("labels", {"ci\n": "x"}), ("device", "rpc\n")])
def test_a_line_break_behind_a_word_is_refused(field: str, value: Any) -> None:
    plain = json.loads(record_files.encode(factory.record(factory.PAIR[:1])))
    plain[field] = value if field == "labels" else {**plain["device"], "kind": value}
    with pytest.raises(RecordError, match=rf"\$\.{field}"):
        record_files.decode(json.dumps(plain).encode(), source="x")


def _sparse(path: Path, size: int) -> Path:
    """Return a file of a size that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json", tmp_path / "none" / "none.json"):
        with pytest.raises(RecordError, match="cannot be read") as caught:
            record_files.read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ schema
@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = record_files.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize("latency", [True, False])
def test_the_schema_accepts_what_we_write(validator: jsonschema.Draft202012Validator, latency: bool) -> None:
    for record in (factory.record(latency=latency), factory.hostile(factory.record(latency=latency))):
        validator.validate(json.loads(record_files.encode(record)))


@pytest.mark.parametrize("name", sorted(set(MUTATIONS) - {name for name in MUTATIONS if name.startswith("figure")}))
def test_the_schema_refuses_what_reading_refuses(
    plain: dict[str, Any], validator: jsonschema.Draft202012Validator, name: str
) -> None:
    assert not validator.is_valid(changed(plain, MUTATIONS[name][0]))


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_the_schema_refuses_other_versions(
    plain: dict[str, Any], validator: jsonschema.Draft202012Validator, version: object
) -> None:
    assert not validator.is_valid({**plain, "format_version": version})


# ----------------------------------------------------------------------------------------------------------- writing
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e300, -1.0])
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, wrong: float) -> None:
    file, good = tmp_path / "record.json", factory.record(factory.PAIR[:1])
    record_files.write(file, good)
    before = file.read_bytes()
    energy = msgspec.structs.replace(good.results[0].energy, energy_j=wrong)
    result = msgspec.structs.replace(good.results[0], energy=energy)
    with pytest.raises(RecordError, match="not a valid record"):
        record_files.write(file, msgspec.structs.replace(good, results=(result,)))
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_residue_of_arithmetic_is_written_as_0(tmp_path: Path) -> None:
    good = factory.record(factory.PAIR[:1])
    energy = msgspec.structs.replace(good.results[0].energy, energy_j=5e-324)
    record_files.write(
        tmp_path / "record.json",
        msgspec.structs.replace(good, results=(msgspec.structs.replace(good.results[0], energy=energy),)),
    )
    assert record_files.read(tmp_path / "record.json").results[0].energy.energy_j == 0.0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = tmp_path / "record.json"
    file.write_text("old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError) as caught:
        record_files.write(file, factory.record(factory.PAIR[:1]))
    assert os.strerror(number) in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    assert file.read_text() == "old"


@pytest.mark.parametrize("where", ["fsync", "fchmod", "replace"])
def test_an_interrupted_write_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_files.write_atomically(tmp_path / "record.json", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["folder", "none/record.json"])
def test_places_that_cannot_be_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        atomic_files.write_atomically(tmp_path / target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_the_mode_respects_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        atomic_files.write_atomically(tmp_path / "record.json", b"x")
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE((tmp_path / "record.json").stat().st_mode) == mode


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "record.json").symlink_to(tmp_path / "precious")
    atomic_files.write_atomically(tmp_path / "record.json", b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "record.json").read_text() == "new"
