"""The page of one result that is no run: of a search, of a sweep. What their rendering has alike.

What a page says and draws is its own module's business: `page.fit_report`, `page.sweep_report`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import jinja2

from mbench.analysis import labels, pairs
from mbench.core import dtypes, durations, units
from mbench.core.version import VERSION
from mbench.page import charts, single_file, templates
from mbench.page.single_file import Download, PlotlyJs


def html(
    template: str,
    *,
    title: str,
    drawn: Mapping[str, object],
    said: Mapping[str, object],
    download: Download,
    plotlyjs: PlotlyJs,
    beside: Sequence[str] = (),
) -> str:
    """Return a page.

    Args:
        template: of `reports/`.
        title: what begins the title.
        drawn: its charts, by the names that the template has for them.
        said: what else the template shows or asks, by name.
        download: the raw data.
        plotlyjs: `inline`, or `directory`: the page asks for `single_file.plotly_file()` beside it.
        beside: files of `reports/` that it has beside those of all pages: styles and scripts, by their suffix.
    """
    scripts = [name for name in beside if name.endswith(".js")]
    styles = [name for name in beside if name.endswith(".css")]
    figures = charts.anything(tuple(drawn.values()))
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            version=VERSION,
            download=download,
            scripts=single_file.scripts(plotlyjs, figures=figures, before=scripts),
            style=single_file.style(*styles),
            **drawn,
            **said,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    return templates.environment(
        {"units": units, "dtypes": dtypes, "pairs": pairs, "labels": labels, "durations": durations}
    )
