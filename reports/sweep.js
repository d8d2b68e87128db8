"use strict";
// The table of a sweep's cells, of which some rows are shown at a time; filters for it and for the figures; what points
// say and where they lead. Runs before page.js, which asks `ofHistory` for each figure before it draws it.
(() => {
  const rows = JSON.parse(document.getElementById("rows").textContent).map(
    ([texts, keys, family, link, between, state], number) => ({
      number, texts, keys: keys.map((key, column) => key ?? texts[column]), family, link, between, state,
      words: `${texts.join(" ")} ${family}`.toLowerCase(),
    }),
  );
  const table = document.getElementById("cells");
  const heads = [...table.tHead.rows[0].cells];
  const numeric = heads.map((head) => head.classList.contains("num"));
  const names = heads.map((head) => head.textContent.trim());
  const TARGET = names.indexOf("target"), TYPE = names.indexOf("type"), LATENCY = names.indexOf("latency");
  const controls = [...document.querySelectorAll("#filters .filter")];
  const more = document.getElementById("more");
  const step = Number(table.dataset.first);
  let shown = step, sorted = null, descending = false, kept = rows;

  // -------------------------------------------------------------------------------------------------------- table
  const cell = (row, column) => {
    const made = document.createElement(column ? "td" : "th");
    if (!column) made.scope = "row";
    if (numeric[column]) made.className = "num";
    if (!column && row.link) {
      const link = document.createElement("a");
      link.href = row.link;
      link.textContent = row.texts[0];
      made.append(link);
    } else {
      made.textContent = row.texts[column];
    }
    if (column === LATENCY && row.between) made.title = row.between;
    return made;
  };
  const line = (row) => {
    const made = document.createElement("tr");
    made.className = `is-${row.state}`;
    made.append(...names.map((_, column) => cell(row, column)));
    return made;
  };
  const fill = () => {
    table.tBodies[0].replaceChildren(...kept.slice(0, shown).map(line));
    more.hidden = kept.length <= shown;
    more.textContent = `Show ${Math.min(step, kept.length - shown)} more`;
    document.querySelector("#filters .found").textContent =
      `${kept.length === rows.length ? "" : `${kept.length} of `}${rows.length} cells`;
  };

  // Missing values stay last in both directions.
  const compare = (one, other) => {
    const [a, b] = [one.keys[sorted], other.keys[sorted]];
    const missing = numeric[sorted] && (typeof a !== "number") - (typeof b !== "number");
    if (missing || (numeric[sorted] && typeof a !== "number")) return missing;
    const sign = descending ? -1 : 1;
    return sign * (numeric[sorted] ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  };
  const arrange = () => {
    if (sorted !== null) kept = [...kept].sort(compare);
    fill();
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      descending = sorted === column && !descending;
      sorted = column;
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      arrange();
    });
    head.append(button);
    head.setAttribute("aria-sort", "none");
  });
  more.addEventListener("click", () => {
    shown += step;
    fill();
  });

  // ------------------------------------------------------------------------------------------------------ filters
  const asked = () => Object.fromEntries(controls.map((control) => [control.dataset.key ?? "text", control.value.trim()]));
  const visible = (trace, family) => !family || trace.meta === undefined || trace.meta === family;
  const narrow = () => {
    const { family, target, type, state, text } = asked();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    kept = rows.filter(
      (row) =>
        (!family || row.family === family) &&
        (!target || row.texts[TARGET] === target) &&
        (!type || row.texts[TYPE] === type) &&
        (!state || row.state === state) &&
        words.every((word) => row.words.includes(word)),
    );
    for (const part of document.querySelectorAll("[data-target]")) {
      part.hidden = Boolean((target && part.dataset.target !== target) || (type && part.dataset.type !== type));
    }
    for (const part of document.querySelectorAll("[data-family]")) part.hidden = Boolean(family) && part.dataset.family !== family;
    for (const plot of document.querySelectorAll(".facet .plot[data-drawn]")) {
      Plotly.restyle(plot, { visible: plot.data.map((trace) => visible(trace, family)) });
    }
    shown = step;
    arrange();
  };
  for (const control of controls) control.addEventListener("input", narrow);

  for (const choice of document.querySelectorAll("select[data-switch]")) {
    choice.addEventListener("input", () => {
      const buttons = document.querySelectorAll(`.switch button[data-plot="${CSS.escape(choice.dataset.switch)}"]`);
      [...buttons].find((button) => button.dataset.figure === choice.value)?.click();
    });
  }

  // ------------------------------------------------------------------------------------------------------ figures
  const harmless = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const said = (number) => {
    if (Array.isArray(number)) return number.map(said);
    const row = rows[number];
    if (!row) return "";
    const lines = names.slice(1).flatMap((name, at) => (row.texts[at + 1] === "–" ? [] : [`${name}: ${row.texts[at + 1]}`]));
    return [`<b>${row.texts[0]}</b>`, ...lines, ...(row.between ? [`interval: ${row.between}`] : [])]
      .map((text, at) => (at ? harmless(text) : `<b>${harmless(row.texts[0])}</b>`))
      .join("<br>");
  };
  const leading = new WeakSet();
  globalThis.ofHistory = (plot, figure) => {
    const { family } = asked();
    queueMicrotask(() => {
      if (leading.has(plot)) return;
      leading.add(plot);
      plot.on("plotly_click", ({ points: [point] }) => {
        const link = rows[point.customdata]?.link;
        if (link) location.href = link;
      });
    });
    return {
      ...figure,
      data: figure.data.map((trace) =>
        trace.customdata === undefined
          ? trace
          : { ...trace, hovertext: said(trace.customdata), visible: visible(trace, family) },
      ),
    };
  };
  narrow(); // a browser keeps what was asked for when a page is loaded again
})();
