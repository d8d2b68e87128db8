"use strict";
// Draws the figures from the JSON beside them, in the page's colours, and makes tables sortable. Loads nothing.
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const themed = (layout) => {
    const axis = { gridcolor: colour("--rule"), linecolor: colour("--rule"), zerolinecolor: colour("--rule") };
    return {
      ...layout,
      font: { ...layout.font, color: colour("--ink") },
      xaxis: { ...layout.xaxis, ...axis },
      yaxis: { ...layout.yaxis, ...axis },
      hoverlabel: {
        ...layout.hoverlabel,
        bgcolor: colour("--card"),
        bordercolor: colour("--rule"),
        font: { color: colour("--ink") },
      },
      shapes: (layout.shapes || []).map((shape) => ({ ...shape, line: { ...shape.line, color: colour("--faint") } })),
    };
  };

  const themedTrace = (trace) =>
    trace.error_y ? { ...trace, error_y: { ...trace.error_y, color: colour("--ink") } } : trace;

  const draw = () => {
    if (typeof Plotly === "undefined") return;
    for (const plot of document.querySelectorAll(".plot")) {
      const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
      Plotly.react(plot, figure.data.map(themedTrace), themed(figure.layout), { responsive: true, displayModeBar: false });
    }
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    return "sort" in cell.dataset ? cell.dataset.sort : cell.textContent.trim();
  };

  // Missing values stay last in both directions.
  const compare = (a, b, sign) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const numbers = [Number(a), Number(b)];
    return sign * (numbers.some(Number.isNaN) ? a.localeCompare(b, undefined, { numeric: true }) : numbers[0] - numbers[1]);
  };

  const sort = (table, column, head) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => compare(key(a, column), key(b, column), descending ? -1 : 1));
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
      head.setAttribute("aria-sort", "none");
    });
  }

  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("paper");
    draw();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("paper");
    draw();
  });
  draw();
})();
