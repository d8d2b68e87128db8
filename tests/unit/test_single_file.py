from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from mbench.core.errors import OutputError
from mbench.page import single_file


def test_a_script_that_ends_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot stand inside a page"):
        single_file.script("'</SCRIPT>'")


def test_the_policy_has_the_hash_of_each_script_and_of_nothing_else() -> None:
    [script] = single_file.scripts("inline", figures=False).inside
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert single_file.scripts("inline", figures=False).policy.split(";")[1] == f" script-src 'sha256-{digest}'"
    assert len(single_file.scripts("inline", figures=True).inside) == 2


def test_a_shared_script_is_a_file_beside_the_page(tmp_path: Path) -> None:
    scripts = single_file.scripts("directory", figures=True)
    single_file.write(tmp_path / "page.html", "<p>", "directory")
    assert scripts.shared == single_file.plotly_file()
    assert "'self'" in scripts.policy
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", scripts.shared}
    assert single_file.scripts("directory", figures=False).shared is None


def test_data_comes_back_from_its_link() -> None:
    address = single_file.download("a.json", "application/json", b"{}").address
    assert gzip.decompress(base64.b64decode(address.partition(",")[2])) == b"{}"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        single_file.write(tmp_path / "none" / "page.html", "<p>", "inline")
