from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from record_documents import changed, plain_record, refused

from mbench.core import record_files, records
from mbench.core.errors import OutputError, RecordError


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return plain_record()


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
    expected = record_files.rounded(msgspec.to_builtins(record))
    assert record_files.rounded(msgspec.to_builtins(read)) == expected
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
