"""The pages of a search and of a sweep in a real browser: deaf to markup in names, readable by anyone, on a phone."""

from __future__ import annotations

from pathlib import Path

import fit_factory
import pytest
import sweep_factory
from test_page import Visitor, browser, findings, plot, visit  # noqa: F401 - fixtures

from mbench.page import fit_report, sweep_report

FIGURES = {"fit": "trade-off", "sweep": "facet1-front"}
TABLES = {"fit": "#candidates", "sweep": "#cells"}


def hostile(kind: str) -> str:
    if kind == "fit":
        return fit_report.render(fit_factory.hostile(), measured="javascript:alert(1)")
    return sweep_report.render(sweep_factory.hostile(), links={sweep_factory.FILE: "javascript:alert(1)"})


def doubtful(kind: str) -> str:
    """Return a page with all that such a page can mark."""
    if kind == "fit":
        return fit_report.render(fit_factory.record(certain=False), measured="m.html")
    first, second, *others = sweep_factory.record().cells
    marked = [sweep_factory.failed(first), sweep_factory.still_open(second), *others]
    return sweep_report.render(sweep_factory.record(marked))


@pytest.mark.parametrize("kind", FIGURES)
def test_hostile_names_are_shown_and_do_nothing(visit: Visitor, tmp_path: Path, kind: str) -> None:  # noqa: F811
    page = visit(hostile(kind))
    plot(page, FIGURES[kind]).locator(".scatterlayer .points path").last.hover(force=True)
    page.tab.wait_for_timeout(300)
    assert (page.dialogs, page.errors, page.outside(tmp_path / "0.html")) == ([], [], [])
    assert page.tab.locator("img, [onerror]").count() == 0
    assert "<script>alert(1)</script>" in page.tab.locator(TABLES[kind]).inner_text()


@pytest.mark.parametrize("kind", FIGURES)
def test_anyone_can_read_it_on_any_screen(visit: Visitor, kind: str) -> None:  # noqa: F811
    """A phone does not scroll sideways; axe-core finds nothing serious, and no faint text in the dark scheme."""
    page = visit(doubtful(kind), color_scheme="light")
    assert findings(page) == []
    page.tab.emulate_media(color_scheme="dark")
    assert findings(page, "color-contrast") == []
    page.tab.set_viewport_size({"width": 360, "height": 740})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360
