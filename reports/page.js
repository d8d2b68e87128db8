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

  // On a phone a title of an axis is said without what stands in brackets, and what follows a colon in a name that
  // stands beside a line begins a line of its own: they are too long there.
  const NARROW = 500; // pixels
  const shorten = (layout) => {
    for (const name of axes(layout)) {
      const text = layout[name].title?.text;
      if (text) layout[name] = { ...layout[name], title: { ...layout[name].title, text: text.replace(/ \(.*\)$/, "") } };
      const { ticktext, tickangle } = layout[name];
      if (!ticktext?.some((each) => each.includes(": ")) || tickangle) continue;
      const lines = ticktext.map((each) => each.replace(": ", ":<br>"));
      layout[name] = { ...layout[name], ticktext: lines, tickfont: { size: 10 } };
    }
  };

  // A logarithmic scale of the axis that has the amounts, where a reader asks for it.
  const logarithmic = (layout) => {
    for (const name of axes(layout)) {
      const { tickformat, type, rangemode, range, ...rest } = layout[name];
      if (tickformat === "~s" || (layout[name].ticksuffix && !type)) layout[name] = { ...rest, tickformat, type: "log" };
    }
  };

  // Names of points that would lie over others are left out: they are named where they are pointed at.
  const untangle = (plot) => {
    const kept = [];
    for (const text of plot.querySelectorAll(".textpoint text")) {
      text.style.visibility = "";
      const at = text.getBoundingClientRect();
      const apart = (other) =>
        at.right < other.left || other.right < at.left || at.bottom < other.top || other.bottom < at.top;
      const inside = at.left >= 0 && at.right <= root.clientWidth;
      if (inside && kept.every(apart)) kept.push(at);
      else text.style.visibility = "hidden";
    }
  };

  const draw = (plot) => {
    const given = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const figure = globalThis.ofHistory?.(plot, given) ?? given;
    const own = "layer" in plot.dataset;
    const rows = plot.dataset.table && rowsOf(plot.dataset.table);
    const worded = (trace) => (rows && trace.customdata ? { ...trace, hovertext: said(rows, trace.customdata) } : trace);
    const traces = own ? ofLayer(figure.data, Number(plot.dataset.layer)) : figure.data.map(worded);
    const layout = themed(figure.layout, own ? 300 : null);
    if (plot.clientWidth < NARROW) shorten(layout);
    if (own) layout.showlegend = false;
    if ("log" in plot.dataset) logarithmic(layout);
    if (root.classList.contains("paper")) layout.width = PAPER_WIDTH;
    Plotly.react(plot, traces.map(themedTrace), layout, { responsive: true, displayModeBar: false });
    untangle(plot);
    plot.dataset.drawn = "";
    plot.style.minHeight = "";
    if ("heard" in plot.dataset) return;
    plot.dataset.heard = "";
    plot.on("plotly_afterplot", () => untangle(plot));
    plot.on("plotly_click", ({ points: [point] }) => {
      const leads = plot.dataset.runs ? point.customdata : rows?.[point.customdata]?.link?.href;
      if (leads) location.href = leads;
      const table = plot.closest("section")?.querySelector("table.layers");
      const link = table && !own && table.querySelectorAll("tbody th a")[point.customdata];
      if (link) location.hash = link.hash;
    });
  };

  const shown = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting && !("drawn" in target.dataset)) draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  // What is not shown is drawn anew when it is.
  const drawAll = (which) => {
    if (typeof Plotly === "undefined") return;
    for (const plot of document.querySelectorAll(which)) {
      if (plot.getClientRects().length) draw(plot);
      else delete plot.dataset.drawn;
    }
  };
  const watch = (part) => {
    // Room for what is drawn later, so that nothing moves then.
    for (const plot of part.querySelectorAll(".plot[data-height]")) plot.style.minHeight = `${plot.dataset.height}px`;
    if (typeof Plotly !== "undefined") part.querySelectorAll(".plot").forEach((plot) => shown.observe(plot));
  };

  const pressed = (button, others) => {
    for (const other of others) other.setAttribute("aria-pressed", other === button);
  };
  const choose = {
    ".switch .log": (button) => {
      const plot = document.getElementById(button.dataset.plot);
      const asked = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", asked);
      if (asked) plot.dataset.log = "";
      else delete plot.dataset.log;
      draw(plot);
    },
    ".switch button:not(.log)": (button) => {
      const plot = document.getElementById(button.dataset.plot);
      for (const name of ["figure", "scale", "span"]) if (name in button.dataset) plot.dataset[name] = button.dataset[name];
      pressed(button, button.parentElement.querySelectorAll("button:not(.log)"));
      draw(plot);
    },
    ".tabs button": (button) => {
      pressed(button, button.parentElement.children);
      for (const { dataset } of button.parentElement.children) {
        document.getElementById(`tab-${dataset.tab}`).classList.toggle("current", dataset.tab === button.dataset.tab);
      }
    },
  };
  document.addEventListener("click", ({ target }) => {
    for (const [which, then] of Object.entries(choose)) {
      const button = target.closest(which);
      if (button) then(button);
    }
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(".plot[data-drawn]"));
  // On paper nothing that is said about a figure is folded.
  const FOLDED =
    "details.alert:not([open]), .panel.current details.more:not([open]), [id$='-trust'] details:not([open])";
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll(FOLDED)) {
      fold.open = true;
      fold.dataset.printed = "";
    }
    root.classList.add("paper");
    drawAll(".plot:not(.small)");
  });
  addEventListener("afterprint", () => {
    for (const fold of document.querySelectorAll("[data-printed]")) {
      fold.open = false;
      delete fold.dataset.printed;
    }
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

  const sortable = (table) => {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
      head.setAttribute("aria-sort", "none");
    });
  };

  const filtered = (box) => {
    const controls = [...box.querySelectorAll(".filter")];
    if (!controls.length) return;
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
  };

  // ----------------------------------------------------------------------------------------------------- downloads
  const unpacked = async (address) => {
    const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  };

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.download");
    if (!link?.dataset.name || typeof DecompressionStream === "undefined") return;
    event.preventDefault();
    const file = document.createElement("a");
    file.href = URL.createObjectURL(new Blob([await unpacked(link.href)], { type: link.dataset.kind }));
    file.download = link.dataset.name;
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 10_000);
  });

  // --------------------------------------------------------------------------------------- which network is shown
  const panels = [...document.querySelectorAll(".panel")];
  const choices = [...document.querySelectorAll(".choose")];
  const contents = document.getElementById("contents");
  let current = panels.find((panel) => panel.classList.contains("current") && panel.closest(".run.current")) ?? panels[0];

  // Of many networks the panels lie compressed in the page until they are asked for.
  const unpack = async (panel) => {
    if (!("packed" in panel.dataset)) return;
    const text = await (await unpacked(`,${panel.dataset.packed}`)).text();
    if (!("packed" in panel.dataset)) return;
    delete panel.dataset.packed;
    panel.innerHTML = text;
    wire(panel);
  };

  const show = async (panel) => {
    await unpack(panel);
    for (const other of document.querySelectorAll(".panel.current, .run.current")) other.classList.remove("current");
    panel.classList.add("current");
    panel.closest(".run")?.classList.add("current");
    current = panel;
    for (const choice of choices) choice.value = panel.dataset[choice.dataset.key];
    for (const link of contents.querySelectorAll("a[data-section]")) {
      const { section } = link.dataset;
      const ofRun = ["trust", "farm"].includes(section);
      const id = ofRun ? `${panel.closest(".run").id}-${section}` : `${panel.id}&section=${section}`;
      link.hash = id;
      link.hidden = !document.getElementById(id);
    }
  };

  // Which of some parts is read now: the last that began above or just below the bar; of two beside each other the
  // one that the address names, or the first.
  const NEAR = 60; // pixels
  const reached = (parts) => {
    const under = (contents?.getBoundingClientRect().height ?? 0) + NEAR;
    const asked = decodeURIComponent(location.hash.slice(1));
    let [best, top] = [null, -Infinity];
    for (const part of parts) {
      if (!part?.getClientRects().length) continue;
      const at = part.getBoundingClientRect().top;
      if (at < under && (at > top + 4 || (part.id === asked && at > top - 4))) [best, top] = [part, at];
    }
    return best;
  };

  // The section that is read now, so that another network shows the same.
  const reading = () => reached(current.querySelectorAll("section[id]:not(.layer-view)"))?.id.split("&section=")[1];

  const turnTo = async (panel) => {
    if (!panel || panel === current) return;
    const section = reading();
    await show(panel);
    const there = section && document.getElementById(`${panel.id}&section=${section}`);
    history.replaceState(null, "", `#${panel.id}${there ? `&section=${section}` : ""}`);
    if (there) there.scrollIntoView();
    else if (panel.getBoundingClientRect().top < 0) panel.scrollIntoView();
  };

  // The network that has what was chosen now, and of the rest as much as there is.
  const order = ["network", "type", "place", "run"];
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      const asked = Object.fromEntries(choices.map((each) => [each.dataset.key, each.value]));
      const fits = (panel) =>
        order.reduce((sum, key, at) => sum + (panel.dataset[key] === (asked[key] ?? panel.dataset[key]) ? 2 ** -at : 0), 0);
      const able = panels.filter((panel) => panel.dataset[choice.dataset.key] === choice.value);
      turnTo(able.reduce((best, panel) => (fits(panel) > fits(best) ? panel : best), able[0]));
    });
  }
  for (const button of document.querySelectorAll(".turn button")) {
    button.addEventListener("click", () => {
      turnTo(panels.at((panels.indexOf(current) + Number(button.dataset.turn)) % panels.length));
    });
  }
  const fold = document.querySelector(".unfold");
  const unfolded = (open) => {
    document.getElementById("places")?.classList.toggle("open", open);
    fold?.setAttribute("aria-expanded", open);
  };
  fold?.addEventListener("click", () => unfolded(fold.getAttribute("aria-expanded") !== "true"));
  contents?.addEventListener("click", ({ target }) => target.closest("a") && unfolded(false));
  addEventListener("keydown", ({ key }) => key === "Escape" && unfolded(false));

  // Which section is in view.
  if (contents) {
    const links = [...contents.querySelectorAll("a[href^='#']")];
    let waiting = false;
    const mark = () => {
      waiting = false;
      const part = reached(links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1)))));
      for (const link of links) {
        if (part && decodeURIComponent(link.hash.slice(1)) === part.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    };
    addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(mark);
      waiting = true;
    }, { passive: true });
    mark();
  }

  // What an address names: a network by its name, too, and a section of it.
  const named = async () => {
    const asked = decodeURIComponent(location.hash.slice(1));
    const inside = (each) => {
      const own = each.id.slice("network=".length);
      return asked.startsWith(`${each.id}&`) || asked.startsWith(`layer=${own}/`);
    };
    const within = panels.find(inside);
    if (within && "packed" in within.dataset) {
      await unpack(within);
      location.replace(location.href); // what came after the address did is its target only now
    }
    const found = document.getElementById(asked) ?? within;
    if (found || !asked.startsWith("network=")) return found;
    const [network, section] = asked.slice("network=".length).split("&section=");
    const panel = panels.find((each) => each.dataset.name === network || each.dataset.network === network);
    if (panel) await unpack(panel);
    return panel && (document.getElementById(`${panel.id}&section=${section}`) ?? panel);
  };

  // What an address names may lie inside something folded, or be of a network that is not shown.
  const unfold = async () => {
    const part = await named();
    const panel = part?.closest(".panel") ?? part?.closest(".run:not(.current)")?.querySelector(".panel");
    if (panel && panel !== current) await show(panel);
    for (let fold = part?.closest("details:not([open])"); fold; fold = fold.closest("details:not([open])")) fold.open = true;
    if (part) part.scrollIntoView();
  };
  addEventListener("hashchange", unfold);

  const wire = (part) => {
    watch(part);
    part.querySelectorAll("table.sortable").forEach(sortable);
    part.querySelectorAll(".table-box").forEach(filtered);
  };
  wire(document);
  if (current) show(current);
  if (location.hash) unfold();
})();
