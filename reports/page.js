"use strict";
// Draws the figures from the JSON beside them in the page's colours, switches them, sorts and filters tables, and turns
// the page's compressed data into plain files. Loads nothing.
(() => {
  const root = document.documentElement;
  root.classList.add("scripts");
  if (typeof Plotly !== "undefined") root.classList.add("figures");
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // ------------------------------------------------------------------------------------------------------- figures
  const axes = (layout) => Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));

  const themed = (layout, height) => {
    const lines = { gridcolor: colour("--rule"), linecolor: colour("--rule"), zerolinecolor: colour("--rule") };
    return {
      ...layout,
      ...Object.fromEntries(axes(layout).map((name) => [name, { ...layout[name], ...lines }])),
      height: height || layout.height,
      font: { ...layout.font, color: colour("--ink") },
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

  // One layer's own: its samples alone, its point among the others.
  const ofLayer = (traces, layer) =>
    traces
      .filter((trace) => trace.meta === undefined || trace.meta === layer)
      .map((trace) =>
        trace.customdata === undefined
          ? trace
          : {
              ...trace,
              selectedpoints: trace.customdata.flatMap((value, index) => (value === layer ? [index] : [])),
              unselected: { marker: { opacity: 0.08 } },
            },
      );

  // What the rows of a table say, for figures whose points are its rows by number: as they were before any sorting.
  const harmless = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const tables = new Map();
  const rowsOf = (id) => {
    if (!tables.has(id)) {
      const table = document.getElementById(id);
      const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
      const read = (row) => {
        const [name, ...rest] = [...row.cells].map((cell) => harmless(cell.textContent.trim()));
        const lines = rest.flatMap((text, column) => (text === "–" ? [] : [`${heads[column + 1]}: ${text}`]));
        return [`<b>${name}</b>`, ...lines].join("<br>");
      };
      tables.set(id, [...table.tBodies[0].rows].map((row) => ({ said: read(row), link: row.querySelector("th a") })));
    }
    return tables.get(id);
  };
  for (const plot of document.querySelectorAll(".plot[data-table]")) rowsOf(plot.dataset.table);
  const said = (rows, number) =>
    Array.isArray(number) ? number.map((each) => said(rows, each)) : (rows[number]?.said ?? "");

  const PAPER_WIDTH = 690; // pixels between the margins of an A4 page: a page does not know before it is printed

  const draw = (plot) => {
    const given = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const figure = globalThis.ofHistory?.(plot, given) ?? given;
    const own = "layer" in plot.dataset;
    const rows = plot.dataset.table && rowsOf(plot.dataset.table);
    const worded = (trace) => (rows && trace.customdata ? { ...trace, hovertext: said(rows, trace.customdata) } : trace);
    const traces = own ? ofLayer(figure.data, Number(plot.dataset.layer)) : figure.data.map(worded);
    const layout = themed(figure.layout, own ? 300 : null);
    if (own) layout.showlegend = false;
    if (root.classList.contains("paper")) layout.width = PAPER_WIDTH;
    Plotly.react(plot, traces.map(themedTrace), layout, { responsive: true, displayModeBar: false });
    plot.dataset.drawn = "";
    plot.style.minHeight = "";
    plot.on("plotly_click", ({ points: [point] }) => {
      const leads = plot.dataset.runs ? point.customdata : rows?.[point.customdata]?.link?.href;
      if (leads) location.href = leads;
      const table = plot.closest("section")?.querySelector("table.layers");
      const link = table && !own && table.querySelectorAll("tbody th a")[point.customdata];
      if (link) location.hash = link.hash;
    });
  };

  // Room for what is drawn later, so that nothing moves then.
  for (const plot of document.querySelectorAll(".plot[data-height]")) plot.style.minHeight = `${plot.dataset.height}px`;

  const shown = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting && !("drawn" in target.dataset)) draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  const drawAll = (which) => {
    if (typeof Plotly !== "undefined") document.querySelectorAll(which).forEach(draw);
  };
  if (typeof Plotly !== "undefined") document.querySelectorAll(".plot").forEach((plot) => shown.observe(plot));

  for (const button of document.querySelectorAll(".switch button")) {
    button.addEventListener("click", () => {
      const plot = document.getElementById(button.dataset.plot);
      for (const name of ["figure", "scale", "span"]) if (name in button.dataset) plot.dataset[name] = button.dataset[name];
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
      draw(plot);
    });
  }

  // What an address names may lie inside something folded.
  const unfold = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = named?.closest("details:not([open])"); fold; fold = fold.closest("details:not([open])")) fold.open = true;
    if (named) named.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(".plot[data-drawn]"));
  addEventListener("beforeprint", () => {
    root.classList.add("paper");
    drawAll(".plot:not(.small)");
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    drawAll(".plot[data-drawn]");
  });

  // -------------------------------------------------------------------------------------------------------- tables
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

  for (const box of document.querySelectorAll(".table-box")) {
    const controls = [...box.querySelectorAll(".filter")];
    if (!controls.length) continue;
    const rows = [...box.querySelector("tbody").rows];
    const keeps = (control) => {
      const key = control.dataset.key;
      if (key) return (row) => row.dataset[key] === control.value;
      const words = control.value.toLowerCase().split(/\s+/).filter(Boolean);
      return (row) => words.every((word) => row.textContent.toLowerCase().includes(word));
    };
    const narrow = () => {
      const asked = controls.filter((control) => control.value.trim()).map(keeps);
      for (const row of rows) row.hidden = !asked.every((kept) => kept(row));
      const left = rows.filter((row) => !row.hidden).length;
      box.querySelector(".found").textContent = asked.length ? `${left} of ${rows.length}` : "";
    };
    for (const control of controls) control.addEventListener("input", narrow);
    narrow(); // a browser keeps what was asked for when a page is loaded again
  }

  // ----------------------------------------------------------------------------------------------------- downloads
  const unpacked = async (address) => {
    const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  };

  for (const link of document.querySelectorAll("a.download")) {
    link.addEventListener("click", async (event) => {
      if (!link.dataset.name || typeof DecompressionStream === "undefined") return;
      event.preventDefault();
      const file = document.createElement("a");
      file.href = URL.createObjectURL(new Blob([await unpacked(link.href)], { type: link.dataset.kind }));
      file.download = link.dataset.name;
      file.click();
      setTimeout(() => URL.revokeObjectURL(file.href), 10_000);
    });
  }
})();
