"""Pages by the API."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import mbench
from mbench.core.errors import UsageError

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")


def test_a_page_of_records_and_files(sides: tuple[Path, Path], tmp_path: Path) -> None:
    page = mbench.report([sides[0], mbench.read(sides[1])], tmp_path / "page.html")
    assert page == tmp_path / "page.html"
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="is one of the records"):
        mbench.report(sides[0], sides[0])


def test_a_copy_is_named_by_a_warning_or_to_who_asks(sides: tuple[Path, Path], tmp_path: Path) -> None:
    record = mbench.read(sides[0])
    with pytest.warns(UserWarning, match=r"base has the same run_id as .*base\.json; it is left out"):
        mbench.report([sides[0], record], tmp_path / "page.html")
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mbench.report([sides[0], record], tmp_path / "page.html", note=said.append)
    assert len(said) == 1
