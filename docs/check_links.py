"""Check the links of a built site: every file and every place in a page that one of its pages names is there.

Usage: python docs/check_links.py FOLDER

Nothing is fetched: addresses of other sites are counted, not opened. But a page may load nothing from them.
"""

from __future__ import annotations

import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

LOADING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Elements that a browser fetches something for, and where their address stands."""
_NAMES_OF_PAGES = ("canonical", "prev", "next", "author", "license")
"""Values of `rel` for which a browser fetches nothing."""


class Page(HTMLParser):
    """The places in a page, and where it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what an element names."""
        given = {name: value or "" for name, value in attrs}
        self.places.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADING and LOADING[tag] in given and given.get("rel") not in _NAMES_OF_PAGES:
            self.loaded.append(given[LOADING[tag]])


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the links of a site."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.html"))}
    found = [] if pages else [f"{folder}: no pages"]
    for file, page in pages.items():
        where = file.relative_to(folder)
        for link in [*page.links, *page.loaded]:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    found.append(f"{where}: loads {link}; a page has to work without a network")
                continue
            target = file.parent / urllib.parse.unquote(parts.path) if parts.path else file
            target = (target / "index.html" if target.is_dir() else target).resolve()
            place = urllib.parse.unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{where}: {link}: there is no such file")
            elif place and target in pages and place not in pages[target].places:
                found.append(f"{where}: {link}: there is no such place on that page")
    return found


def main() -> int:
    """Print what is wrong."""
    [folder] = sys.argv[1:]
    found = problems(Path(folder).resolve())
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
