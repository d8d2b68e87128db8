"""Pages of verdicts in a real browser: offline, without scripts, deaf to markup, and not wider than a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
import verdict_factory as make
from test_page import Visitor, browser, visit  # noqa: F401 - fixtures

from mbench.gating.outputs import page, words


@pytest.mark.parametrize("name", ["regressed", "hostile", "incomparable", "inconclusive", "unmeasured"])
def test_opens_offline_and_without_scripts(visit: Visitor, tmp_path: Path, name: str) -> None:  # noqa: F811
    seen = visit(page.render(make.EVERY[name]).decode(), offline=True, java_script_enabled=False)
    assert (seen.errors, seen.dialogs) == ([], [])
    assert seen.outside(tmp_path / "0.html") == []
    assert seen.tab.locator("h1").inner_text().startswith(f"{words.CONCLUSIONS[make.EVERY[name].conclusion]}: ")


def test_the_style_is_the_one_that_the_policy_names(visit: Visitor) -> None:  # noqa: F811
    document = page.render(make.regressed()).decode()
    plain, altered = visit(document), visit(document.replace("</style>", "p {}</style>"))
    assert plain.errors == []
    assert any("Content Security Policy" in error for error in altered.errors)
    assert plain.tab.locator("main").evaluate("node => getComputedStyle(node).maxWidth") != "none"


@pytest.mark.parametrize("name", ["regressed", "hostile"])
def test_fits_a_phone(visit: Visitor, name: str) -> None:  # noqa: F811
    seen = visit(page.render(make.EVERY[name]).decode(), viewport={"width": 390, "height": 800})
    assert seen.tab.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.tab.locator(".drawn svg:visible").count() >= 2
