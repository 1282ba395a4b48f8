"use strict";
const INTERVAL_MS = 2000, MOST_ROWS = 200;
// Upper bounds of the buckets of durations, in milliseconds.
const BOUNDS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30000];
const byId = (id) => document.getElementById(id);
let before = null, latest = null, paused = false;

const sum = (statuses) => Object.values(statuses).reduce((total, count) => total + count, 0);
const errors = (statuses) => statuses["5xx"] + statuses.none;
// The difference to the sample before, or since the start if there is none.
function since(now, then) {
  return Array.isArray(now) ? now.map((value, at) => value - (then ? then[at] : 0)) : now - (then || 0);
}
// Interpolated within its bucket, as histogram_quantile of Prometheus does.
function quantile(buckets, count, q) {
  if (count <= 0) return null;
  const rank = q * count;
  const at = buckets.findIndex((below) => below >= rank);
  if (at < 0) return BOUNDS[BOUNDS.length - 1];
  const low = at ? BOUNDS[at - 1] : 0, below = at ? buckets[at - 1] : 0;
  return low + (BOUNDS[at] - low) * ((rank - below) / Math.max(buckets[at] - below, 1));
}
const duration = (ms) => ms === null ? "–" : ms < 1 ? `${(ms * 1000).toFixed(0)} µs` : ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
const rate = (count, seconds) => seconds ? (count / seconds).toFixed(1) : "–";
const share = (part, whole) => whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "–";

function cell(text, kind) {
  const td = document.createElement("td");
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}
function row(cells, kind) {
  const tr = document.createElement("tr");
  if (kind) tr.className = kind;
  tr.append(...cells);
  return tr;
}
function fill(section, rows, empty, columns) {
  if (!rows.length) {
    const td = cell(empty, "dim");
    td.colSpan = columns;
    rows = [row([td])];
  }
  byId(section).querySelector("tbody").replaceChildren(...rows);
}

function routeRows(status, then, seconds) {
  const filter = byId("filter").value.toLowerCase();
  const old = new Map((then ? then.routes : []).map((route) => [route.name, route]));
  return status.routes.filter((route) => `${route.name} ${route.action}`.toLowerCase().includes(filter)).slice(0, MOST_ROWS).map((route) => {
    const last = old.get(route.name);
    const count = since(route.count, last && last.count);
    const failed = since(errors(route.statuses), last && errors(last.statuses));
    const buckets = since(route.buckets, last && last.buckets);
    return row([cell(route.name || "(none)"), cell(route.action, "dim"), cell(rate(count, seconds), "number"), cell(share(failed, count), failed ? "number bad" : "number"), cell(duration(quantile(buckets, count, 0.5)), "number"), cell(duration(quantile(buckets, count, 0.99)), "number"), cell(String(route.count), "number")]);
  });
}

function upstreamRows(status, then, seconds) {
  const old = new Map();
  for (const upstream of then ? then.upstreams : []) for (const one of upstream.endpoints) old.set(`${upstream.name} ${one.name}`, one);
  return status.upstreams.flatMap((upstream) => {
    const circuit = upstream.circuit ? `, circuit ${upstream.circuit.in_flight} of ${upstream.circuit.max} in flight, ${upstream.circuit.waiting} waiting` : "";
    const head = cell(`${upstream.name} `);
    head.colSpan = 7;
    const more = document.createElement("span");
    more.className = "dim";
    more.textContent = `${upstream.retries} retries${circuit}`;
    head.append(more);
    return [row([head], "group"), ...upstream.endpoints.map((one) => {
      const last = old.get(`${upstream.name} ${one.name}`);
      const count = since(sum(one.statuses), last && sum(last.statuses));
      const failed = since(errors(one.statuses), last && errors(last.statuses));
      const mean = count > 0 ? since(one.micros, last && last.micros) / count / 1000 : null;
      return row([cell(one.name), cell(one.state, one.state === "up" ? "good" : "bad"), cell(rate(count, seconds), "number"), cell(share(failed, count), failed ? "number bad" : "number"), cell(duration(mean), "number"), cell(String(one.in_flight), "number"), cell(String(sum(one.statuses)), "number")]);
    })];
  });
}

function failureRows(status) {
  return status.failures.map((one) => row([cell(one.time.slice(11, 23)), cell(`${one.method} ${one.path}`, "wrap"), cell(one.route || "(none)"), cell(one.status ? String(one.status) : "none", "number"), cell([one.failed_at, one.failure, one.detail].filter(Boolean).join(": "), "wrap")]));
}

function total(name, value) {
  const div = document.createElement("div"), b = document.createElement("b");
  b.textContent = value;
  div.append(b, name);
  return div;
}

function show() {
  const status = latest, then = before;
  const seconds = then ? (status.time_ms - then.time_ms) / 1000 : 0;
  const all = (from, value) => (from ? from.routes : []).reduce((total, route) => total + value(route), 0);
  const count = all(status, (route) => route.count) - all(then, (route) => route.count);
  const failed = all(status, (route) => errors(route.statuses)) - all(then, (route) => errors(route.statuses));
  const endpoints = status.upstreams.flatMap((upstream) => upstream.endpoints);
  byId("version").textContent = status.version;
  byId("state").textContent = status.ready ? "ready" : "not ready";
  byId("state").className = status.ready ? "good" : "bad";
  byId("totals").replaceChildren(
    total("requests/s", rate(count, seconds)), total("errors", share(failed, count)),
    total("endpoints up", `${endpoints.filter((one) => one.state === "up").length} of ${endpoints.length}`),
    total("connections", String(status.listeners.reduce((open, one) => open + one.open, 0))),
    total("log lines lost", String(status.log_lines_dropped)));
  fill("routes", routeRows(status, then, seconds), "no route", 7);
  fill("upstreams", upstreamRows(status, then, seconds), "no upstream", 7);
  fill("failures", failureRows(status), "none so far", 5);
}

async function load() {
  try {
    const answer = await fetch("status", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    before = latest;
    latest = await answer.json();
    show();
    document.body.dataset.loaded = before ? "twice" : "once";
  } catch (error) {
    byId("state").textContent = `no answer: ${error.message}`;
    byId("state").className = "bad";
  }
}

async function loadSettings() {
  const answer = await fetch("settings", { cache: "no-store" });
  byId("text").textContent = await answer.text();
}

async function loop() {
  if (!paused) await load();
  setTimeout(loop, INTERVAL_MS);
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Go on" : "Pause";
});
byId("filter").addEventListener("input", () => { if (latest) show(); });
byId("reload").addEventListener("click", async () => {
  const out = byId("reloaded");
  out.hidden = false;
  out.textContent = "reloading";
  try {
    const answer = await fetch("reload", { method: "POST" });
    out.textContent = await answer.text();
    out.className = answer.ok ? "good" : "bad";
  } catch (error) {
    out.textContent = `no answer: ${error.message}`;
    out.className = "bad";
  }
  await load();
  await loadSettings();
});
loadSettings();
loop();
