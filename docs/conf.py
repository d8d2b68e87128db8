"""Sphinx's configuration: the site of these documents, built strictly by `tox -e docs`.

The documents are plain Markdown, as people read them on a code host. What makes a site of them happens here: the pages
that an index links to are its part of the tree, the reference is generated (`reference_pages.py`), and a notebook is
read as Markdown.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import reference_pages  # noqa: E402 - found by the line above

from mbench.core.version import VERSION  # noqa: E402 - likewise

project = "mbench"
version = release = VERSION
extensions = ["myst_parser"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mbench {VERSION}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
smartquotes = False  # `--device` is no dash
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_heading_anchors = 4
INDEXES = ("index", "how-to", "reference", "explanation")
_LINK = re.compile(r"\]\(([\w./-]+)\.(?:md|ipynb)\)")


def tree(text: str) -> str:
    """Return the part of the tree that an index has: the pages that its table links to, in their order."""
    rows = "".join(line for line in text.splitlines() if line.startswith("|"))
    pages = "\n".join(dict.fromkeys(_LINK.findall(rows)))
    return f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def as_markdown(notebook: str) -> str:
    """Return the text and the code of a notebook."""
    cells: list[dict[str, Any]] = json.loads(notebook)["cells"]
    sources = [("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for text, kind in sources)


def read(app: Any, name: str, source: list[str]) -> None:
    """Change what Sphinx read of a page into what it parses."""
    if str(app.env.doc2path(name)).endswith(".ipynb"):
        source[0] = as_markdown(source[0])
    elif name in INDEXES:
        source[0] += tree(source[0])


def setup(app: Any) -> None:
    """Generate the reference, and prepare what is read."""
    reference_pages.write(HERE / "generated")
    for language in ("mermaid", "csv"):  # the first is drawn by code hosts; here both are text
        app.add_lexer(language, TextLexer)
    app.connect("source-read", read)
