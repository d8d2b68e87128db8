"use strict";
// Beside page.js, for histories: puts dates and words to points that name their runs by number, shows a part of the time,
// and lays a figure out: fitted, from zero, in powers of ten, or each line relative to its first level. Loads nothing.
globalThis.ofHistory = (plot, figure) => {
  const source = document.getElementById(plot.dataset.runs ?? "");
  if (!source) return figure;
  const runs = (plot.runs ??= JSON.parse(source.textContent));
  const first = Math.max(0, runs.at.length - Number(plot.dataset.span || runs.at.length));
  const scale = plot.dataset.scale;
  const relative = scale === "relative" && figure.data.every((trace) => trace.meta?.base !== 0);
  const percent = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)} %`;

  // In percent of a line's first level, less 100.
  const compared = (trace) => {
    const base = trace.meta?.base;
    if (!relative || base === undefined) return trace;
    const over = (values) => values.map((value) => value == null ? null : (100 * value) / base);
    const bars = trace.error_y && { ...trace.error_y, array: over(trace.error_y.array), arrayminus: over(trace.error_y.arrayminus) };
    return {
      ...trace,
      y: over(trace.y).map((value) => value == null ? null : value - 100),
      ...(bars && { error_y: bars }),
      ...(trace.meta.line && { hovertemplate: "<b>%{y:+.3~f} %</b>%{hovertext}<extra></extra>" }),
    };
  };

  // A line for each level, from its first run to its last, as far as they are shown.
  const level = (trace) => {
    const seen = trace.meta.levels.filter(([, to]) => to >= first);
    return {
      ...trace,
      x: seen.flatMap(([from, to]) => [runs.at[Math.max(from, first)], runs.at[to], null]),
      y: seen.flatMap(([, , height]) => [height, height, null]),
    };
  };

  const reach = (trace, at) => {
    const [up, down, middle] = [trace.error_y?.array[at], trace.error_y?.arrayminus[at], trace.y[at]];
    return up == null || down == null || !middle ? "" : ` (${percent(-down / middle)} to ${percent(up / middle)})`;
  };
  const said = (trace, at) => {
    if (trace.meta.marks) return `${trace.meta.marks[at]}<br>${runs.said[trace.customdata[at]]}`;
    const why = trace.meta.unsure?.[at];
    const leads = runs.page[trace.customdata[at]] ? "<br>a click leads to its page" : "";
    return `${reach(trace, at)}${why ? `<br>disturbed: ${why}` : ""}<br>${runs.said[trace.customdata[at]]}${leads}`;
  };

  const dated = (trace) => {
    const kept = [...trace.customdata.keys()].filter((at) => trace.customdata[at] >= first);
    const pick = (list) => (Array.isArray(list) ? kept.map((at) => list[at]) : list);
    const bars = trace.error_y && { ...trace.error_y, array: pick(trace.error_y.array), arrayminus: pick(trace.error_y.arrayminus) };
    return {
      ...trace,
      x: kept.map((at) => runs.at[trace.customdata[at]]),
      y: pick(trace.y),
      text: pick(trace.text),
      textposition: pick(trace.textposition),
      hovertext: trace.meta.line || trace.meta.marks ? kept.map((at) => said(trace, at)) : undefined,
      customdata: kept.map((at) => runs.page[trace.customdata[at]]),
      marker: { ...trace.marker, symbol: pick(trace.marker.symbol), color: pick(trace.marker.color) },
      ...(bars && { error_y: bars }),
    };
  };

  const yaxis = { ...figure.layout.yaxis };
  if (scale === "log") yaxis.type = "log";
  if (scale === "zero") yaxis.rangemode = "tozero";
  if (relative) Object.assign(yaxis, { tickformat: "+~f", ticksuffix: " %", zeroline: true });
  const marked = figure.data.find((trace) => trace.meta?.marks);
  const lines = (marked?.customdata.length ?? 99) > 12 ? [] : marked.customdata.filter((run) => run >= first);
  const shapes = lines.map((run) => ({
    type: "line", xref: "x", x0: runs.at[run], x1: runs.at[run], yref: "paper", y0: 0.03, y1: 1, line: { width: 1, dash: "dot" },
  }));
  return {
    data: figure.data.map((trace) => (trace.meta?.levels ? level(trace) : trace.meta?.runs ? dated(trace) : trace)).map(compared),
    layout: { ...figure.layout, yaxis, shapes: [...(figure.layout.shapes ?? []), ...shapes] },
  };
};
