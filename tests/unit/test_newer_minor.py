"""Records of newer minor versions: read without what they add, and checked all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import record_factory as factory
from record_documents import Document, decoded, refusal

from mbench.core import newer_minor, record_files
from mbench.core.errors import RecordError
from mbench.core.records import FORMAT_MINOR, Record


def newer(minor: int = FORMAT_MINOR + 1) -> Document:
    """Return a record of a newer minor version, with new fields at every depth."""
    content: Document = json.loads(record_files.encode(factory.record(factory.PAIR[:1])))
    content["format_minor"] = minor
    result = content["results"][0]
    for place in (
        content, content["settings"], content["host"]["conditions"], result, result["network"], result["layers"][0],
        result["layers"][0]["roofline"], result["end_to_end"]["conditions_before"],
        content["target"]["processor"]["frequency_hz"], content["target"]["energy"]["bytes_j"]["DRAM"],
    ):  # fmt: skip
        place["new_field"] = {"of": ["any", "form"]}
    return content


def test_a_newer_minor_version_is_read_without_its_new_fields() -> None:
    record = decoded(newer())
    assert record == decoded(json.loads(record_files.encode(factory.record(factory.PAIR[:1]))))
    assert record.format_minor == FORMAT_MINOR


def test_the_same_minor_version_is_read_strictly() -> None:
    with pytest.raises(RecordError, match="unknown field `new_field`"):
        decoded(newer(FORMAT_MINOR))


def test_a_newer_minor_version_is_still_checked() -> None:
    content = newer()
    content["settings"]["threads"] = -1
    with pytest.raises(RecordError, match=r"\$\.settings\.threads"):
        decoded(content)
    content = newer()
    del content["results"][0]["layers"][0]["role"]
    with pytest.raises(RecordError, match="missing required field `role`"):
        decoded(content)


@pytest.mark.parametrize("minor", [-1, 1.5, "1", None, [], 10**30], ids=str)
def test_a_minor_version_that_is_none(minor: Any) -> None:
    content = newer(minor)
    said = refusal(content)
    if minor == 10**30:  # a number, and newer
        assert said is None
    else:
        assert said is not None
        assert said.startswith("FILE: not a valid record: ")


def test_tables_keep_all_their_keys() -> None:
    content = newer()
    content["results"][0]["missing"]["new_field"] = "a reason is no field"
    assert newer_minor.known_part(content, Record)["results"][0]["missing"]["new_field"] == "a reason is no field"
