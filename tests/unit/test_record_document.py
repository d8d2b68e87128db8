"""docs/record.md says what is so: its fields are in the schema, its example is of the format, its program runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mbench.core import record_files, record_migrations
from mbench.core.errors import RecordError
from mbench.core.records import FORMAT_VERSION

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
SCHEMA = record_files.json_schema()
KEPT = ROOT / "tests" / "data" / "records" / "v1"


def fields() -> list[str]:
    """Return the paths that the tables under "What is where" name in their first column."""
    part = TEXT[TEXT.index("## What is where") : TEXT.index("## Units")]
    cells = re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE)
    return [path for cell in cells for path in re.findall(r"`([^`]+)`", cell)]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return resolved(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return resolved(options[0]) if options else schema


def known(path: str) -> bool:
    place = resolved(SCHEMA)
    for part in path.split("."):
        properties = place.get("properties", {})
        if part.removesuffix("[]") not in properties:
            return False
        place = resolved(properties[part.removesuffix("[]")])
        place = resolved(place["items"]) if part.endswith("[]") else place
    return True


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_every_field_that_is_named_is_in_the_schema() -> None:
    assert len(fields()) > 25
    assert [path for path in fields() if not known(path)] == []
    assert not known("results[].variant")
    assert not known("results[].layers[].kind")


def test_every_field_at_the_top_and_of_a_result_is_named() -> None:
    top = set(resolved(SCHEMA)["properties"])
    result = set(resolved(SCHEMA["$defs"]["Result"])["properties"])
    assert top <= set(fields())
    assert {f"results[].{name}" for name in result} <= set(fields())


def test_every_field_of_a_session_is_named() -> None:
    session = set(resolved(SCHEMA["$defs"]["Session"])["properties"])
    assert {f"results[].sessions[].{name}" for name in session} <= set(fields())


def test_the_example_has_the_format() -> None:
    [example] = (json.loads(block) for block in blocks("json"))
    assert example["format_version"] == FORMAT_VERSION
    with pytest.raises(RecordError, match="missing required field"):  # an excerpt: nothing in it is unknown
        record_files.decode(json.dumps(example).encode(), source="x")
    result = example["results"][0]
    inside = {"results[].layers[].": result["layers"][0], "results[].sessions[].": result["sessions"][0]}
    for path, place in {"": example, "settings.": example["settings"], "results[].": result, **inside}.items():
        assert [key for key in place if not known(f"{path}{key}")] == []
    assert [key for key in result["network"] if not known(f"results[].network.{key}")] == []


def test_the_table_of_versions_names_each_migration() -> None:
    assert set(record_migrations.MIGRATIONS) == set(range(1, FORMAT_VERSION))
    for version in record_migrations.MIGRATIONS:
        assert f"From version {version} to {version + 1}:" in TEXT


def test_the_program_runs(tmp_path: Path) -> None:
    shutil.copy(KEPT / "measured.json", tmp_path / "record.json")
    [program] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "'depthwise'" in done.stdout


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed here")
def test_the_lines_of_jq_run(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(record_files.encode(record_files.read(KEPT / "measured.json")))
    [lines] = blocks("sh")
    for line in lines.splitlines():
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip()
