from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fit_factory
import jsonschema
import msgspec
import pytest
import record_factory as factory

from mbench.core import fit_files, record_files
from mbench.core.errors import OutputError, RecordError
from mbench.core.fit_records import FitRecord
from mbench.core.records import Record


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = fit_factory.record()
    fit_files.write(tmp_path / "fit.json", found)
    again = fit_files.read(tmp_path / "fit.json")
    assert [each.network for each in again.candidates] == [each.network for each in found.candidates]
    assert (again.answers, again.limits, again.quality) == (found.answers, found.limits, found.quality)


def test_either_kind_is_known_by_what_it_holds(tmp_path: Path) -> None:
    fit_files.write(tmp_path / "a.json", fit_factory.record())
    record_files.write(tmp_path / "b.json", factory.record(latency=False))
    assert isinstance(fit_files.read_either(tmp_path / "a.json"), FitRecord)
    assert isinstance(fit_files.read_either(tmp_path / "b.json"), Record)


def test_one_kind_is_refused_where_the_other_is_expected(tmp_path: Path) -> None:
    fit_files.write(tmp_path / "a.json", fit_factory.record())
    record_files.write(tmp_path / "b.json", factory.record(latency=False))
    with pytest.raises(RecordError, match=r"a\.json is what 'mbench fit' found, not a record"):
        record_files.read(tmp_path / "a.json")
    with pytest.raises(RecordError, match=r"b\.json: not a file of 'mbench fit'"):
        fit_files.read(tmp_path / "b.json")


def _without(document: dict[str, Any]) -> None:
    del document["limits"]


def _twice(document: dict[str, Any]) -> None:
    document["candidates"].append(document["candidates"][0])


def _unknown(document: dict[str, Any]) -> None:
    document["answers"][0]["network"] = "nobody"


def _negative(document: dict[str, Any]) -> None:
    document["candidates"][0]["latency_s"]["value"] = -1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without, "missing required field `limits`"),
        (_twice, "two candidates have the same name"),
        (_unknown, "an answer names 'nobody', which is no candidate"),
        (_negative, "Expected"),
    ],
)
def test_what_does_not_go_together_is_refused(spoil: Any, said: str) -> None:
    document = json.loads(fit_files.encode(fit_factory.record()))
    fit_files.decode(json.dumps(document).encode(), source="a.json")
    spoil(document)
    with pytest.raises(RecordError, match=said):
        fit_files.decode(json.dumps(document).encode(), source="a.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind": "fit"', b'{"kind": "fit"}', b"\xff", b"\xff\xfe{}"])
def test_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match=r"a\.json: not a file of 'mbench fit'"):
        fit_files.decode(data, source="a.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        fit_files.read_either(tmp_path / "none.json")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        fit_files.write(tmp_path / "missing" / "fit.json", fit_factory.record())
    assert list(tmp_path.iterdir()) == []


def test_the_schema_takes_what_is_written_and_nothing_more() -> None:
    schema = fit_files.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(fit_files.encode(fit_factory.record()))
    validator.validate(document)
    assert not validator.is_valid({**document, "surprise": 1})


def test_a_number_that_is_none_is_not_written() -> None:
    found = msgspec.structs.replace(fit_factory.record(), wall_s=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        fit_files.encode(found)
