// The charts of the table of days. Their data is the table itself.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rows = [...document.querySelectorAll("#days tbody tr")].reverse();
  const times = rows.map((row) => Date.parse(row.dataset.day) / 1000);
  const heads = [...document.querySelectorAll("#days thead th")];
  const made = [];

  function draw() {
    for (const figure of document.querySelectorAll(".chart")) {
      const plot = figure.querySelector(".plot");
      const places = figure.dataset.columns.split(",").map((name) => heads.findIndex((head) => head.dataset.column === name));
      const values = places.map((place) => rows.map((row) => {
        const text = row.children[place].textContent;
        return text === "–" ? null : Number(text);
      }));
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      const options = {
        width: Math.max(120, plot.clientWidth), height: plot.clientHeight, legend: { show: false }, cursor: { show: false },
        scales: { y: { range: (_, low, high) => [0, Math.max(1, high || 0) * 1.1] } },
        axes: [{ ...axis, size: 24, space: 60, values: (_, ticks) => ticks.map((time) => new Date(time * 1000).toISOString().slice(5, 10)) }, { ...axis, size: 44, space: 28 }],
        series: [{}, ...places.map((_, number) => ({ stroke: colour(`--chart-${number + 1}`), width: 2, spanGaps: true, points: { show: rows.length < 40 } }))],
      };
      made.push([new uPlot(options, [times, ...values], plot), plot]);
    }
  }

  function redraw() {
    while (made.length) made.pop()[0].destroy();
    draw();
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => {
    for (const [chart, plot] of made) chart.setSize({ width: Math.max(120, plot.clientWidth), height: plot.clientHeight });
  }).observe(document.querySelector(".charts"));
})();
