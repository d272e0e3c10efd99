"use strict";
// Asks the daemon and fills the page in. What comes from there is written as text, never as markup.

// between two rounds of requests, in milliseconds
const TICK = 2000;
// of what the page itself remembers
const SPAN = 300000;
const SAMPLES = SPAN / TICK + 1;
const ROWS = 10, KEPT = 50000;
const PERIODS = { hour: "last hour", day: "last 24 hours", month: "last 31 days", start: "since start" };
const VIEWS = [["overview", "Overview", "o"], ["log", "Log", "l"], ["devices", "Devices", "d"], ["health", "Health", "h"], ["system", "System", "s"]];
const PERCENTILES = ["latency-p50", "latency-p95", "latency-p99"];
const RCODES = "noerror nxdomain servfail refused formerr notimp notauth yxdomain badvers".split(" ");
const TYPES = "a aaaa https ptr mx txt ns srv soa cname svcb ds dnskey any naptr caa tlsa".split(" ");
const STATUSES = "answered blocked nxdomain error unanswered pending unknown".split(" ");
const names = ["query", "response", "clients", "domains", "qps", "rps", "qps-1m", "qps-5m", "rps-1m", "response/blocked", "query/unanswered",
  ...PERCENTILES, ...RCODES.map(code => "response/" + code), ...["query/", "response/"].flatMap(way => TYPES.map(type => way + type))];

const on = (element, ...words) => element.addEventListener(...words);
const $ = id => document.getElementById(id);
// Without credentials, which fetch() refuses.
const here = location.origin + location.pathname.replace(/[^/]*$/, "");

const state = {
  view: "", query: new URLSearchParams(), period: "day", stream: "", shown: "",
  // of this stream: {at, date, counters}
  samples: [],
  tick: 0, started: null, lost: null, failures: 0, refused: false, paused: false, gone: false,
  ready: "", flag: "hit/query", flags: {}, off: {}, devices: null,
};

// ------------ Words and numbers ------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = number => number == null ? "–" : number < 1e9 ? whole.format(number) : compact.format(number);
const short = number => number < 1e4 ? whole.format(number) : compact.format(number).replace(/([KMB])$/, letter => "\u00a0" + letter.replace("K", "k"));
const rate = number => number == null ? "–" : number < 9.95 && number % 1 ? number.toFixed(1) : count(Math.round(number));
const percent = part => part == null || isNaN(part) ? "–" : part > 0 && part < .001 ? "< 0.1\u00a0%" : (100 * part).toFixed(part < .9995 ? 1 : 0) + "\u00a0%";
const time = date => date.toLocaleTimeString("en-GB");
const when = text => new Date(moment(text) * 1000).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" });
const moment = text => typeof text === "number" ? text : Date.parse(text) / 1000;
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
const seconds = number => number == null || number === "-" ? "–" : number < .001 ? Math.round(number * 1e6) + "\u00a0µs"
  : number < 1 ? (number * 1000).toFixed(number < .01 ? 1 : 0) + "\u00a0ms" : number.toFixed(1) + "\u00a0s";

function bytes(number) {
  const step = number < 1024 ? 0 : number < 1 << 20 ? 1 : number < 1 << 30 ? 2 : 3;
  return (number / 1024 ** step).toFixed(step && number / 1024 ** step < 100 ? 1 : 0) + " " + ["B", "KiB", "MiB", "GiB"][step];
}

function duration(number) {
  const [days, hours, minutes] = [number / 86400, number / 3600 % 24, number / 60 % 60].map(Math.floor);
  return days ? `${plural(days, "day")} ${hours} h` : hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : "less than a minute";
}

/** A text of the daemon for people: \DDD are bytes of UTF-8, a backslash hides the character after it. */
function plain(text) {
  const list = [];
  for (const [, code, letter, other] of text.matchAll(/\\(\d{3})|\\(.)|([^\\]+)/gu)) {
    if (code) list.push(+code); else list.push(...new TextEncoder().encode(letter ?? other));
  }
  return new TextDecoder().decode(new Uint8Array(list)).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const bare = name => name.replace(/\.$/, "") || ".";

/** A name without its final dot; punycode has the Unicode beside it. */
function domain(text) {
  if (text === "." || text === "-") return text;
  const name = plain(text.replace(/\.$/, ""));
  if (!/(^|\.)xn--/i.test(name)) return name;
  const wide = name.split(".").map(label => /^xn--/i.test(label) ? unicode(label.slice(4)) ?? label : label).join(".");
  return wide === name ? name : `${name} (${wide})`;
}

/** RFC 3492, 6.2. */
function unicode(text) {
  const cut = text.lastIndexOf("-"), out = cut > 0 ? [...text.slice(0, cut)] : [];
  let code = 128, at = 0, bias = 72;
  for (let place = cut > 0 ? cut + 1 : 0; place < text.length;) {
    const before = at;
    for (let weight = 1, base = 36; ; base += 36) {
      const digit = "abcdefghijklmnopqrstuvwxyz0123456789".indexOf(text[place++]?.toLowerCase() ?? "?");
      if (digit < 0) return null;
      at += digit * weight;
      const least = Math.min(26, Math.max(1, base - bias));
      if (digit < least) break;
      weight *= 36 - least;
    }
    const length = out.length + 1;
    let delta = before ? at - before >> 1 : Math.floor(at / 700);
    delta += Math.floor(delta / length);
    let steps = 0;
    for (; delta > 455; steps += 36) delta = Math.floor(delta / 35);
    bias = steps + Math.floor(36 * delta / (delta + 38));
    code += Math.floor(at / length);
    at %= length;
    if (code > 0x10ffff) return null;
    out.splice(at++, 0, String.fromCodePoint(code));
  }
  return out.join("");
}

// ------------ Elements ------------

function make(name, keys = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(keys)) key in element ? element[key] = value : element.setAttribute(key, value);
  element.append(...inside.filter(part => part != null && part !== false));
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

/** A part of a view: a title, what it speaks of, and a body. */
function card(id, title, about, body, size = "") {
  return make("section", { class: "card " + size, "aria-labelledby": "h-" + id }, make("h2", { id: "h-" + id }, title, " ", about && make("small", {}, about)), body);
}

const link = (text, view, query = {}, keys = {}) => make("a", { href: address(view, query), ...keys }, text);
const note = text => make("p", { class: "empty" }, text);

// ------------ Address ------------

/** The address of a view: it keeps period and stream. */
function address(view, query = {}) {
  const words = new URLSearchParams(query);
  if (state.period !== "day") words.set("period", state.period);
  if (state.stream !== "") words.set("stream", state.stream);
  const text = words.toString();
  return `#/${view}${text && "?" + text}`;
}

function go(view, query) {
  location.hash = address(view, query);
}

function route() {
  const text = location.hash.slice(1);
  const [path, words = ""] = text.startsWith("/") ? text.slice(1).split("?") : ["overview", text && "stream=" + text.replaceAll("&", "%26")];
  const query = new URLSearchParams(words), stream = query.get("stream") ?? "";
  state.period = PERIODS[query.get("period")] ? query.get("period") : "day";
  query.delete("stream"); query.delete("period");
  const known = [...VIEWS.map(([name]) => name), "device", "domain"];
  const view = known.includes(path) ? path : "overview";
  if (stream !== state.stream) { state.stream = stream; state.samples = []; state.gone = false; }
  document.querySelector(`[name=period][value=${state.period}]`).checked = true;
  showStreams([...$("stream").options].slice(1).map(option => option.value));
  const same = view === state.view && query.toString() === state.query.toString();
  [state.view, state.query] = [view, query];
  if (!same) open();
  showFrame();
  restart();
}

/** Makes a view anew. */
function open() {
  log.close();
  const main = $("main");
  main.replaceChildren();
  state.shown = "";
  ({ overview, log: logView, devices: devicesView, device: deviceView, domain: deviceView, health, system })[state.view](main);
  scrollTo(0, 0);
}

function showFrame() {
  each($("views"), VIEWS, () => make("a"), (item, [view, title, key]) => {
    say(item, title);
    item.href = address(view);
    item.title = "g " + key;
    const current = view === state.view || view === "devices" && state.view === "device" || view === "log" && state.view === "domain";
    current ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
  });
}

// ------------ Asking ------------

class Refused extends Error {}
class Gone extends Error {}

async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const answer = await fetch(here + path + (query && "?" + query), { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (answer.status === 401 || answer.status === 429) throw new Refused();
  if (answer.status === 404 && parameters.stream !== undefined) throw new Gone();
  if (!answer.ok && path !== "ready") throw Object.assign(new Error(`${path} answers ${answer.status}`), { status: answer.status });
  return answer;
}

/** A document that not every daemon has; null where it has not. */
async function maybe(path, parameters) {
  if (state.off[path]) return null;
  try {
    return await (await ask(path, parameters)).json();
  } catch (error) {
    if (![400, 404, 501, 503].includes(error.status)) throw error;
    if (error.status !== 400) state.off[path] = true;
    return null;
  }
}

const OFF = { series: "No history", log: "No log", devices: "No devices", pairs: "No pairs", upstreams: "No upstreams", alarms: "No alarms" };
const NOTHING = "Nothing yet.";
const OLD = "History is off, or not in this build.";
const off = path => note(`${OFF[path]}: ${"upstreams alarms".includes(path) ? "[health]" : "[history]"} is off, or not in this build. Set enable = true to see it here.`);

const scope = () => state.stream === "" ? {} : { stream: state.stream };
const every = ticks => state.tick % ticks === 0;
let timer = 0, busy = false, again = false;

/** One round of requests, one after the other; then the next is planned. */
async function round() {
  clearTimeout(timer);
  if (busy) { again = true; return; }
  if (document.hidden || state.paused || state.refused) return;
  busy = true;
  const { stream, view, query } = state;
  const current = () => stream === state.stream && view === state.view && query === state.query && !state.paused;
  try {
    try {
      if (refresh[view]) await refresh[view](current);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      if (current()) state.gone = true;
    }
    if (every(3)) showSystem(parse(await (await ask("metrics", { only: "dnstapd_,process_" })).text()));
    if (every(3)) state.ready = await (await ask("ready")).text();
    if (every(5)) showStreams((await (await ask("streams")).json()).streams);
    state.lost = null;
    state.failures = 0;
    state.tick++;
  } catch (error) {
    if (error instanceof Refused) state.refused = true;
    else {
      state.lost ??= new Date();
      state.failures++;
      state.tick = 0;
      state.off = {};
    }
  }
  busy = false;
  showState();
  if (again) { again = false; round(); }
  else timer = setTimeout(round, Math.min(TICK * 2 ** Math.min(state.failures, 2), 8000));
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

const refresh = {
  async overview(current) {
    if (every(5) && state.period !== "start") {
      const series = state.stream === "" ? await maybe("series", { period: state.period }) : null;
      if (current()) state.series = series;
    }
    const { counters } = await (await ask("counters", { more: names.join(), ...scope() })).json();
    if (!current()) return;
    state.gone = false;
    take(counters);
    if (every(2)) await tables(current);
    if (every(5)) {
      state.devices = (await maybe("devices", { limit: 1000 }))?.devices ?? null;
      const blocked = await maybe("log", { status: "blocked", limit: 1000, ...scope() });
      const alarms = await maybe("alarms");
      if (current()) showLists(blocked?.log ?? null, alarms?.alarms ?? null);
    }
  },
  async devices(current) {
    if (!every(3)) return;
    state.devices = (await maybe("devices", { limit: 1000 }))?.devices ?? null;
    if (current()) showDevices();
  },
  async log() { await log.poll(); },
  async device(current) {
    if (every(5)) await showDevice(current);
    await log.poll();
  },
  async domain(current) { await refresh.device(current); },
  async health(current) {
    if (!every(2)) return;
    const upstreams = (await maybe("upstreams"))?.upstreams ?? null, alarms = (await maybe("alarms"))?.alarms ?? null;
    const { counters } = await (await ask("counters", { more: "query/unanswered,query,response,response/servfail,response/cached,response/fetched", ...scope() })).json();
    if (current()) showHealth(upstreams, alarms, counters);
  },
};

// ------------ Overview ------------

function overview(main) {
  const tile = make("dl", { id: "figures", class: "figures" });
  main.append(make("section", { "aria-labelledby": "h-now" }, make("h2", { id: "h-now", class: "hidden" }, "At a glance"), tile));
  const grid = (...parts) => main.append(make("div", { class: "grid" }, ...parts));
  const box = id => make("div", { id, class: "plot" }), bars = (id, label) => make("table", { id, class: "bars", "aria-label": label });
  grid(card("rate", "Queries", " ", box("rate"), "wide"), card("latency", "Latency", " ", box("latency"), "wide"));
  grid(card("devices", "Top devices", " ", bars("devices", "Top devices")), card("domains", "Top names", " ", bars("domains", "Top names")),
    card("blocked", "Top blocked", " ", bars("blocked", "Top blocked")));
  grid(card("rcodes", "Response codes", "since start", bars("rcodes", "Response codes")), card("types", "Query types", "since start", bars("types", "Query types")),
    card("tlds", "Top-level domains", "lately", bars("tlds", "Top-level domains")));
  grid(card("countries", "Countries", "lately", bars("countries", "Countries")), card("events", "Last things that happened", "", make("ul", { id: "events", class: "events" }), "whole"));
  $("h-countries").parentElement.hidden = true;
  if (state.samples.length) showCounters(); else blank("Connecting …");
}

/** The counters of now, kept for five minutes. */
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
const rates = name => state.samples.slice(1).map((sample, place) => {
  const before = state.samples[place], passed = (sample.at - before.at) / 1000;
  return passed > 12 ? null : (sample.counters[name] - before.counters[name]) / passed;
});

const sum = list => list.reduce((total, number) => total + (number ?? 0), 0);

function figures(list) {
  each($("figures"), list, () => make("div", {}, make("dt"), make("dd", {}, make("b"), make("small")), make("dd", { class: "note" })),
    (box, [label, number, unit, about]) => {
      say(box.children[0], label);
      say(box.children[1].children[0], number ?? "–");
      say(box.children[1].children[1], number ? unit : "");
      say(box.children[2], about);
    });
}

const split = text => { const [number, unit] = text.split(/\u00a0/); return [number, unit ? "\u00a0" + unit : ""]; };

function showCounters() {
  const last = state.samples.at(-1).counters, series = state.period === "start" || state.stream !== "" ? null : state.series;
  const of = PERIODS[series ? state.period : "start"];
  const asked = series ? sum(series.queries) : last.query, answered = series ? sum(series.responses) : last.response;
  const blocked = series ? sum(series.blocked) : last["response/blocked"] ?? 0, failed = series ? sum(series.servfail) : last["response/servfail"];
  const [median, most, almost] = PERCENTILES.map(name => last[name] ? seconds(last[name]) : null);
  const day = Date.now() / 1000 - 86400, devices = state.devices;
  figures([
    ["Asked, " + of, count(asked), "", `${rate(last.qps)}/s now, ${rate(last["qps-1m"])}/s over 1\u00a0min`],
    ["Blocked, " + of, ...split(percent(answered ? blocked / answered : null)), `${count(blocked)} of ${count(answered)}`],
    ["Answered in, lately", ...split(median ?? "–"), median ? `median; 95\u00a0% in ${most}, 99\u00a0% in ${almost}` : "no latency lately"],
    ["Failed, " + of, ...split(percent(answered ? failed / answered : null)), `SERVFAIL; ${count(last["query/unanswered"] ?? 0)} unanswered since start`],
    devices ? ["Devices", count(devices.length), "", `${count(devices.filter(each => moment(each["first-seen"]) > day).length)} new, ${count(devices.filter(each => moment(each["last-seen"]) < day).length)} quiet in 24 h`]
      : ["Clients, since start", count(last.clients), "", `asked for ${count(last.domains)} names`],
  ]);
  document.title = `${rate(last.qps)} q/s · ${plain(state.stream) || "dnstapd"}`;

  const empty = last.query + last.response ? "Measuring …" : "No messages yet: point a DNS server here";
  if (series) {
    const step = series.step, points = series.queries.length, chunk = Math.ceil(points / 120);
    const ends = Array.from({ length: Math.ceil(points / chunk) }, (_, place) => (series.end - step * Math.max(0, points - (place + 1) * chunk)) * 1000);
    const gather = (list, how) => ends.map((_, place) => { const part = list.slice(place * chunk, place * chunk + chunk).filter(value => value != null); return part.length ? how(part) : null; });
    const [all, stopped, broken] = ["queries", "blocked", "servfail"].map(name => gather(series[name], sum));
    const rest = all.map((value, place) => value == null ? null : Math.max(0, value - (stopped[place] ?? 0) - (broken[place] ?? 0)));
    about("rate", `${of}, each ${span(step * chunk)}`);
    plot($("rate"), ends, [{ label: "Answered", color: "var(--accent)", values: rest }, { label: "Blocked", color: "var(--second)", values: stopped }, { label: "Failed", color: "var(--bad)", values: broken }], { stack: true, empty });
    about("latency", chunk > 1 ? `${of}, the worst of each ${span(step * chunk)}` : of);
    // 0 says that nothing was answered then.
    const worst = name => gather(series[name].map(value => value || null), part => Math.max(...part));
    plot($("latency"), ends, [{ label: "Median", color: "var(--accent)", values: worst("latency-p50") }, { label: "95 %", color: "var(--second)", dash: "5 4", values: worst("latency-p95") }], { format: seconds, empty });
  } else {
    const dates = state.samples.slice(1).map(sample => +sample.date);
    const why = state.stream !== "" ? ", this stream" : state.off.series ? ", history is off" : "";
    about("rate", "a second, last 5 minutes" + why);
    plot($("rate"), dates, [{ label: "Queries", color: "var(--accent)", values: rates("query") }, { label: "Responses", color: "var(--second)", dash: "5 4", values: rates("response") }], { format: rate, empty });
    about("latency", "last 5 minutes" + why);
    plot($("latency"), dates, PERCENTILES.map((name, place) => ({ label: ["Median", "95 %", "99 %"][place], color: ["var(--accent)", "var(--second)", "var(--faint)"][place], dash: ["", "5 4", "2 3"][place],
      values: state.samples.slice(1).map(sample => sample.counters[name] || null) })), { format: seconds, empty: last.response ? "No response had a latency lately" : "No responses yet" });
  }
  bars($("rcodes"), "Code", "response", "response/", RCODES, last, code => address("log", { rcode: code }));
  const way = last.query >= last.response ? "query" : "response";
  bars($("types"), "Type", way, way + "/", TYPES, last, type => address("log", { type }));
}

const span = number => number < 3600 ? `${number / 60} min` : number === 3600 ? "hour" : `${number / 3600} h`;
const about = (id, text) => $("h-" + id) && say($("h-" + id).querySelector("small"), text);

/** Shows no numbers. */
function blank(empty) {
  figures(["Asked", "Blocked", "Answered in", "Failed", "Clients"].map(label => [label, null, "", "\u00a0"]));
  for (const id of ["rate", "latency"]) plot($(id), [], [], { empty });
  for (const id of ["rcodes", "types", "devices", "domains", "blocked", "tlds"]) ranking($(id), "Name", []);
}

async function tables(current) {
  let answer;
  try {
    answer = await ask("tables", { n: ROWS, ...state.flag && { more: state.flag }, ...scope() });
  } catch (error) {
    if (error.status !== 400 || !state.flag) { if (error.status === 501) return; throw error; }
    // hit/query is not tracked: the first table of names that is
    state.flag = "";
    answer = await ask("tables", { n: ROWS, ...scope() });
  }
  const { tables, "not-kept": limit } = await answer.json();
  if (!current() || !$("domains")) return;
  const flags = Object.keys(tables.domains), flag = flags.includes("hit/query") ? "hit/query" : flags.find(each => tables.domains[each].length) ?? flags[0];
  about("domains", flag === "hit/query" ? "by queries, lately" : `${flag ?? "none kept"}, lately`);
  const kept = limit && `Not kept for this stream: the first ones have tables of their own, as many as ${limit} says.`;
  ranking($("domains"), "Name", (tables.domains[flag] ?? []).map(([name, number]) => [domain(name), number, address("domain", { name: bare(name) })]), 0, kept);
  if (!state.devices) {
    about("devices", "clients, lately");
    ranking($("devices"), "Address", tables.clients["hit/ip"].map(([name, number]) => [name, number, address("device", { client: name })]), 0, kept);
  }
  const tail = name => name.replace(/^(query|response)\//, "");
  ranking($("tlds"), "Domain", tables.tlds["hit/query"].map(([name, number]) => [tail(name), number, address("log", { name: tail(name) })]), 0, kept);
  $("h-countries").parentElement.hidden = !tables.countries;
  if (tables.countries) ranking($("countries"), "Country", tables.countries["hit/query"].map(([name, number]) => [plain(tail(name)), number]), 0, kept);
  for (const [group, flags] of Object.entries(tables)) {
    for (const [flag, rows] of KNOWN_TABLES.includes(group) ? [] : Object.entries(flags)) {
      const id = `${group}/${flag}`;
      if (!$(id)) $("h-countries").parentElement.parentElement.append(card(id, id, "lately", make("table", { id, class: "bars" })));
      ranking($(id), "Name", rows.map(([name, number]) => [plain(tail(name)), number]), 0, kept);
    }
  }
}

// Groups of tables that have a place of their own; any other table is one more card.
const KNOWN_TABLES = ["domains", "clients", "tlds", "rcodes", "rrtypes", "countries"];

function showLists(blocked, alarms) {
  if (!$("blocked")) return;
  if (state.devices) {
    about("devices", "since first seen");
    ranking($("devices"), "Device", state.devices.slice(0, ROWS).map(each => [each.name ? plain(each.name) : each.addresses[0], each.queries, address("device", { client: each.name ?? each.addresses[0] })]));
  }
  about("blocked", blocked?.length ? `of the last ${count(blocked.length)} blocked` : "");
  ranking($("blocked"), "Name", tally(blocked ?? [], row => row.qname).map(([name, number]) => [domain(name), number, address("domain", { name: bare(name) })]), 0,
    blocked ? "Nothing was blocked." : "History is off: what is blocked is counted, not listed.");
  events($("events"), (alarms ?? []).slice(0, 8), alarms ? "No alarms." : "Alarms are off, or not in this build.");
}

/** How often each word is there, the most frequent first. */
function tally(rows, word) {
  const sums = {};
  for (const row of rows) sums[word(row)] = (sums[word(row)] ?? 0) + 1;
  return Object.entries(sums).sort((a, b) => b[1] - a[1]).slice(0, ROWS);
}

/** The name of a device, if it has one. */
const called = address => state.devices?.find(each => each.addresses.includes(address))?.name ?? address;

/** Where the exchanges are that an alarm is about. */
function evidence({ kind, subject }) {
  if (kind.endsWith("burst")) return address("log", { rcode: kind.split("-")[0] });
  if (kind === "slow-upstream") return address("health");
  return "new-device resolver-bypass".includes(kind) ? address("device", { client: subject }) : address("domain", { name: bare(subject) });
}

function events(list, alarms, empty) {
  each(list, alarms.length ? alarms : [null], () => make("li", {}, make("time"), make("a")), (item, alarm) => {
    say(item.firstChild, alarm ? when(alarm.last) : "");
    say(item.lastChild, alarm ? `${alarm.kind}: ${plain(alarm.text).replace(plain(alarm.subject), () => called(domain(alarm.subject)))}` : empty);
    if (alarm) item.lastChild.href = evidence(alarm); else item.lastChild.removeAttribute("href");
  });
}

function bars(table, head, total, prefix, keys, counters, href) {
  const all = counters[total];
  const rows = keys.map(key => [key.toUpperCase(), counters[prefix + key] ?? 0, href(key.toUpperCase())]).filter(row => row[1] > 0).sort((a, b) => b[1] - a[1]);
  const shown = rows.length > 8 ? rows.slice(0, 7) : rows, rest = all - sum(shown.map(row => row[1]));
  if (rest > 0 && all) shown.push(["Other", rest]);
  ranking(table, head, shown, all);
}

/** Fills a table: name with a bar behind it, number, and share if the whole is known. */
function ranking(table, head, rows, all = 0, empty = NOTHING) {
  if (!table) return;
  if (!table.tHead) {
    table.createTHead().append(make("tr", {}, make("th", { scope: "col" }), make("th", { scope: "col", class: "count" }, "Count"), make("th", { scope: "col", class: "share" }, "Share")));
    table.createTBody();
  }
  const body = table.tBodies[0];
  say(table.tHead.rows[0].cells[0], head);
  table.tHead.rows[0].cells[2].hidden = !all;
  table.classList.toggle("bare", !rows.length);
  if (!rows.length) return body.replaceChildren(make("tr", { class: "none" }, make("td", { colSpan: 3 }, empty)));
  if (body.rows[0]?.className === "none") body.replaceChildren();
  const most = Math.max(...rows.map(row => row[1]));
  each(body, rows, () => make("tr", {}, make("th", { scope: "row" }, make("a")), make("td", { class: "count" }), make("td", { class: "share" })), (row, [name, number, href]) => {
    const [head, counter, share] = row.cells;
    say(head.firstChild, name);
    href ? head.firstChild.href = href : head.firstChild.removeAttribute("href");
    head.title = name.length > 24 ? name : "";
    head.style.setProperty("--part", (100 * number / most).toFixed(1) + "%");
    say(counter, count(number));
    say(share, all ? percent(number / all) : "");
    share.hidden = !all;
  });
}

// ------------ Plots ------------

/** The next 1, 2, 2.5 or 5 of a power of ten. */
function ceiling(number) {
  if (!(number > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return power * [1, 2, 2.5, 5, 10].find(step => step * power >= number * .9999);
}

/** Lines, or bands one above the other, over time; `times` are milliseconds. */
function plot(box, times, series, options) {
  if (!box) return;
  box.last = [times, series, options];
  if (!box.firstChild) {
    box.append(draw("svg", { role: "img", tabindex: 0 }), make("ul", { class: "legend" }));
    const svg = box.firstChild, again = at => { box.pointed = at; plot(box, ...box.last); };
    for (const event of ["pointermove", "pointerdown"]) on(svg, event, event => again(event.offsetX));
    for (const event of ["pointerleave", "blur"]) on(svg, event, () => again(null));
    on(svg, "keydown", event => {
      const step = { ArrowLeft: -6, ArrowRight: 6 }[event.key];
      if (!step) return;
      event.preventDefault();
      again(Math.min(svg.clientWidth - 1, Math.max(52, (box.pointed ?? svg.clientWidth) + step)));
    });
    new ResizeObserver(() => plot(box, ...box.last)).observe(svg);
  }
  const [svg, legend] = box.children, width = svg.clientWidth, height = svg.clientHeight, format = options.format ?? short;
  const left = 52, right = width - 2, top = 8, bottom = height - 22, points = times.length;
  const tops = times.map((_, place) => options.stack ? sum(series.map(({ values }) => values[place])) : Math.max(0, ...series.map(({ values }) => values[place] ?? 0)));
  const known = series.some(({ values }) => values.some(value => value != null && (value || !options.stack))), most = Math.max(options.format ? 0 : 5, ceiling(Math.max(0, ...tops)));
  const lines = /^0*[.]?0*[12]0*$/.test(most) && most !== 10 ? 4 : 5;
  const [first, last] = [times[0] ?? 0, times.at(-1) ?? 1], x = at => left + (at - first) / Math.max(1, last - first) * (right - left), y = value => bottom - value / most * (bottom - top);
  const parts = [];
  for (let line = 0; line <= lines; line++) {
    const at = y(most * line / lines);
    parts.push(draw("line", { class: "rule", x1: left, x2: right, y1: at, y2: at }));
    if (known) parts.push(draw("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, line ? format(most * line / lines) : "0"));
  }
  if (points > 1) for (let step = 0; step <= 4; step += width < 420 ? 2 : 1) {
    const at = first + (last - first) * step / 4, date = new Date(at), long = last - first > 2 * 86400000;
    parts.push(draw("text", { x: x(at), y: height - 4, "text-anchor": step === 0 ? "start" : step === 4 ? "end" : "middle" },
      long ? date.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : date.toLocaleTimeString("en-GB", last - first < 600000 ? {} : { hour: "2-digit", minute: "2-digit" })));
  }
  let floor = times.map(() => 0);
  for (const { values, color, dash } of series) {
    const upper = options.stack ? values.map((value, place) => floor[place] + (value ?? 0)) : values;
    for (let from = 0; from < points; from++) {
      if (values[from] == null) continue;
      let to = from;
      while (to + 1 < points && values[to + 1] != null) to++;
      // A point that stands alone is as wide as its slot.
      const wide = from === to ? Math.max(4, (right - left) / points / 2) : 0, shifts = wide ? [-wide, wide] : [0];
      const run = Array.from({ length: to - from + 1 }, (_, place) => from + place), corner = (place, list, shift) => `${Math.min(right, Math.max(left, x(times[place]) + shift)).toFixed(1)},${y(list[place]).toFixed(1)}`;
      const trace = list => run.flatMap(place => shifts.map(shift => corner(place, list, shift)));
      if (options.stack) parts.push(draw("path", { d: `M${trace(upper).join("L")}L${trace(floor).reverse().join("L")}Z`, style: { fill: color } }));
      else parts.push(draw("path", { class: "line", d: "M" + trace(values).join("L"), style: { stroke: color, strokeDasharray: dash ?? "" } }));
      from = to;
    }
    if (options.stack) floor = upper;
  }
  if (!known) parts.push(draw("text", { class: "none", x: (left + right) / 2, y: (top + bottom) / 2, "text-anchor": "middle" }, options.empty ?? NOTHING));
  let place = points - 1;
  if (box.pointed != null && points) {
    place = times.reduce((best, at, place) => Math.abs(x(at) - box.pointed) < Math.abs(x(times[best]) - box.pointed) ? place : best, 0);
    parts.push(draw("line", { class: "cross", x1: x(times[place]), x2: x(times[place]), y1: top, y2: bottom }));
  }
  svg.replaceChildren(...parts);
  const title = box.parentElement.querySelector("h2")?.textContent ?? "";
  svg.setAttribute("aria-label", known ? `${title}. ` + series.map(({ label, values }) => `${label}: last ${format(values[points - 1] ?? 0)}, most ${format(Math.max(0, ...values.map(value => value ?? 0)))}`).join("; ") : `${title}. ${options.empty ?? NOTHING}`);
  each(legend, series, () => make("li", {}, make("i"), make("span"), make("b")), (item, { label, color, values }) => {
    item.firstChild.style.background = color;
    say(item.children[1], label);
    say(item.children[2], known && values[place] != null ? format(values[place]) : "–");
  });
  if (box.pointed != null && points) legend.append(make("li", {}, when(times[place] / 1000)));
}

// ------------ Log ------------

const filled = filters => Object.fromEntries(Object.entries(filters).filter(([, value]) => value));
const FILTERS = ["client", "name", "type", "rcode", "status", "protocol", "min-latency", "since", "until"];

const who = row => row.device && row.device !== "-" ? row.device : row["query-ip"];
/** What may be left out: by a click of the other button on a cell. */
const CELLS = { client: who, type: row => row.rrtype, name: row => bare(row.qname), status: row => row.status, rcode: row => row.rcode };
const wordOf = (key, row) => `${key}:${encodeURIComponent(CELLS[key](row))}`;
const valueOf = word => { try { return decodeURIComponent(word.slice(word.indexOf(":") + 1)); } catch { return word; } };

const keyOf = row => row.timestamp + row.qname + row.rrtype + row["query-ip"];

/** The rows of the log: all in an array, those on screen in the document. */
const log = {
  rows: [], next: null, fresh: 0, source: null, box: null, filters: {}, without: [], busy: false, chosen: -1,
  open(parent, filters, without = []) {
    Object.assign(this, { rows: [], next: null, fresh: 0, filters, without, busy: false, chosen: -1, failed: false, ready: false, caught: new Set(), waits: new Map(), queue: [] });
    this.box = make("div", { class: "log", tabIndex: 0, role: "log", "aria-label": "Exchanges, newest first", "aria-live": "off" }, make("div", { class: "space" }));
    this.news = make("button", { type: "button", class: "fresh", hidden: true, onclick: () => { this.box.scrollTop = 0; this.draw(); } });
    on(this.box, "scroll", () => this.draw(), { passive: true });
    parent.append(this.news, this.box);
    const box = this.box;
    this.more().then(() => { if (box === this.box) { this.ready = true; this.listen(); } });
  },
  close() {
    this.source?.close();
    this.source = this.box = null;
  },
  words() { return { ...filled(this.filters), ...scope() }; },
  kept(rows) { return this.without.length ? rows.filter(row => !Object.keys(CELLS).some(key => this.without.includes(wordOf(key, row)))) : rows; },
  leave(words) { go("log", { ...filled(this.filters), ...words.length && { not: words.join() } }); },
  /** Those that wait for a response are completed where they are. */
  note(rows) {
    for (const row of rows) if (row.status === "pending") this.waits.set(keyOf(row), row);
    return rows;
  },
  /** Whether it is one that waited, which it is no more. */
  completes(row) {
    const key = keyOf(row), old = row.status !== "pending" && this.waits.get(key);
    if (old) { this.waits.delete(key); Object.assign(old, row); }
    return old;
  },
  async more() {
    if (this.busy || !this.box || this.rows.length && !this.next || this.rows.length >= KEPT) return;
    this.busy = true;
    const box = this.box;
    try {
      const answer = await maybe("log", { ...this.words(), limit: this.next ? 1000 : 300, ...this.next && { before: this.next } });
      if (box !== this.box) return;
      if (answer) { this.rows.push(...this.note(this.kept(answer.log))); this.next = answer.next; this.cut(); }
      else if (state.off.log) { box.replaceWith(off("log")); this.close(); }
      else this.failed = true;
    } catch (error) {
      if (error instanceof Refused) state.refused = true;
    } finally { if (box === this.box || !this.box) this.busy = false; }
    this.draw();
  },
  listen() {
    if (!this.ready || state.paused || document.hidden || state.off.live || !this.box || this.source) return;
    this.source = new EventSource(here + "live?" + new URLSearchParams(this.words()));
    on(this.source, "open", () => this.latest()); // what came before it was open
    // What `latest` found comes once more, when the server opened the stream before it answered.
    on(this.source, "record", event => {
      this.queue.push(JSON.parse(event.data));
      // All that came until the next picture are drawn at once.
      if (this.queue.length === 1) requestAnimationFrame(() => this.add(this.queue.splice(0).filter(row => !this.completes(row) && !this.caught.delete(keyOf(row)))));
    });
    on(this.source, "gap", event => tell(`${plural(JSON.parse(event.data).missed, "exchange")} passed faster than this page could show.`));
    this.source.onerror = () => { this.source?.close(); this.source = null; state.off.live = true; };
  },
  /** Every two seconds, where live reading does not work; that is tried again now and then. */
  poll() {
    if (!this.ready || this.source) return;
    if (every(5)) state.off.live = false;
    this.listen();
    return this.latest();
  },
  async latest(limit = 100) {
    const box = this.box, answer = await maybe("log", { ...this.words(), limit });
    if (box !== this.box) return;
    if (!answer) { if (state.off.log && box) { box.replaceWith(off("log")); this.close(); } return; }
    const known = new Set(this.rows.slice(0, 2000).map(keyOf)), rows = answer.log.filter(row => !this.completes(row) && !known.has(keyOf(row)));
    if (rows.length === limit && known.size && limit < 1000) return this.latest(1000);
    this.caught = new Set(rows.map(keyOf));
    this.add(rows.reverse());
  },
  add(rows) {
    rows = this.note(this.kept(rows));
    if (!this.box) return;
    const top = this.box.scrollTop < 20, height = this.height();
    this.rows.unshift(...rows.reverse());
    this.cut();
    if (!top) { this.fresh += rows.length; this.box.scrollTop += rows.length * height; }
    this.draw();
  },
  /** What is older than these is found by a time. */
  cut() { for (const row of this.rows.splice(KEPT)) { this.next = null; this.waits.delete(keyOf(row)); } },
  height() { return matchMedia("(max-width: 720px)").matches ? 52 : 28; },
  draw() {
    if (!this.box) return;
    const height = this.height(), box = this.box, space = box.firstChild, from = Math.max(0, Math.floor(box.scrollTop / height) - 5), to = Math.min(this.rows.length, from + Math.ceil(box.clientHeight / height) + 10);
    if (box.scrollTop < 20) this.fresh = 0;
    this.news.hidden = !this.fresh;
    say(this.news, `${count(this.fresh)} new`);
    space.style.height = Math.max(this.rows.length * height, 40) + "px";
    if (!this.rows.length) return space.replaceChildren(note(this.busy ? "Loading …" : this.failed ? "A filter is not understood." : "Nothing matches yet."));
    if (space.querySelector(".empty")) space.replaceChildren();
    each(space, this.rows.slice(from, to), () => make("div", { class: "row" }, make("button", { type: "button" }), ...Array.from({ length: 6 }, () => make("a"))), (item, row, place) => {
      const number = from + place;
      item.style.transform = `translateY(${number * height}px)`;
      item.classList.toggle("chosen", number === this.chosen);
      const [when, client, type, name, status, answer, latency] = item.children, date = new Date(row.timestamp);
      say(when, isNaN(date) ? "–" : date.toLocaleTimeString("en-GB") + "." + String(date.getMilliseconds()).padStart(3, "0"));
      when.title = row.timestamp;
      when.onclick = () => this.detail(row);
      const cell = (element, text, view, query, style = "") => { say(element, text); element.href = address(view, query); element.title = text; element.className = style; };
      Object.entries({ client, type, name, status, rcode: answer }).forEach(([key, element]) => { element.oncontextmenu = event => { event.preventDefault(); this.leave([...this.without, wordOf(key, row)]); }; });
      cell(client, plain(who(row)), "device", { client: who(row) });
      cell(type, row.rrtype, "log", { ...this.filters, type: row.rrtype });
      cell(name, domain(row.qname), "domain", { name: bare(row.qname) });
      cell(status, row.status, "log", { ...this.filters, status: row.status }, "status " + row.status);
      cell(answer, row.answer && row.answer !== "-" ? row.answer : row.rcode, "log", { ...this.filters, rcode: row.rcode });
      cell(latency, row.latency === "-" ? "" : seconds(+row.latency), "log", { ...this.filters, "min-latency": row.latency });
    });
    if (to > this.rows.length - 50 && this.next) this.more();
  },
  move(step) {
    if (!this.box || !this.rows.length) return;
    this.chosen = Math.max(0, Math.min(this.rows.length - 1, this.chosen + step));
    const height = this.height(), at = this.chosen * height;
    if (at < this.box.scrollTop) this.box.scrollTop = at;
    if (at + height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = at + height - this.box.clientHeight;
    this.draw();
  },
  detail(row) {
    const at = Date.parse(row.timestamp), near = ms => new Date(at + ms).toISOString();
    dialog("One exchange", make("dl", { class: "pairs" }, ...Object.entries(row).flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, key === "qname" ? domain(value) : key === "latency" && value !== "-" ? seconds(+value) : plain(String(value)))])),
      isNaN(at) ? null : make("p", {}, link("What else this device asked then", "log", { client: row["query-ip"], since: near(-30000), until: near(30000) }, { onclick: () => $("dialog").close() })));
  },
};

function logView(main) {
  const filters = Object.fromEntries(FILTERS.map(name => [name, state.query.get(name) ?? ""]));
  const input = (name, label, keys = {}) => make("label", {}, make("span", {}, label), make("input", { name, value: filters[name], autocomplete: "off", spellcheck: false, ...keys }));
  const choice = (name, label, list) => make("label", {}, make("span", {}, label), make("select", { name }, make("option", { value: "" }, "any"),
    ...[...new Set([...list, filters[name]])].filter(Boolean).map(value => make("option", { value, selected: value === filters[name] }, value))));
  const form = make("form", { class: "filters", onsubmit: event => { event.preventDefault(); apply(); } },
    input("client", "Device"), input("name", "Name"), choice("type", "Type", TYPES.map(type => type.toUpperCase())), choice("rcode", "Code", RCODES.map(code => code.toUpperCase())),
    choice("status", "Status", STATUSES), input("min-latency", "Slower than, s", { inputMode: "decimal" }), input("since", "From", { placeholder: "-3600" }), input("until", "To"));
  const without = (state.query.get("not") ?? "").split(",").filter(Boolean), not = without.length ? { not: without.join() } : {};
  const apply = () => go("log", { ...Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim())), ...not });
  on(form, "change", apply);
  let wait = 0;
  on(form, "input", event => { clearTimeout(wait); if (event.target.tagName === "INPUT") wait = setTimeout(() => typed(form, filters, not), 400); });
  const csv = make("a", { class: "button", href: here + "log?" + new URLSearchParams({ ...filled(filters), ...scope(), format: "csv", limit: 0 }), download: "dnstapd.csv" }, "CSV");
  if (without.length) csv.onclick = event => { event.preventDefault(); saveWithout(csv.href); };
  form.append(make("button", { type: "button", onclick: () => go("log", {}) }, "Clear"), csv, ...without.map(word => make("button", { type: "button", title: "Show it again", onclick: () => log.leave(without.filter(each => each !== word)) },
    "not " + plain(valueOf(word)) + " ×")));
  main.append(make("h2", { class: "hidden" }, "Log"), form);
  log.open(main, filters, without);
}

/** Saves a CSV of the daemon less what is left out here: no parameter says so. */
async function saveWithout(url) {
  try {
    const [head, ...lines] = (await (await fetch(url, { cache: "no-store" })).text()).split("\r\n"), keys = head.split(",");
    const cells = line => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, text]) => text.replace(/^"'?|"$/g, "").replaceAll('""', '"'));
    const kept = lines.filter(line => { const values = cells(line); return log.kept([Object.fromEntries(keys.map((key, place) => [key, values[place] ?? "-"]))]).length; });
    const file = URL.createObjectURL(new Blob([[head, ...kept].join("\r\n")], { type: "text/csv" }));
    make("a", { href: file, download: "dnstapd.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(file), 60000);
  } catch { tell("The log could not be exported."); }
}

/** Search as one types: the address follows, the field keeps its focus. */
function typed(form, filters, not) {
  for (const [name, value] of new FormData(form)) filters[name] = value.trim();
  state.query = new URLSearchParams({ ...filled(filters), ...not });
  history.replaceState(null, "", address("log", Object.fromEntries(state.query)));
  const main = $("main");
  log.close();
  while (main.lastChild !== form) main.lastChild.remove();
  log.open(main, filters, log.without);
}

// ------------ Devices ------------

function devicesView(main) {
  main.append(card("list", "Devices", "since first seen; a click on a heading sorts", make("table", { id: "devicelist", class: "wide-table" }), "whole"));
}

let order = "queries";

function showDevices() {
  const table = $("devicelist");
  if (!table) return;
  if (!state.devices) return table.replaceWith(off("devices"));
  const columns = [["name", "Device"], ["queries", "Queries"], ["blocked", "Blocked"], ["first-seen", "First seen"], ["last-seen", "Last seen"]];
  const value = (device, key) => key === "name" ? device.name ?? device.addresses[0] : device[key];
  const rows = [...state.devices].sort((a, b) => order === "name" ? String(value(a, order)).localeCompare(value(b, order)) : value(b, order) > value(a, order) ? 1 : -1);
    table.replaceChildren(make("thead", {}, make("tr", {}, ...columns.map(([key, title]) => make("th", { scope: "col", class: key === "name" ? "" : "count", "aria-sort": key === order ? "descending" : "none" },
    make("button", { type: "button", class: "plain", onclick: () => { order = key; showDevices(); } }, title))))),
    make("tbody", {}, ...rows.map(device => make("tr", {}, make("th", { scope: "row" }, link(plain(value(device, "name")), "device", { client: value(device, "name") }), device.name && make("small", {}, device.addresses[0])),
      make("td", { class: "count" }, count(device.queries)), make("td", { class: "count" }, count(device.blocked)),
      make("td", { class: "count" }, when(device["first-seen"])), make("td", { class: "count" }, when(device["last-seen"]))))));
  if (!rows.length) table.replaceChildren(make("tbody", {}, make("tr", { class: "none" }, make("td", {}, "No device has asked yet."))));
}

const LAST = "of the last 1,000";
/** What the last exchanges of a device, or of a domain, have: a table each. */
const TALLIES = { client: [["rcode", "Code"], ["rrtype", "Type"], ["protocol", "Protocol"]], name: [["rcode", "Code"], ["rrtype", "Type"], ["qname", "Name"]] };

/** One device, or one domain. */
function deviceView(main) {
  const key = state.view === "device" ? "client" : "name", subject = state.query.get(key) ?? "";
  main.append(make("div", { class: "title" }, make("h2", {}, state.view === "device" ? plain(subject) : domain(subject)), make("p", { id: "facts" })));
  main.append(make("div", { class: "grid" }, card("day", "Its day", "by the hour, of the last 1,000 exchanges", make("div", { id: "day", class: "plot" }), "wide"),
    card("pairs", key === "client" ? "Top names" : "Devices that ask", "since start", make("table", { id: "pairs", class: "bars" }), "quarter"),
    card("errors", "Failed and blocked", LAST, make("table", { id: "errors", class: "bars" }), "quarter"),
    ...TALLIES[key].map(([id, title]) => card(id, title + "s", LAST, make("table", { id, class: "bars" })))));
  main.append(make("h3", {}, "Log"));
  log.open(main, { [key]: subject });
}

async function showDevice(current) {
  const key = state.view === "device" ? "client" : "name", subject = state.query.get(key) ?? "";
  state.devices = (await maybe("devices", { limit: 1000 }))?.devices ?? null;
  if (key === "client") {
    const device = state.devices?.find(each => each.name === subject || each.addresses.includes(subject));
    if (!current()) return;
        if (device) say($("facts"), [device.addresses.join(", "), device.mac && "MAC " + device.mac, `first seen ${when(device["first-seen"])}, last ${when(device["last-seen"])}`, `${count(device.queries)} queries, ${count(device.blocked)} blocked`,
      !device.name && `to name it: [names.static] "${device.mac ?? device.addresses[0]}" = "name"`].filter(Boolean).join(" · "));
    else if (state.devices) say($("facts"), "It has not asked yet.");
  }
  const pairs = await maybe("pairs", { [key]: subject, n: ROWS }), day = await maybe("log", { [key]: subject, since: -86400, limit: 1000 });
  if (!current() || !$("pairs")) return;
  const list = pairs?.names ?? pairs?.clients ?? [], to = (name, isName) => address(isName ? "domain" : "device", isName ? { name: bare(name) } : { client: name });
  const rows = (list, isName) => list.map(([name, number]) => [isName ? domain(name) : plain(called(name)), number, to(name, isName)]);
  ranking($("pairs"), key === "client" ? "Name" : "Device", rows(list, key === "client"), 0, pairs ? undefined : "Not kept by this daemon.");
  const hours = Array.from({ length: 24 }, (_, place) => Math.ceil(Date.now() / 3600000) * 3600000 - (23 - place) * 3600000), bins = hours.map(() => 0), stopped = hours.map(() => 0);
  const last = day?.log ?? [], failed = last.filter(row => ["error", "blocked", "unanswered"].includes(row.status));
  for (const [id, title] of TALLIES[key]) ranking($(id), title, tally(last, row => row[id]).map(([word, number]) => [id === "qname" ? domain(word) : word, number, id === "qname" ? to(word, true) : address("log", { [key]: subject, [id === "rrtype" ? "type" : id]: word })]), last.length, day ? NOTHING : OLD);
  for (const row of last) {
    const place = 23 - Math.floor((hours[23] - Date.parse(row.timestamp)) / 3600000);
    if (place in bins) (row.status === "blocked" ? stopped : bins)[place]++;
  }
  ranking($("errors"), key === "client" ? "Name" : "Device", rows(tally(failed, row => key === "client" ? row.qname : row["query-ip"]), key === "client"), 0, day ? "None." : "Not kept by this daemon.");
  plot($("day"), hours, last.length ? [{ label: "Asked", color: "var(--accent)", values: bins }, { label: "Blocked", color: "var(--second)", values: stopped }] : [], { stack: true, empty: day ? "Nothing in the last day" : OLD });
}

// ------------ Health ------------

function health(main) {
  main.append(make("div", { class: "grid" }, card("upstreams", "Upstreams", "since start", make("div", { id: "upstreams" }), "whole"),
    card("loss", "Unanswered and failed", "since start", make("dl", { id: "loss", class: "pairs" }), "half"), card("alarms", "Alarms", "", make("ul", { id: "alarms", class: "events" }), "half")));
}

function showHealth(upstreams, alarms, counters) {
  if (!$("upstreams")) return;
  const columns = [["queries", "Asked", count], ["timeouts", "Timeouts", count], ["servfail", "SERVFAIL", count], ["latency-p50", "Median", seconds], ["latency-p95", "95 %", seconds]];
  $("upstreams").replaceChildren(!upstreams ? off("upstreams") : !upstreams.length ? note("No resolver or forwarder messages yet.") : make("table", { class: "wide-table" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Server"), ...columns.map(([, title]) => make("th", { scope: "col", class: "count" }, title)))),
    make("tbody", {}, ...upstreams.map(each => make("tr", {}, make("th", { scope: "row" }, each.server + (each.port && each.port !== 53 ? " port " + each.port : ""), make("small", {}, plain(each.stream ?? ""))),
      ...columns.map(([key, , show]) => make("td", { class: "count" }, show(each[key]))))))));
  const share = (part, all) => `${count(part ?? 0)} (${percent(all ? (part ?? 0) / all : null)})`;
  const hits = counters["response/cached"], known = hits + counters["response/fetched"];
  $("loss").replaceChildren(...[["Unanswered queries", share(counters["query/unanswered"], counters.query)],
    ["Cached", known ? share(hits, known) : "unknown"], ["SERVFAIL", share(counters["response/servfail"], counters.response)]].flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]));
  events($("alarms"), alarms ?? [], alarms ? "No alarms." : "Alarms are off, or not in this build.");
}

// ------------ System ------------

function system(main) {
  main.append(make("div", { class: "grid" }, card("inputs", "Inputs", "since start", make("ul", { id: "inputs", class: "health" }), "half"), card("outputs", "Outputs", "since start", make("ul", { id: "outputs", class: "health" }), "half"),
    card("losses", "Losses", "since start", make("ul", { id: "losses", class: "losses" }, make("li", {}, "Not known yet.")), "half"), card("process", "Process", "", make("dl", { id: "process", class: "pairs" }), "half")));
}

function showSystem(samples) {
  const all = name => samples.filter(sample => sample.name === name);
  const total = (name, labels = {}) => sum(all(name).filter(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value)).map(sample => sample.value));
  const reasons = (name, labels = {}) => all(name).filter(sample => sample.value > 0 && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .map(sample => `${count(sample.value)} ${(sample.labels.reason ?? sample.labels.filter).replaceAll("_", " ")}`).join(", ");
  const started = total("process_start_time_seconds");
  if (state.started && started && started !== state.started) {
    tell(`The daemon was restarted at ${time(new Date(started * 1000))}.`);
    state.samples = [];
  }
  state.started = started || state.started;
  const build = all("dnstapd_build_info")[0]?.labels ?? {}, memory = total("process_resident_memory_bytes"), processor = total("process_cpu_seconds_total"), uptime = started && Date.now() / 1000 - started;
  const words = [`dnstapd ${build.version ?? ""}`, started && `up ${duration(uptime)}`, memory && `${bytes(memory)} of memory`, total("dnstapd_sample_rate") > 1 && `one message in ${count(total("dnstapd_sample_rate"))} is counted`, "? for keys"];
  each($("daemon"), words.filter(Boolean), () => make("span"), say);
  if (!$("inputs")) return;
  fill($("inputs"), all("dnstapd_frames_total").map(({ labels: { input }, value }) => {
    const rejected = total("dnstapd_rejected_total", { input }), refused = total("dnstapd_connections_refused_total", { input });
    return { name: input, values: [["Messages", count(total("dnstapd_received_total", { input }))], ["Frames", count(value)], ["Connections", count(total("dnstapd_connections", { input }))], ["Read", bytes(total("dnstapd_input_bytes_total", { input }))],
      ["Rejected", rejected ? `${count(rejected)} (${reasons("dnstapd_rejected_total", { input })})` : "0", rejected > 0], ["Refused", refused ? reasons("dnstapd_connections_refused_total", { input }) : "0", refused > 0]] };
  }), "No input is on.");
  fill($("outputs"), all("dnstapd_output_delivered_total").map(({ labels: { output }, value }) => {
    const dropped = total("dnstapd_output_dropped_total", { output }), waiting = total("dnstapd_output_queued", { output });
    return { name: output, up: total("dnstapd_output_connected", { output }) > 0, values: [["Delivered", count(value)], ["Dropped", dropped ? `${count(dropped)} (${reasons("dnstapd_output_dropped_total", { output })})` : "0", dropped > 0],
      ["Waiting", waiting ? `${count(waiting)}, ${bytes(total("dnstapd_output_queue_bytes", { output }))}` : "0"], ["Reconnected", count(total("dnstapd_output_reconnects_total", { output }))]] };
  }), "No output is on: messages are only counted.");
  const losses = [["dnstapd_output_dropped_total", "record", "dropped by outputs"], ["dnstapd_rejected_total", "frame", "rejected"], ["dnstapd_malformed_total", "message", "with a broken DNS payload, counted all the same"],
    ["dnstapd_sniffer_kernel_drops_total", "packet", "dropped by the kernel before the sniffer read them"], ["dnstapd_log_dropped_total", "line", "of the log dropped"]]
    .map(([name, word, text]) => [total(name), name, word, text]).filter(([number]) => number > 0)
    .map(([number, name, word, text]) => `${plural(number, word)} ${text}${/output|rejected|malformed/.test(name) && reasons(name) ? ` (${reasons(name)})` : ""}`);
  const evicted = total("dnstapd_evicted_total", { table: "streams" });
  if (evicted) losses.push(`${plural(evicted, "message")} of identities beyond the table of streams, counted together`);
  each($("losses"), losses.length ? losses : ["Nothing was lost."], () => make("li"), (item, line) => { say(item, line); item.className = losses.length ? "warn" : "good"; });
  $("process").replaceChildren(...[["Version", build.version], ["Built for", build.target], ["Features", build.features?.replaceAll(",", ", ")], ["Memory", bytes(memory)], ["Processor", `${processor.toFixed(1)} s, ${percent(uptime ? processor / uptime : null)} of one`],
    ["Descriptors", count(total("process_open_fds"))], ["Started", started ? when(started) : "–"]].flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value ?? "–")]));
}

/** Inputs or outputs, each with its numbers. */
function fill(list, items, nothing) {
  if (!items.length) return list.replaceChildren(make("li", {}, nothing));
  if (!list.querySelector("h3")) list.replaceChildren();
  each(list, items, () => make("li", {}, make("h3", {}, make("span"), make("span")), make("dl")), (item, { name, up, values }) => {
    const [title, pill] = item.firstChild.children;
    say(title, name);
    pill.hidden = up === undefined;
    pill.className = "pill " + (up ? "good" : "bad");
    say(pill, up ? "Up" : "Away");
    each(item.lastChild, values, () => make("div", {}, make("dt"), make("dd")), (pair, [label, value, warn]) => {
      say(pair.children[0], label);
      say(pair.children[1], value);
      pair.children[1].className = warn ? "warn" : "";
    });
  });
}

// ------------ State ------------

function showState() {
  const ready = state.ready, [kind, text] = state.refused ? ["bad", "Signed out"] : state.lost ? ["bad", "No connection"] : state.paused ? ["warn", "Paused"]
    : ready === "ok" ? ["good", "All well"] : ready.startsWith("degraded: ") ? ["warn", "Degraded: " + ready.slice(10)] : ready ? ["bad", "Down: " + ready] : ["", "Connecting"];
  $("state").className = "pill " + kind;
  say($("state"), text);
  const problem = state.refused ? "The password was refused: it is not, or no longer, the one in the daemon's configuration."
    : state.lost ? `No connection to the daemon since ${time(state.lost)}. What you see is from before. Trying again every few seconds.`
    : state.gone ? `The daemon has seen nothing of the stream ${plain(state.stream)} since it was started. Waiting for it.` : "";
  if ($("problem").dataset.text !== problem) {
    $("problem").dataset.text = problem;
    const reload = make("button", { type: "button", onclick: () => location.reload() }, "Sign in");
    $("problem").replaceChildren(...problem ? [make("p", { class: state.gone ? "notice" : "notice bad" }, problem, state.refused && reload)] : []);
  }
  if (state.gone && state.view === "overview") { state.samples = []; blank("Waiting for the stream"); }
  if (state.lost || state.refused) document.title = `${text} · dnstapd`;
}

/** Says what happened, for a minute. */
function tell(text) {
  const notice = make("p", { class: "notice" }, text, make("button", { type: "button", onclick: () => notice.remove() }, "Dismiss"));
  $("news").replaceChildren(notice);
  setTimeout(() => notice.remove(), 60000);
}

function showStreams(streams) {
  const wanted = state.stream === "" || streams.includes(state.stream) ? streams : [state.stream, ...streams];
  const options = $("stream").options;
  while (options.length > wanted.length + 1) options[options.length - 1].remove();
  while (options.length < wanted.length + 1) $("stream").append(make("option"));
  wanted.forEach((name, place) => { options[place + 1].value = name; say(options[place + 1], name === "-" ? "- (no identity)" : plain(name)); });
  say(options[0], streams.length ? `All streams (${streams.length})` : "All streams");
  $("stream").value = state.stream;
}

function dialog(title, ...parts) {
  $("dialog").replaceChildren(make("h2", { id: "h-dialog" }, title), ...parts.filter(Boolean), make("form", { method: "dialog" }, make("button", {}, "Close")));
  $("dialog").showModal();
}

function help() {
  dialog("Keys", make("dl", { class: "pairs" }, ...[["/", "search"], ...VIEWS.map(([, title, key]) => ["g " + key, title]), ["j k", "rows of the log"], ["Enter", "open the row"], ["p", "pause"], ["?", "this"]]
    .flatMap(([key, text]) => [make("dt", {}, key), make("dd", {}, text)])));
}

let prefix = 0;
on(document, "keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) && event.target.type !== "radio") return;
  const view = event.timeStamp - prefix < 1500 && VIEWS.find(([, , key]) => key === event.key);
  prefix = event.key === "g" ? event.timeStamp : 0;
  if (view) go(view[0]);
  else if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  else if (event.key === "?") help();
  else if (event.key === "p") $("pause").click();
  else if (event.key === "j") log.move(1);
  else if (event.key === "k") log.move(-1);
  else if (event.key === "Enter" && event.target === log.box && log.rows[log.chosen]) log.detail(log.rows[log.chosen]);
});
on($("search"), "keydown", event => {
  const text = event.target.value.trim();
  if (event.key !== "Enter" || !text) return;
  const isDevice = /^[\d.]+$|^[\da-f:]*:[\da-f:]*$/i.test(text) || state.devices?.some(device => device.name === text);
  go(isDevice ? "device" : "log", isDevice ? { client: text } : { name: text });
});
on($("stream"), "change", event => {
  const words = Object.fromEntries(state.query), stream = event.target.value;
  [state.stream, state.samples, state.gone] = [stream, [], false];
  history.pushState(null, "", address(state.view, words));
  open();
  showFrame();
  restart();
});
for (const radio of document.querySelectorAll("[name=period]")) on(radio, "change", () => {
  state.period = radio.value;
  state.series = null;
  history.replaceState(null, "", address(state.view, Object.fromEntries(state.query)));
  showFrame();
  restart();
});
addEventListener("hashchange", route);
on(document, "visibilitychange", () => {
  if (document.hidden) { clearTimeout(timer); log.source?.close(); log.source = null; }
  else { log.listen(); restart(); }
});
on($("pause"), "click", () => {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", state.paused);
  say($("pause"), state.paused ? "Resume" : "Pause");
  if (state.paused) { log.source?.close(); log.source = null; } else log.listen();
  showState();
  restart();
});
route();
