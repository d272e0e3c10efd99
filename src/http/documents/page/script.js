"use strict";
// Asks the daemon and fills the page in. What comes from there is written as text, never as markup.

const TICK = 2000;            // between two requests for counters, in milliseconds
const SPAN = 300000;          // what the plots show
const WINDOWS = [60000, 120000]; // shorter spans, while there is no more to show
const SAMPLES = SPAN / TICK + 1;
const EVERY = { tables: 2, metrics: 3, streams: 5 }; // ticks
const ROWS = 10;

const CLASSES = [["latency0_1", "up to 1 ms"], ["latency1_10", "10 ms"], ["latency10_50", "50 ms"],
  ["latency50_100", "100 ms"], ["latency100_1000", "1 s"], ["latency_slow", "longer"]]
  .map(([name, label]) => ({ name: "response/" + name, label }));
const PERCENTILES = ["latency-p50", "latency-p95", "latency-p99"];
const AVERAGES = ["qps-1m", "qps-5m", "rps-1m", "rps-5m"];
const RCODES = "noerror nxdomain servfail refused formerr notimp notauth yxdomain badvers".split(" ");
const TYPES = "a aaaa https ptr mx txt ns srv soa cname svcb ds dnskey any naptr caa tlsa".split(" ");
const names = ["query", "response", "clients", "domains", ...AVERAGES, ...PERCENTILES, ...CLASSES.map(each => each.name),
  ...RCODES.map(code => "response/" + code), ...["query/", "response/"].flatMap(way => TYPES.map(type => way + type))];

const $ = id => document.getElementById(id);
const here = location.origin + location.pathname.replace(/[^/]*$/, ""); // without credentials, which fetch() refuses

const state = {
  stream: "",       // "" = all
  samples: [],      // of this stream: {time, at, counters}
  tick: 0,
  started: null,    // when the daemon was, in its own words
  lost: null,       // when the connection was
  failures: 0,
  refused: false,   // the credentials were
  paused: false,
  gone: false,      // the daemon does not know the stream
  flags: {},        // which table a card shows
};

// ------------ Words and numbers ------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const count = number => number < 1e7 ? whole.format(number) : short.format(number);
const rate = number => number == null ? "–" : number < 9.95 && number % 1 ? number.toFixed(1) : count(Math.round(number));
const percent = part => part == null ? "–" : part > 0 && part < .001 ? "< 0.1\u00a0%" : (100 * part).toFixed(part < .9995 ? 1 : 0) + "\u00a0%";
const time = date => date.toLocaleTimeString("en-GB");
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

function octets(number) {
  const step = number < 1024 ? 0 : number < 1 << 20 ? 1 : number < 1 << 30 ? 2 : 3;
  return (number / 1024 ** step).toFixed(step && number / 1024 ** step < 100 ? 1 : 0) + " " + ["B", "KiB", "MiB", "GiB"][step];
}

function milliseconds(number) {
  return number >= 1000 ? (number / 1000).toFixed(1) + "\u00a0s" : number.toFixed(number < 10 ? 1 : 0) + "\u00a0ms";
}

function duration(seconds) {
  const [days, hours, minutes] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60].map(Math.floor);
  return days ? `${plural(days, "day")} ${hours} h` : hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : "less than a minute";
}

// ------------ Elements ------------

function make(name, keys = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(keys)) key in element ? element[key] = value : element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

function draw(name, keys, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(keys)) key === "style" ? Object.assign(element.style, value) : element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Sets text where it differs: a selection stays, and screen readers are told of changes only. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** As many children as items: made by `fresh` and filled in by `fill`. */
function each(parent, items, fresh, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(fresh());
  items.forEach((item, place) => fill(parent.children[place], item, place));
}

// ------------ Asking ------------

class Refused extends Error {}
class Gone extends Error {}

async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const answer = await fetch(here + path + (query && "?" + query), { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (answer.status === 401) throw new Refused();
  if (answer.status === 404 && parameters.stream !== undefined) throw new Gone();
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer;
}

const scope = () => state.stream === "" ? {} : { stream: state.stream };
const due = what => state.tick % EVERY[what] === 0;
let timer = 0, busy = false, again = false;

/** One round of requests, one after the other; then the next is planned. */
async function round() {
  clearTimeout(timer);
  if (busy) { again = true; return; }
  if (document.hidden || state.paused || state.refused) return;
  busy = true;
  const stream = state.stream;
  const current = () => stream === state.stream && !state.paused;
  try {
    if (due("metrics")) showHealth(parse(await (await ask("metrics", { only: "dnstapd_,process_" })).text()));
    if (due("streams")) showStreams((await (await ask("streams")).json()).streams);
    try {
      const { counters } = await (await ask("counters", { more: names.join(), ...scope() })).json();
      if (current()) take(counters);
      if (due("tables") && current()) showTables(await ask("tables", { n: ROWS, ...scope() }).then(answer => answer.json(), pass), stream);
      state.gone = false;
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      if (current()) {
        state.gone = true;
        blank("Waiting for the stream");
      }
    }
    state.lost = null;
    state.failures = 0;
    state.tick++;
  } catch (error) {
    if (error instanceof Refused) state.refused = true;
    else {
      state.lost ??= new Date();
      state.failures++;
      state.tick = 0;
    }
  }
  busy = false;
  showState();
  if (again) { again = false; round(); }
  else timer = setTimeout(round, Math.min(TICK * 2 ** Math.min(state.failures, 2), 8000));
}

/** A build without tables is no failure. */
function pass(error) {
  if (error instanceof Refused || error instanceof Gone || error instanceof TypeError || error.name === "TimeoutError") throw error;
  return null;
}

/** Asks for everything at once. */
function restart() {
  state.tick = 0;
  round();
}

/** Samples of the Prometheus text format: [{name, labels, value}]. */
function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, key, value] of (found[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value.replace(/\\(.)/g, "$1");
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

// ------------ Counters ------------

function take(counters) {
  const last = state.samples.at(-1);
  if (last && (counters.query < last.counters.query || counters.response < last.counters.response)) {
    tell(`Counters were reset at ${time(new Date())}.`);
    state.samples = [];
  }
  const now = performance.now();
  state.samples.push({ at: now, date: new Date(), counters });
  while (state.samples.length > SAMPLES || now - state.samples[0].at > SPAN + TICK) state.samples.shift();
  showCounters();
}

/** What was counted since the sample before, a second; nothing after a pause. */
function rates(name) {
  return state.samples.slice(1).map((sample, place) => {
    const before = state.samples[place], seconds = (sample.at - before.at) / 1000;
    const gap = seconds > 12;
    return { sample, value: gap ? null : (sample.counters[name] - before.counters[name]) / seconds };
  });
}

/** Counted in the last five minutes, or since the counters began. */
function counted(period) {
  const last = state.samples.at(-1)?.counters ?? {};
  const first = period === "recent" ? state.samples[0]?.counters ?? {} : {};
  return name => (last[name] ?? 0) - (first[name] ?? 0);
}

function showCounters() {
  const last = state.samples.at(-1).counters, all = counted("all"), recent = counted("recent");
  const queries = rates("query"), responses = rates("response");
  const of = recent("response") ? recent : all;
  const part = code => of("response") ? of("response/" + code) / of("response") : null;
  const speed = (label, list, name) => [label, list.at(-1) && rate(list.at(-1).value), "/s", `1\u00a0min ${rate(last[name + "-1m"])}/s, 5\u00a0min ${rate(last[name + "-5m"])}/s`];
  const [median, most, almost] = PERCENTILES.map(name => last[name] ? milliseconds(1000 * last[name]) : null);
  figures([
    speed("Queries", queries, "qps"),
    speed("Responses", responses, "rps"),
    ["Latency, median", ...split(median ?? "–"), median ? `95\u00a0%\u00a0within\u00a0${most}, 99\u00a0%\u00a0within\u00a0${almost}` : "none lately"],
    ["SERVFAIL", ...split(percent(part("servfail"))), of("response") ? `NXDOMAIN ${percent(part("nxdomain"))}` : "no responses yet"],
    ["Clients", count(last.clients), "", "different addresses"],
    ["Names", count(last.domains), "", "different ones asked for"],
  ]);
  document.title = `${rate(queries.at(-1)?.value)} q/s · ${state.stream || "dnstapd"}`;

  const nothing = last.query + last.response ? "Measuring …" : "No messages yet" + HINT;
  plot($("rate"), [queries, responses].map((points, place) => ({ ...RATES[place], points })), { nothing });

  const classes = CLASSES.map(({ name, label }, place) => ({ label, color: `var(--c${place})`, points: rates(name) }));
  for (let place = 0; place < queries.length; place++) {
    const sum = classes.reduce((sum, { points }) => sum + (points[place].value ?? 0), 0);
    for (const { points } of classes) points[place].value = sum ? points[place].value / sum : null;
  }
  plot($("latency"), classes, { stack: true, nothing: last.response ? "No response had a latency lately" : "No responses yet" });

  const period = document.querySelector("[name=period]:checked").value, sums = counted(period);
  bars($("rcodes"), "Code", "response", "response/", RCODES, sums);
  const way = sums("query") >= sums("response") ? "query" : "response";
  bars($("types"), "Type", way, way + "/", TYPES, sums);
}

/** Shows no numbers. */
function blank(nothing) {
  state.samples = [];
  figures(["Queries", "Responses", "Latency, median", "SERVFAIL", "Clients", "Names"].map(label => [label, null, "", "\u00a0"]));
  plot($("rate"), RATES.map(keys => ({ ...keys, points: [] })), { nothing });
  plot($("latency"), CLASSES.map(({ label }, place) => ({ label, color: `var(--c${place})`, points: [] })), { stack: true, nothing });
  ranking($("rcodes"), "Code", "Count", [], 0);
  ranking($("types"), "Type", "Count", [], 0);
  for (const section of $("tops").children) ranking(section.lastChild, "Name", "Count", [], 0);
}

const RATES = [{ label: "Queries", color: "var(--accent)" }, { label: "Responses", color: "var(--second)", dashed: true }];

const split = text => { const [number, unit] = text.split(/\u00a0/); return [number, unit ? "\u00a0" + unit : ""]; };

function figures(list) {
  each($("figures"), list, () => make("div", {}, make("dt"), make("dd", {}, make("b"), make("small")), make("dd", { className: "note" })),
    (box, [label, number, unit, note]) => {
      say(box.children[0], label);
      say(box.children[1].children[0], number ?? "–");
      say(box.children[1].children[1], number ? unit : "");
      say(box.children[2], note);
    });
}

function bars(table, head, total, prefix, keys, sums) {
  const all = sums(total);
  const rows = keys.map(key => [key.toUpperCase(), sums(prefix + key)]).filter(row => row[1] > 0).sort((a, b) => b[1] - a[1]);
  const shown = rows.length > 8 ? rows.slice(0, 7) : rows;
  const rest = all - shown.reduce((sum, row) => sum + row[1], 0);
  if (rest > 0 && all) shown.push(["Other", rest]);
  ranking(table, head, "Count", shown, all);
}

/** Fills a table: name with a bar behind it, number, and share if the whole is known. */
function ranking(table, head, unit, rows, all, show = count) {
  if (!table.tHead) {
    table.createTHead().append(make("tr", {}, make("th", { scope: "col" }), make("th", { scope: "col", className: "count" }), make("th", { scope: "col", className: "share" })));
    table.createTBody();
  }
  const [name, number, share] = table.tHead.rows[0].cells, body = table.tBodies[0];
  say(name, head); say(number, unit); say(share, all ? "Share" : "");
  share.hidden = !all;
  table.classList.toggle("bare", !rows.length);
  if (!rows.length) {
    body.replaceChildren(make("tr", { className: "none" }, make("td", { colSpan: 3, textContent: "Nothing yet." })));
    return;
  }
  if (body.rows[0]?.className === "none") body.replaceChildren();
  const most = Math.max(...rows.map(row => row[1]));
  each(body, rows, () => make("tr", {}, make("th", { scope: "row" }, make("span")), make("td", { className: "count" }), make("td", { className: "share" })),
    (row, [name, number]) => {
      const [head, counter, share] = row.cells;
      say(head.firstChild, name);
      head.title = name.length > 24 ? name : "";
      head.style.setProperty("--part", (100 * number / most).toFixed(1) + "%");
      say(counter, show(number));
      say(share, all ? percent(number / all) : "");
      share.hidden = !all;
    });
}

// ------------ Plots ------------

const HINT = ": point a DNS server here";

/** Lines, or bands that add up to a whole, over the last five minutes. */
function plot(box, series, options) {
  box.last = [series, options];
  if (!box.firstChild) {
    box.append(draw("svg", { role: "img", tabindex: 0 }), make("ul", { className: "legend" }));
    const svg = box.firstChild;
    const point = event => { box.pointed = event.offsetX; plot(box, ...box.last); };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    for (const end of ["pointerleave", "blur"]) svg.addEventListener(end, () => { box.pointed = null; plot(box, ...box.last); });
    svg.addEventListener("keydown", event => {
      const step = { ArrowLeft: -6, ArrowRight: 6 }[event.key];
      if (!step) return;
      event.preventDefault();
      box.pointed = Math.min(svg.clientWidth - 1, Math.max(45, (box.pointed ?? svg.clientWidth) + step));
      plot(box, ...box.last);
    });
    new ResizeObserver(() => plot(box, ...box.last)).observe(svg);
  }
  const [svg, legend] = box.children, width = svg.clientWidth, height = svg.clientHeight;
  const left = 44, right = width - 2, top = 8, bottom = height - 22, now = performance.now();
  const values = series.flatMap(({ points }) => points.map(point => point.value)).filter(value => value != null);
  const most = options.stack ? 1 : ceiling(Math.max(0, ...values));
  const age = now - (state.samples[0]?.at ?? now), span = WINDOWS.find(window => age < window) ?? SPAN;
  const x = at => right - (now - at) / span * (right - left), y = value => bottom - value / most * (bottom - top);
  const parts = [];
  for (let line = 0; line <= 4; line++) {
    const value = most * line / 4;
    parts.push(draw("line", { class: "rule", x1: left, x2: right, y1: y(value), y2: y(value) }),
      draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, options.stack ? 100 * value + " %" : most < 4 && value % 1 ? value.toFixed(most < .4 ? 2 : 1) : short.format(value)));
  }
  const steps = width < 420 ? span === SPAN ? 2.5 : 2 : span === SPAN ? 5 : 4;
  for (let step = 0; step <= steps; step++) {
    const ago = span / steps * step / 1000, anchor = step === 0 ? "end" : step === steps ? "start" : "middle";
    parts.push(draw("text", { x: right - step / steps * (right - left), y: height - 4, "text-anchor": anchor },
      !step ? "now" : ago % 60 ? `−${ago} s` : `−${ago / 60} min`));
  }
  let floor = [];
  for (const { points, color, dashed } of series) {
    const runs = [], lower = floor;
    points.forEach(({ sample, value }, place) => {
      if (value == null || x(sample.at) < left) return;
      if (!runs.length || points[place - 1]?.value == null || place && x(points[place - 1].sample.at) < left) runs.push([]);
      const base = options.stack ? lower[place] ?? 0 : 0;
      runs.at(-1).push([x(sample.at), y(base + value), y(base)]);
    });
    for (const run of runs) {
      if (run.length === 1) run.push([run[0][0] + 3, run[0][1], run[0][2]]);
      const line = run.map(([a, b]) => a.toFixed(1) + " " + b.toFixed(1));
      const area = "M" + [...line, ...run.toReversed().map(([a, , c]) => a.toFixed(1) + " " + c.toFixed(1))].join("L") + "Z";
      parts.push(draw("path", { d: area, style: { fill: color, opacity: options.stack ? 1 : dashed ? 0 : .12 } }));
      if (!options.stack) parts.push(draw("path", { class: dashed ? "line dashed" : "line", d: "M" + line.join("L"), style: { stroke: color } }));
    }
    floor = points.map(({ value }, place) => (lower[place] ?? 0) + (value ?? 0));
  }
  const seen = series[0].points.filter((_, place) => series.some(({ points }) => points[place].value != null));
  if (!seen.length || options.nothing.endsWith(HINT)) parts.push(draw("text", { class: "empty", x: (left + right) / 2, y: (top + bottom) / 2 }, options.nothing));
  const nearest = box.pointed == null ? null : seen.reduce((best, point) => !best || Math.abs(x(point.sample.at) - box.pointed) < Math.abs(x(best.sample.at) - box.pointed) ? point : best, null);
  if (nearest) parts.push(draw("line", { class: "cross", x1: x(nearest.sample.at), x2: x(nearest.sample.at), y1: top, y2: bottom }));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...parts);

  const place = nearest ? series[0].points.findIndex(point => point.sample === nearest.sample) : series[0].points.length - 1;
  const at = nearest ? time(nearest.sample.date) : "now";
  const words = options.stack ? percent : value => rate(value);
  each(legend, [...series.map(({ label, color, points }) => [label, color, words(points[place]?.value)]), [at]],
    () => make("li", {}, make("i"), make("span"), make("b")),
    (item, [label, color, value]) => {
      item.children[0].style.background = color ?? "none";
      item.children[0].hidden = !color;
      say(item.children[1], label);
      say(item.children[2], value ?? "");
    });
  const range = ({ label, points }) => {
    const known = points.map(point => point.value).filter(value => value != null);
    if (!known.length) return `${label}: nothing`;
    const low = words(Math.min(...known)), high = words(Math.max(...known));
    return `${label}: ${at} ${words(points[place]?.value)}, between ${low} and ${high}`;
  };
  const title = document.getElementById(box.parentElement.getAttribute("aria-labelledby")).textContent;
  svg.setAttribute("aria-label", seen.length ? `${title}, last five minutes. ${series.map(range).join("; ")}.` : `${title}. ${options.nothing}.`);
}

/** The next number that makes a good end of a scale. */
function ceiling(number) {
  if (number <= 0) return 4;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 4, 8, 10].find(step => step * power >= number) * power;
}

// ------------ Tables ------------

const CARDS = { domains: ["Top domains", "Name"], clients: ["Top clients", "Address"], tlds: ["Top-level domains", "Domain"], countries: ["Top countries", "Country"] };

function flagWords(flag) {
  const [by, way] = flag.split("/");
  if (way === "ip") return by === "hit" ? "by messages" : "by octets";
  const what = way === "query" ? "queries" : "responses";
  return by === "hit" ? what : by === "length" ? `octets in ${what}` : `${what}, ${by.toUpperCase()}`;
}

function showTables(answer, stream) {
  if (stream !== state.stream) return;
  const tables = answer?.tables ?? {};
  const kinds = Object.keys(tables).filter(kind => kind !== "rcodes" && kind !== "rrtypes");
  kinds.sort((a, b) => place(a) - place(b));
  each($("tops"), kinds, card, (box, kind) => {
    const [title, head] = CARDS[kind] ?? [kind[0].toUpperCase() + kind.slice(1), "Name"];
    const flags = Object.keys(tables[kind]), [caption, select] = box.firstChild.children, table = box.lastChild;
    say(caption, title);
    caption.id = "h-" + kind;
    box.setAttribute("aria-labelledby", caption.id);
    table.setAttribute("aria-labelledby", caption.id);
    select.setAttribute("aria-label", `${title}: what to show`);
    if (select.dataset.flags !== flags.join()) {
      select.dataset.flags = flags.join();
      select.replaceChildren(...flags.map(flag => make("option", { value: flag, textContent: flagWords(flag) })));
    }
    select.hidden = flags.length < 2;
    const flag = flags.includes(state.flags[kind]) ? state.flags[kind] : flags[0];
    select.value = flag;
    select.onchange = () => { state.flags[kind] = select.value; showTables(answer, stream); };
    const rows = (tables[kind][flag] ?? []).map(([name, number]) => [name.replace(kind === "domains" ? /^$/ : /^(query|response)\/(tld\/)?/, ""), number]);
    const long = flag?.startsWith("length/");
    ranking(table, head, long ? "Octets" : "Count", rows, 0, long ? octets : count);
  });
  $("tops").hidden = !kinds.length;
}

const place = kind => (Object.keys(CARDS).indexOf(kind) + 99) % 99; // an unknown one comes last
const card = () => make("section", { className: "card" }, make("div", { className: "top" }, make("h2"), make("select")), make("table", { className: "bars" }));

// ------------ Health ------------

function showHealth(samples) {
  const find = (name, labels = {}) => samples.filter(sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
  const sum = (...asked) => find(...asked).reduce((sum, sample) => sum + sample.value, 0);
  const reasons = (...asked) => find(...asked).filter(sample => sample.value).map(({ labels, value }) => `${labels.reason ?? labels.filter} ${count(value)}`).join(", ");
  const started = sum("process_start_time_seconds");
  if (state.started && started && started !== state.started) {
    tell(`The daemon was restarted at ${time(new Date(started * 1000))}. Its counters began at 0.`);
    state.samples = [];
  }
  state.started = started;

  const unique = (name, label) => find(name).map(sample => sample.labels[label]);
  fill($("inputs"), unique("dnstapd_frames_total", "input").map(input => ({
    name: input,
    values: [["Connections", count(sum("dnstapd_connections", { input }))], ["Frames", count(sum("dnstapd_frames_total", { input }))],
      ["Received", octets(sum("dnstapd_input_bytes_total", { input }))], ["Filtered", count(sum("dnstapd_filtered_total", { input }))],
      ["Rejected", count(sum("dnstapd_rejected_total", { input })), sum("dnstapd_rejected_total", { input }) > 0]],
  })), "No input is on.");
  fill($("outputs"), unique("dnstapd_output_queued", "output").map(output => {
    const up = sum("dnstapd_output_connected", { output }) > 0, dropped = sum("dnstapd_output_dropped_total", { output });
    const waiting = sum("dnstapd_output_queued", { output });
    return {
      name: output, up,
      values: [["Delivered", count(sum("dnstapd_output_delivered_total", { output }))],
        ["Dropped", dropped ? `${count(dropped)} (${reasons("dnstapd_output_dropped_total", { output })})` : "0", dropped > 0],
        ["Waiting", waiting ? `${count(waiting)}, ${octets(sum("dnstapd_output_queue_bytes", { output }))}` : "0"],
        ["Reconnected", count(sum("dnstapd_output_reconnects_total", { output }))]],
    };
  }), "No output is on: messages are only counted.");

  const dropped = sum("dnstapd_output_dropped_total"), rejected = sum("dnstapd_rejected_total"), malformed = sum("dnstapd_malformed_total");
  const lines = [
    [dropped, `${plural(dropped, "record")} dropped by outputs`],
    [rejected, `${plural(rejected, "frame")} rejected (${reasons("dnstapd_rejected_total")})`],
    [malformed, `${plural(malformed, "message")} with a broken DNS payload (${reasons("dnstapd_malformed_total")}), counted all the same`],
    [sum("dnstapd_sniffer_kernel_drops_total"), `${plural(sum("dnstapd_sniffer_kernel_drops_total"), "packet")} dropped by the kernel before the sniffer read them`],
    [sum("dnstapd_log_dropped_total"), `${plural(sum("dnstapd_log_dropped_total"), "line")} of the log dropped`],
    [sum("dnstapd_evicted_total", { table: "streams" }), `${plural(sum("dnstapd_evicted_total", { table: "streams" }), "message")} of identities beyond the table of streams, counted together`],
  ].filter(line => line[0] > 0).map(line => line[1]);
  each($("losses"), lines.length ? lines : ["Nothing was lost."], () => make("li"), (item, line) => {
    say(item, line);
    item.className = lines.length ? "warn" : "good";
  });

  const build = find("dnstapd_build_info")[0]?.labels ?? {};
  const words = [`dnstapd ${build.version ?? ""}`, started && `up ${duration(Date.now() / 1000 - started)}`,
    sum("process_resident_memory_bytes") && `${octets(sum("process_resident_memory_bytes"))} of memory`,
    sum("process_cpu_seconds_total") && `${sum("process_cpu_seconds_total").toFixed(1)} s of processor time`,
    sum("dnstapd_sample_rate") > 1 && `one message in ${count(sum("dnstapd_sample_rate"))} is counted`, build.target];
  each($("daemon"), words.filter(Boolean), () => make("span"), say);
}

/** Inputs or outputs, each with its numbers. */
function fill(list, items, nothing) {
  if (!items.length) return list.replaceChildren(make("li", { textContent: nothing }));
  if (!list.querySelector("h3")) list.replaceChildren();
  each(list, items, () => make("li", {}, make("h3", {}, make("span"), make("span")), make("dl")), (item, { name, up, values }) => {
    const [title, pill] = item.firstChild.children;
    say(title, name);
    pill.hidden = up === undefined;
    pill.className = up === undefined ? "" : up ? "pill good" : "pill bad";
    say(pill, up === undefined ? "" : up ? "Up" : "Away");
    each(item.lastChild, values, () => make("div", {}, make("dt"), make("dd")), (pair, [label, value, warn]) => {
      say(pair.children[0], label);
      say(pair.children[1], value);
      pair.children[1].className = warn ? "warn" : "";
    });
  });
}

// ------------ State ------------

function showState() {
  const [kind, text] = state.refused ? ["bad", "Signed out"] : state.lost ? ["bad", "No connection"] : state.paused ? ["warn", "Paused"] : ["good", "Live"];
  $("state").className = "pill " + kind;
  say($("state"), text);
  const problem = state.refused ? "The password was refused: it is not, or no longer, the one in the daemon's configuration."
    : state.lost ? `No connection to the daemon since ${time(state.lost)}. What you see is from before. Trying again every few seconds.`
    : state.gone ? `The daemon has seen nothing of the stream ${state.stream} since it was started. Waiting for it.` : "";
  if ($("problem").dataset.text !== problem) {
    $("problem").dataset.text = problem;
    const reload = make("button", { type: "button", textContent: "Sign in", onclick: () => location.reload() });
    $("problem").replaceChildren(...problem ? [make("p", { className: state.gone ? "notice" : "notice bad" }, problem, ...state.refused ? [reload] : [])] : []);
  }
  if (state.lost || state.refused) document.title = `${text} · dnstapd`;
}

/** Says what happened, for a minute. */
function tell(text) {
  const notice = make("p", { className: "notice" }, text, make("button", { type: "button", textContent: "Dismiss", onclick: () => notice.remove() }));
  $("news").replaceChildren(notice);
  setTimeout(() => notice.remove(), 60000);
}

function showStreams(streams) {
  const wanted = state.stream === "" || streams.includes(state.stream) ? streams : [state.stream, ...streams];
  const options = $("stream").options;
  while (options.length > wanted.length + 1) options[options.length - 1].remove();
  while (options.length < wanted.length + 1) $("stream").append(make("option"));
  wanted.forEach((name, place) => { options[place + 1].value = name; say(options[place + 1], name === "-" ? "- (no identity)" : name); });
  say(options[0], streams.length ? `All streams (${streams.length})` : "All streams");
  $("stream").value = state.stream;
}

function choose(stream) {
  if (stream === state.stream) return;
  state.stream = stream;
  state.samples = [];
  state.gone = false;
  history.replaceState(null, "", stream === "" ? location.pathname : "#" + encodeURIComponent(stream));
  restart();
}

function fromAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

$("stream").addEventListener("change", event => choose(event.target.value));
addEventListener("hashchange", () => { choose(fromAddress()); });
document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : restart());
for (const radio of document.querySelectorAll("[name=period]")) radio.addEventListener("change", () => state.samples.length && showCounters());
$("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", state.paused);
  say($("pause"), state.paused ? "Resume" : "Pause");
  showState();
  restart();
});
state.stream = fromAddress();
blank("Connecting …");
round();
