"""`mbench schema` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from conftest import Mbench

from mbench.cli.schema import schema


def test_schema_prints_the_schema_of_records(run: Mbench, record_file: Path) -> None:
    outcome = run(schema)
    printed = json.loads(outcome.out)
    jsonschema.Draft202012Validator.check_schema(printed)
    validator = jsonschema.Draft202012Validator(printed)
    plain = json.loads(record_file.read_bytes())
    validator.validate(plain)
    assert not validator.is_valid({**plain, "surprise": 1})
