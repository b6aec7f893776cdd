// The live charts: every two seconds the figures since the last ones, for 15 minutes.
"use strict";

(() => {
  const INTERVAL_MS = 2000, KEPT_S = 900, MAX_WAIT_MS = 30000;
  const NAMES = ["connections", "users", "messages", "deliveries", "send_p50", "send_p99", "waiting", "errors", "queued"];
  const LABELS = { connections: "connections", users: "users", send_p50: "p50", send_p99: "p99" };
  const series = { times: [] };
  for (const name of NAMES) series[name] = [];
  const params = new URLSearchParams(location.search);
  let since = 0, wait = INTERVAL_MS;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function add(more) {
    for (let at = 0; at < more.times.length; at++) {
      const time = more.times[at], last = series.times[series.times.length - 1];
      if (last !== undefined && time < last) continue;
      const place = time === last ? series.times.length - 1 : series.times.length;
      series.times[place] = time;
      for (const name of NAMES) series[name][place] = more[name][at];
    }
    const oldest = series.times[series.times.length - 1] - KEPT_S;
    const old = series.times.findIndex((time) => time >= oldest);
    if (old > 0) for (const name of ["times", ...NAMES]) series[name].splice(0, old);
  }

  const charts = [...document.querySelectorAll(".chart")].map((figure) => {
    const names = figure.dataset.lines.split(","), plot = figure.querySelector(".plot");
    return { figure, names, plot, chart: null };
  });

  function options(one) {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const lines = one.names.map((name, number) => ({
      label: LABELS[name] || name, stroke: colour(`--chart-${one.names.length > 1 ? 2 - number : 1}`), width: 2, points: { show: false }, spanGaps: true,
    }));
    return {
      width: Math.max(120, one.plot.clientWidth), height: one.plot.clientHeight, legend: { show: false }, cursor: { show: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high || 0) * 1.1] } },
      axes: [{ ...axis, size: 24, space: 60, values: (_, ticks) => ticks.map((time) => new Date(time * 1000).toISOString().slice(11, 16)) }, { ...axis, size: 44, space: 28 }],
      series: [{}, ...lines],
    };
  }

  function draw() {
    for (const one of charts) {
      const data = [series.times, ...one.names.map((name) => series[name])];
      if (one.chart) one.chart.setData(data);
      else if (series.times.length > 1) one.chart = new uPlot(options(one), data, one.plot);
      // A latency that was measured within the last minute, or nothing.
      const now = series[one.figure.dataset.series].slice(-30).findLast((value) => value !== null);
      one.figure.querySelector("[data-now]").textContent = now === undefined ? "–" : String(Math.round(now * 10) / 10);
    }
  }

  function redraw() {
    for (const one of charts) {
      one.chart?.destroy();
      one.chart = null;
    }
    draw();
  }

  const text = (value, unit = "") => (value === null || value === undefined ? "–" : `${value}${unit}`);
  function cell(row, value, kind = "td", className = "n") {
    const made = document.createElement(kind);
    made.textContent = value;
    made.className = className;
    if (kind === "th") made.scope = "row";
    row.append(made);
    return made;
  }

  function fillNodes(nodes) {
    const rows = nodes.map((node) => {
      const row = document.createElement("tr");
      cell(row, node.address, "th", "").title = node.node;
      const state = document.createElement("span");
      state.className = `state ${node.state}`;
      state.textContent = node.state;
      cell(row, "", "td", "").append(state);
      for (const name of ["connections", "messages", "deliveries", "refusals"]) cell(row, text(Math.round(node[name])));
      for (const name of ["commands_p99", "commits_p99", "lag_p99"]) cell(row, text(node[name], " ms"));
      for (const name of ["log_waiting", "bus_waiting"]) cell(row, text(node[name]));
      cell(row, `${node.cpu} %`);
      cell(row, `${node.memory} MiB`);
      return row;
    });
    document.querySelector("#nodes tbody").replaceChildren(...rows);
  }

  function fillQueues(queues) {
    const rows = queues.map(([tenant, queue, waiting]) => {
      const row = document.createElement("tr");
      cell(row, queue, "th", "");
      cell(row, tenant, "td", "");
      cell(row, waiting);
      return row;
    });
    if (!rows.length) {
      const row = document.createElement("tr");
      cell(row, "Nobody is waiting.", "td", "").colSpan = 3;
      rows.push(row);
    }
    document.querySelector("#queues tbody").replaceChildren(...rows);
  }

  async function poll() {
    const query = new URLSearchParams({ since: String(since) });
    if (params.get("tenant")) query.set("tenant", params.get("tenant"));
    try {
      const answer = await fetch(`/admin/live.json?${query}`, { cache: "no-store", credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) {
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      since = found.at || since;
      add(found.series);
      draw();
      if (found.nodes.length) {
        fillNodes(found.nodes);
        fillQueues(found.queues);
      }
      document.querySelector("#alone").hidden = !found.alone;
      document.querySelector("#lost").hidden = true;
      wait = INTERVAL_MS;
    } catch (error) {
      document.querySelector("#lost").hidden = false;
      wait = Math.min(MAX_WAIT_MS, wait * 2);
    }
    setTimeout(poll, wait);
  }

  new ResizeObserver(() => {
    for (const one of charts) if (one.chart) one.chart.setSize({ width: Math.max(120, one.plot.clientWidth), height: one.plot.clientHeight });
  }).observe(document.querySelector(".charts"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  poll();
})();
