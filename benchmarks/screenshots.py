"""Pictures of the page's main views, at three widths and in both colour schemes, to be looked at.

Run: python benchmarks/screenshots.py RECORD... -o FOLDER. Each picture is `VIEW-WIDTH-SCHEME.png`. Two of them stand in
the README: copy `top-1280-light.png` of a grid of networks to docs/dashboard.png, and `waterfall-1280-light.png` of
`mbench run --target arm64_cortex_a72 --device emulated`, whose counts no machine disturbs, to docs/waterfall.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import browser

from mbench.core import record_files
from mbench.page import report

WIDTHS = {1920: 1080, 1280: 900, 390: 844}
"""Width to height of the view, in pixels."""
SCHEMES = ("light", "dark")
ROOM = 12
"""Pixels around an element in its picture."""
VIEWS = {
    "top": None,
    "overview": "#overview",
    "versus": "#versus",
    "latency": ".panel.current [id$='section=latency']",
    "waterfall": ".beside:has(#run1-pair1-waterfall)",
    "types": "[id$='section=types']",
    "quality": ".panel.current [id$='section=quality']",
    "blocks": "figure:has(#run1-pair1-blocks)",
    "depth": ".panel.current figure:has([id*='-depth'])",
    "table": ".panel.current .table-box",
    "layer": ".layer-view:target",
    "roofline": ".panel.current [id$='section=roofline']",
    "memory": ".panel.current [id$='section=memory']",
    "energy": ".panel.current [id$='section=energy']",
    "trust": "#run1-trust",
}
"""Name of a view to what it shows; None: what is seen first. What a page has not is left out."""


def take(tab: Any, page: Path, folder: Path, suffix: str) -> None:
    """Take every view of a page, from the top down."""
    tab.goto(page.as_uri(), wait_until="load")
    for name, selector in VIEWS.items():
        if name == "layer":
            tab.evaluate("location.hash = document.querySelector('.panel.current table.layers tbody th a')?.hash ?? ''")
        if selector is None:
            tab.wait_for_timeout(300)
            tab.screenshot(path=folder / f"{name}-{suffix}.png")
            continue
        found = tab.locator(selector).first
        if found.count() and found.is_visible():
            found.scroll_into_view_if_needed()
            tab.wait_for_timeout(500)  # figures are drawn as they come near
            tab.add_style_tag(content=".contents, .sections { position: static !important; }")
            tab.screenshot(path=folder / f"{name}-{suffix}.png", full_page=True, clip=_around(tab, found))


def _around(tab: Any, found: Any) -> dict[str, float]:
    """Return an element's place on the page, with some room around it."""
    box, down, width = found.bounding_box(), tab.evaluate("scrollY"), tab.viewport_size["width"]
    left, right = max(0, box["x"] - ROOM), min(width, box["x"] + box["width"] + ROOM)
    top = max(0, box["y"] + down - ROOM)
    return {"x": left, "y": top, "width": right - left, "height": box["y"] + down + box["height"] + ROOM - top}


def main() -> None:
    """Make the page of the records and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORD")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as started:
        page = Path(folder) / "page.html"
        report.write(page, [record_files.read(path) for path in arguments.records])
        for width, height in WIDTHS.items():
            for scheme in SCHEMES:
                tab = started.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                take(tab, page, arguments.output, f"{width}-{scheme}")
                tab.close()
    print(f"{len(list(arguments.output.glob('*.png')))} pictures in {arguments.output}")


if __name__ == "__main__":
    main()
