"""Documents of records that are changed, and the line that refuses them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import record_factory as factory

from mbench.core import record_files
from mbench.core.errors import RecordError
from mbench.core.records import Record

Change = Callable[[dict[str, Any]], None]


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


def plain_record() -> dict[str, Any]:
    """Return the document of a good record, with a failure."""
    found: dict[str, Any] = json.loads(record_files.encode(factory.record(failed=("mobilenet_v1_0.5_128",))))
    return found


def changed(plain: dict[str, Any], change: Change) -> dict[str, Any]:
    """Return a copy of a document with a change."""
    found = copy.deepcopy(plain)
    change(found)
    return found


def set_at(*path: Any, value: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        target = record
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return change


def delete_at(*path: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        target = record
        for part in path[:-1]:
            target = target[part]
        del target[path[-1]]

    return change


Document = dict[str, Any]


def refusal(content: Document) -> str | None:
    """Return why a document is refused; None where it is read."""
    try:
        decoded(content)
    except RecordError as error:
        return str(error)
    return None


def decoded(content: Document) -> Record:
    return record_files.decode(json.dumps(content).encode(), source="FILE")
