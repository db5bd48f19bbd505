/* Charts, drawn by Vega from the specification beside each: they show what the table beside them shows. */
"use strict";

(() => {
  const figures = [...document.querySelectorAll("figure.chart")].map((figure) => ({
    figure,
    place: figure.querySelector(".drawing"),
    spec: JSON.parse(figure.querySelector("script.spec").textContent),
    data: JSON.parse(figure.querySelector("script.rows")?.textContent ?? "null"),
    near: false,
    stale: true,
  }));

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const [ink, soft, line] = [of("--ink"), of("--soft"), of("--line")];
    const colours = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => of(`--hue-${n}`));
    return {
      background: null,
      font: style.getPropertyValue("font-family") || "sans-serif",
      view: { stroke: null },
      axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 },
      legend: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
      title: { color: ink },
      header: { labelColor: ink, titleColor: ink },
      text: { color: ink, fontSize: 12 },
      rule: { color: ink },
      range: {
        category: colours,
        heatmap: of("--heat").split(/\s+/),
        symbol: ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"],
      },
    };
  }

  /* The rows of the table that a figure goes with, as they stand, and how many of them are drawn. */
  function keys({ figure }) {
    const rows = [...document.querySelectorAll(`#${CSS.escape(figure.dataset.for)} tbody tr[data-key]`)];
    const shown = rows.filter((row) => !row.hidden).map((row) => row.dataset.key);
    const limit = Number(figure.dataset.limit ?? 0) || shown.length;
    return { all: shown.length, kept: new Set(shown.slice(0, limit)) };
  }

  function rows(chart) {
    const { columns, rows } = chart.data;
    const objects = (kept) => kept.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]])));
    if (!chart.figure.dataset.for) return objects(rows);
    const { all, kept } = keys(chart);
    note(chart, kept.size < all ? `The first ${kept.size} of ${all} rows of the table are drawn; sort or filter it for others.` : "");
    return objects(rows.filter((row) => kept.has(row[0]) && visible(chart, row)));
  }

  /* Whether the column of the table that a row stands for is shown. */
  function visible({ figure, data }, row) {
    const across = figure.dataset.across;
    if (!across) return true;
    const key = row[data.columns.indexOf(across)];
    const head = document.querySelector(`#${CSS.escape(figure.dataset.for)} thead th[data-key="${CSS.escape(key)}"]`);
    return !head || !head.hidden;
  }

  function note({ figure }, text) {
    let place = figure.querySelector("p.note");
    if (!place) {
      place = document.createElement("p");
      place.className = "note";
      figure.append(place);
    }
    place.textContent = text;
  }

  async function draw(chart) {
    if (!chart.near || !chart.stale) return;
    chart.stale = false;
    const spec = structuredClone(chart.spec);
    if (chart.data) spec.datasets = { ...spec.datasets, rows: rows(chart) };
    const inner = document.createElement("div");
    chart.place.replaceChildren(inner);
    /* A picture of thousands of pixels asks for a canvas. */
    const renderer = spec.usermeta?.embedOptions?.renderer ?? "svg";
    const drawn = await window.vegaEmbed(inner, spec, { actions: false, renderer, logLevel: 1, config: theme() });
    if (chart.view) chart.view.finalize();
    chart.view = drawn;
    chart.figure.dataset.drawn = "true";
  }

  function renew(chosen) {
    for (const chart of chosen) chart.stale = true;
    requestAnimationFrame(() => chosen.forEach(draw));
  }

  document.addEventListener("interp-bench:theme", () => renew(figures));
  document.addEventListener("interp-bench:rows", (event) => {
    renew(figures.filter(({ figure }) => figure.dataset.for === event.detail));
  });
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter(({ isIntersecting }) => isIntersecting)) {
        const chart = figures.find(({ figure }) => figure === entry.target);
        watcher.unobserve(entry.target);
        chart.near = true;
        draw(chart);
      }
    },
    { rootMargin: "600px" },
  );
  figures.forEach(({ figure }) => watcher.observe(figure));
})();
