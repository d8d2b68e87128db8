"""Figures as plotly's classes for Python hold them, which check each key and each value."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go

from mbench.page.drawing import Drawing


def checked(figure: Drawing | None) -> Any:
    """Return a figure for a test to look at.

    Raises:
        ValueError: plotly does not know a key, or refuses its value.
    """
    assert figure is not None
    return of_json(figure.to_json())


def of_json(text: str) -> Any:
    """Return a figure of a page."""
    return go.Figure(json.loads(text))
