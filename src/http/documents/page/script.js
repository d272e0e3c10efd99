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
const KINDS = "CLIENT RESOLVER FORWARDER AUTH STUB TOOL UPDATE".split(" ");
const UPSTREAM = ["RESOLVER", "FORWARDER"];
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
  trends: {}, silent: null, config: null, began: {},
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
const iso = text => text == null ? "" : new Date(moment(text) * 1000).toISOString();
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
const NOTHING = "Nothing yet.", KEPT_WORDS = "all that is kept, whatever the period";
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
    const silent = every(4) ? (await maybe("log", { status: "unanswered", limit: 1000, ...scope() }))?.log ?? null : state.silent;
    state.silent = silent;
    if (current()) showHealth(upstreams, alarms, counters, silent);
  },
  async system(current) {
    if (!every(15)) return;
    const config = await maybe("config");
    state.config = config;
    if (current()) showConfig(config);
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
  // Who was there from the start is not new; a detector that is on tells by itself.
  const late = (state.devices ?? []).filter(each => moment(each["first-seen"]) > state.started + 3600 && !alarms?.some(alarm => alarm.kind === "new-device"))
    .map(each => ({ kind: "first seen", subject: each.addresses[0], text: each.name ?? each.addresses[0], last: each["first-seen"] }));
  events($("events"), [...alarms ?? [], ...late].sort((a, b) => moment(b.last) - moment(a.last)).slice(0, 8), alarms ? "Nothing out of the ordinary." : "Alarms are off, or not in this build.");
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
  return "first seen new-device resolver-bypass".includes(kind) ? address("device", { client: subject }) : address("domain", { name: bare(subject) });
}

function events(list, alarms, empty) {
  each(list, alarms.length ? alarms : [null], () => make("li", {}, make("time"), make("a")), (item, alarm) => {
    say(item.firstChild, alarm ? when(alarm.last) : "");
    item.firstChild.title = iso(alarm?.last);
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

/**
 * Fills a table that a click on a heading sorts. A column: its title, what stands in a cell (text, address, a word below, title, share of
 * a bar), what it is sorted by.
 */
function sheet(table, columns, rows, empty = NOTHING) {
  if (!table) return;
  if (!table.tHead) {
    table.createTHead().append(make("tr"));
    table.createTBody();
  }
  const [by, way] = table.order ??= [1, -1], value = columns[by]?.[2], body = table.tBodies[0];
  table.classList.toggle("bare", !rows.length);
  each(table.tHead.rows[0], columns, () => make("th", { scope: "col" }, make("button", { type: "button", class: "plain" })), (head, [title], place) => {
    head.className = place ? "count" : "";
    head.setAttribute("aria-sort", place !== by ? "none" : way < 0 ? "descending" : "ascending");
    say(head.firstChild, title);
    head.firstChild.onclick = () => { table.order = [place, place === by ? -way : place ? -1 : 1]; sheet(table, columns, rows, empty); };
  });
  if (!rows.length) return body.replaceChildren(make("tr", { class: "none" }, make("td", { colSpan: columns.length }, empty)));
  if (body.rows[0]?.className === "none") body.replaceChildren();
  const sorted = value ? rows.map(row => [value(row) ?? -1, row]).sort(([a], [b]) => way * (a > b ? 1 : a < b ? -1 : 0)).map(([, row]) => row) : rows;
  let place = 0;
  const fresh = () => make(place ? "td" : "th", place ? { class: "count" } : { scope: "row" }, make(place++ ? "span" : "a"), make("small"));
  each(body, sorted, () => make("tr"), (row, item) => {
    place = row.cells.length;
    each(row, columns, fresh, (cell, [, show]) => {
      const [text, href, below, title, part] = [show(item)].flat(), [word, small] = cell.children;
      say(word, text);
      href ? word.href = href : word.removeAttribute("href");
      say(small, below ?? "");
      cell.title = title ?? "";
      if (part) cell.style.setProperty("--part", part);
    });
  });
}

/** Names with a bar behind them, numbers, and shares if the whole is known. */
function ranking(table, head, rows, all = 0, empty = NOTHING, show = count) {
  const most = Math.max(...rows.map(row => row[1])), columns = [
    [head, ([name, number, href]) => [name, href, "", name.length > 24 ? name : "", (100 * number / most).toFixed(1) + "%"], row => row[0]],
    [show === bytes ? "Size" : "Count", row => show(row[1]), row => row[1]]];
  if (all) columns.push(["Share", row => percent(row[1] / all), row => row[1]]);
  sheet(table, columns, rows, empty);
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
  const known = series.some(({ values }) => values.some(value => value != null && (value || !options.stack)));
  let most = Math.max(options.format ? 0 : 5, ceiling(Math.max(0, ...tops))), lines = /^0*[.]?0*[12]0*$/.test(most) && most !== 10 ? 4 : 5;
  // Times that are far apart stand on a scale of powers of ten.
  const least = 10 ** Math.floor(Math.log10(Math.min(...series.flatMap(({ values }) => values.filter(value => value > 0))))), wide = options.format === seconds && most / least > 300;
  if (wide) { lines = Math.ceil(Math.log10(most / least) - 1e-9); most = least * 10 ** lines; }
  const [first, last] = [times[0] ?? 0, times.at(-1) ?? 1], x = at => left + (at - first) / Math.max(1, last - first) * (right - left), y = value => bottom - (wide ? Math.max(0, Math.log10(value / least)) / lines : value / most) * (bottom - top);
  const mark = line => wide ? least * 10 ** line : most * line / lines;
  const parts = [];
  for (let line = 0; line <= lines; line++) {
    const at = bottom - line / lines * (bottom - top);
    parts.push(draw("line", { class: "rule", x1: left, x2: right, y1: at, y2: at }));
    if (known) parts.push(draw("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, line || wide ? format(mark(line)) : "0"));
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
      const half = from === to ? Math.max(4, (right - left) / points / 2) : 0, shifts = half ? [-half, half] : [0];
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
const FILTERS = ["client", "name", "message", "type", "rcode", "status", "protocol", "min-latency", "since", "until"];

const who = row => row.device && row.device !== "-" ? row.device : row["query-ip"];
/** What may be left out: by a click of the other button on a cell. */
const CELLS = { client: who, type: row => row.rrtype, name: row => bare(row.qname), status: row => row.status, rcode: row => row.rcode };
const wordOf = (key, row) => `${key}:${encodeURIComponent(CELLS[key](row))}`;
const valueOf = word => { try { return decodeURIComponent(word.slice(word.indexOf(":") + 1)); } catch { return word; } };

const keyOf = row => row.timestamp + row.qname + row.rrtype + row["query-ip"] + row.identity + row.message.split("_")[0];

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
    this.loaded = this.more().then(() => { if (box === this.box) { this.ready = true; this.listen(); } });
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
    showLive();
    say(this.news, `${count(this.fresh)} new`);
    space.style.height = Math.max(this.rows.length * height, 40) + "px";
    if (!this.rows.length) return space.replaceChildren(note(this.busy ? "Loading …" : this.failed ? "A filter is not understood." : "Nothing matches yet."));
    if (space.querySelector(".empty")) space.replaceChildren();
    each(space, this.rows.slice(from, to), () => make("div", { class: "row" }, make("button", { type: "button" }), ...Array.from({ length: 6 }, () => make("a"))), (item, row, place) => {
      const number = from + place;
      item.style.transform = `translateY(${number * height}px)`;
      item.classList.toggle("chosen", number === this.chosen);
      const [when, client, type, name, status, answer, latency] = item.children, date = new Date(row.timestamp);
      say(when, isNaN(date) ? "–" : Date.now() - date > 72e6 ? date.toLocaleString("en-GB", { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" }).replace(",", "") : time(date) + "." + String(date.getMilliseconds()).padStart(3, "0"));
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
    const at = Date.parse(row.timestamp), near = ms => new Date(at + ms).toISOString(), ends = +row.latency * 1000, leg = make("p");
    const words = Object.entries(row).map(([key, value]) => [key, key === "qname" ? domain(value) : key === "latency" && value !== "-" ? seconds(+value) : plain(String(value))]);
    if (ends >= 0) words.splice(1, 0, ["answered at", near(ends)]);
    dialog("One exchange", facts(words), leg,
      isNaN(at) ? null : make("p", {}, link("What else this device asked then", "log", { client: row["query-ip"], since: near(-30000), until: near(30000) }, { onclick: () => $("dialog").close() })));
    if (!isNaN(at) && !isUpstream(row)) this.leg(row, leg, near(-1000), near((ends || 0) + 5000));
  },
  /** What was asked upstream for it. */
  async leg(row, box, since, until) {
    const legs = (await maybe("log", { name: bare(row.qname), type: row.rrtype, message: UPSTREAM.join(), stream: row.identity, since, until, limit: 9 }).catch(() => null))?.log.filter(leg => leg.qname.toLowerCase() === row.qname.toLowerCase());
    say(box, legs?.length ? "Upstream: " + legs.map(leg => `${leg.message}, ${leg.status}${leg.latency === "-" ? "" : " in " + seconds(+leg.latency)}`).join("; ") : "Nothing was seen of it upstream.");
  },
};

/** Whether an exchange is one of a resolver or forwarder with its server. */
const isUpstream = row => UPSTREAM.some(kind => row.message.startsWith(kind));

/** Keys and values, for people. */
const facts = (words, keys = {}) => make("dl", { class: "pairs", ...keys }, ...words.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value ?? "–")]));

/** Whether the log follows. */
function showLive() {
  const [kind, text] = state.paused ? ["warn", "Paused"] : log.source ? ["good", "Live"] : ["", "Every 2 s"];
  if (!$("live")) return;
  $("live").className = "pill " + kind;
  say($("live"), text);
}

function logView(main) {
  const filters = Object.fromEntries(FILTERS.map(name => [name, state.query.get(name) ?? ""]));
  const input = (name, label, keys = {}) => make("label", {}, make("span", {}, label), make("input", { name, value: filters[name], autocomplete: "off", spellcheck: false, ...keys }));
  const choice = (name, label, list) => make("label", {}, make("span", {}, label), make("select", { name }, make("option", { value: "" }, "any"),
    ...[...new Set([...list, filters[name]])].filter(Boolean).map(value => make("option", { value, selected: value === filters[name] }, value))));
  const form = make("form", { class: "filters", onsubmit: event => { event.preventDefault(); apply(); } },
    input("client", "Device"), input("name", "Name"), choice("message", "Kind", KINDS), choice("type", "Type", TYPES.map(type => type.toUpperCase())), choice("rcode", "Code", RCODES.map(code => code.toUpperCase())),
    choice("status", "Status", STATUSES), input("min-latency", "Slower than, s", { inputMode: "decimal" }), input("since", "From", { placeholder: "-3600" }), input("until", "To"));
  const without = (state.query.get("not") ?? "").split(",").filter(Boolean), not = without.length ? { not: without.join() } : {};
  const apply = () => go("log", { ...Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim())), ...not });
  on(form, "change", apply);
  let wait = 0;
  on(form, "input", event => { clearTimeout(wait); if (event.target.tagName === "INPUT") wait = setTimeout(() => typed(form, filters, not), 400); });
  const csv = make("a", { class: "button", href: here + "log?" + new URLSearchParams({ ...filled(filters), ...scope(), format: "csv", limit: 0 }), download: "dnstapd.csv" }, "CSV");
  if (without.length) csv.onclick = event => { event.preventDefault(); saveWithout(csv.href); };
  form.append(make("button", { type: "button", onclick: () => go("log", {}) }, "Clear"), csv, make("span", { id: "live", class: "pill" }), ...without.map(word => make("button", { type: "button", title: "Show it again", onclick: () => log.leave(without.filter(each => each !== word)) },
    "not " + plain(valueOf(word)) + " ×")));
  main.append(make("h2", {}, "Log ", make("small", {}, KEPT_WORDS)), form);
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

function showDevices() {
  const table = $("devicelist");
  if (!table) return;
  if (!state.devices) return table.replaceWith(off("devices"));
  const name = device => device.name ?? device.addresses[0], seen = key => device => [when(device[key]), "", "", iso(device[key])];
  sheet(table, [["Device", device => [plain(name(device)), address("device", { client: name(device) }), device.name && device.addresses[0]], name],
    ["Queries", device => count(device.queries), device => device.queries], ["Blocked", device => count(device.blocked), device => device.blocked],
    ...["First seen", "Last seen"].map(title => { const key = title.toLowerCase().replace(" ", "-"); return [title, seen(key), device => moment(device[key])]; })],
  state.devices, "No device has asked yet.");
}

/** What the exchanges of a device, or of a domain, have: a table each. */
const TALLIES = { client: [["rcode", "Codes"], ["rrtype", "Types"], ["protocol", "Protocols"]], name: [["rcode", "Codes"], ["rrtype", "Types"], ["qname", "Subdomains"], ["answer", "Answers"]] };
/** Seconds of a period, and the bars of its plot. */
const LENGTHS = { hour: [3600, 30], day: [86400, 24], month: [2678400, 31] };
// exchanges that are looked at, at most
const DEEP = 5000;

/** One device, or one domain. */
function deviceView(main) {
  const isDevice = state.view === "device", key = isDevice ? "client" : "name", subject = state.query.get(key) ?? "";
  const bars = (id, title, size) => card(id, title, " ", make("table", { id, class: "bars" }), size);
  main.append(make("div", { class: "title" }, make("h2", {}, isDevice ? plain(subject) : domain(subject)), make("p", { id: "facts" })));
  main.append(make("div", { class: "grid" }, card("day", "Over time", " ", make("div", { id: "day", class: "plot" }), "wide"),
    bars("pairs", isDevice ? "Top names" : "Devices that ask", "quarter"), bars("errors", "Failed and blocked", "quarter"),
    ...TALLIES[key].map(([id, title]) => bars(id, title, isDevice ? "" : "quarter")),
    ...isDevice ? [bars("first", "Names for the first time", "half"), card("bypass", "Resolvers past the router", "alarms", make("ul", { id: "bypass", class: "events" }), "half")]
      : [card("speed", "Answered in", " ", make("div", { id: "speed" })), card("legs", "Upstream", " ", make("table", { id: "legs", class: "wide-table" }), "two")]));
  main.append(make("h2", {}, "Log ", make("small", {}, KEPT_WORDS)));
  log.open(main, { [key]: subject });
}

async function showDevice(current) {
  const isDevice = state.view === "device", key = isDevice ? "client" : "name", subject = state.query.get(key) ?? "", [length] = LENGTHS[state.period] ?? [];
  state.devices = (await maybe("devices", { limit: 1000 }))?.devices ?? null;
  const device = isDevice && state.devices?.find(each => each.name === subject || each.addresses.includes(subject));
  if (!current() || !$("pairs")) return;
  if (isDevice && state.devices) {
    const words = device ? ["", device.mac && "MAC " + device.mac, `first seen ${when(device["first-seen"])}, last ${when(device["last-seen"])}`, `${count(device.queries)} queries, ${count(device.blocked)} blocked`,
      !device.name && `to name it: [names.static] "${device.mac ?? device.addresses[0]}" = "name"`].filter(word => word != null && word !== false) : ["It has not asked yet."];
    const links = device ? device.addresses.flatMap((each, place) => [place ? ", " : "", link(each, "device", { client: each })]) : [];
    if ($("facts").textContent !== links.map(part => part.textContent ?? part).join("") + words.join(" · ")) $("facts").replaceChildren(...links, words.join(" · "));
  }
  await log.loaded;
  if (!current()) return;
  showDay(key, subject);
  // The rest of the period, a thousand at a time.
  while (log.next && log.rows.length < DEEP && (!length || Date.parse(log.rows.at(-1).timestamp) > Date.now() - length * 1000)) {
    const before = log.rows.length;
    await log.more();
    if (!current() || document.hidden || log.rows.length === before) return;
    showDay(key, subject);
  }
  if (!isDevice) return;
  state.config ??= await maybe("config");
  const alarms = (await maybe("alarms"))?.alarms;
  let first = null;
  for (const span of new Set([length ?? 86400, 3600])) {
    // Who knows nothing from before cannot tell what is new.
    if (first || !(await maybe("log", { client: subject, until: -span, limit: 1 }))?.log.length) continue;
    first = (await maybe("pairs", { client: subject, n: ROWS, "first-since": -span }))?.names ?? [];
    if (current()) about("first", `in the last ${span > 86400 ? "31 days" : span > 3600 ? "24 hours" : "hour"}, as far as the log reaches`);
  }
  if (!current()) return;
  ranking($("first"), "Name", named(first ?? [], true), 0, first ? "None." : log.rows.length ? "All of them: the log knows this device for less than an hour." : OLD);
  const past = (alarms ?? []).filter(({ kind, subject: whose }) => kind === "resolver-bypass" && (whose === subject || device?.addresses.includes(whose)));
  events($("bypass"), past, set("health.resolver-bypass.enable") === "true" ? "None was seen." : "Nobody looks for them: set enable = true in [health.resolver-bypass].");
}

/** What file and command line say of a key. */
const set = key => state.config?.keys.find(([name]) => name === key)?.[1];

/** Rows of names, or of clients. */
const named = (list, isName) => list.map(([name, number]) => [isName ? domain(name) : plain(called(name)), number, address(isName ? "domain" : "device", isName ? { name: bare(name) } : { client: name })]);

/** What the log of a device, or of a domain, says of the period. */
function showDay(key, subject) {
  if (!$("day")) return;
  const isDevice = key === "client", kept = log.rows.map(row => [Date.parse(row.timestamp), row]).filter(([at]) => at), [length, bins] = LENGTHS[state.period] ?? [null, 24];
  const oldest = kept.at(-1)?.[0], newest = length ? Date.now() : kept[0]?.[0] ?? 0, step = length ? length * 1000 / bins : Math.max(1000, (newest - oldest) / bins || 0), end = Math.ceil((newest + 1) / step) * step;
  const inside = kept.filter(([at]) => at > end - bins * step), rows = inside.map(([, row]) => row), asked = rows.filter(row => !isUpstream(row)), seen = asked.length ? asked : rows;
  const what = log.next && inside.length === kept.length ? `of the last ${count(rows.length)}` : PERIODS[state.period], empty = log.box || rows.length ? length ? `Nothing in the ${PERIODS[state.period]}.` : NOTHING : OLD;
  const ends = Array.from({ length: bins }, (_, place) => end - (bins - 1 - place) * step), three = [0, 0, 0].map(() => ends.map(() => 0)), failed = [];
  for (const [at, row] of inside) {
    if (asked.length && isUpstream(row)) continue;
    const way = row.status === "blocked" ? 1 : row.status === "error" || row.status === "unanswered" ? 2 : 0;
    three[way][bins - 1 - Math.floor((end - at - 1) / step)]++;
    if (way) failed.push(row);
  }
  for (const id of ["day", "pairs", "errors", ...TALLIES[key].map(([id]) => id), "speed", "legs"]) about(id, what);
  about("day", `${what}, each ${span(step / 1000)}`);
  const colors = ["--accent", "--second", "--bad"];
  plot($("day"), ends, rows.length ? ["Answered", "Blocked", "Failed"].map((label, place) => ({ label, color: `var(${colors[place]})`, values: three[place] })) : [], { stack: true, empty });
  for (const [id, title] of TALLIES[key]) {
    const given = id === "answer" ? seen.filter(row => row.answer && row.answer !== "-") : seen;
    ranking($(id), title.slice(0, -1), tally(given, row => row[id]).map(([word, number]) => [id === "qname" ? domain(word) : plain(word), number,
      id === "qname" ? address("domain", { name: bare(word) }) : id === "answer" ? undefined : address("log", { [key]: subject, [id === "rrtype" ? "type" : id]: word })]), id === "qname" || id === "answer" ? 0 : given.length,
      id === "answer" && seen.length ? "Not kept: set answers = true in [history]." : empty);
  }
  const other = list => named(tally(list, row => isDevice ? row.qname : row["query-ip"]), isDevice), head = isDevice ? "Name" : "Device";
  ranking($("pairs"), head, other(seen), 0, empty);
  ranking($("errors"), head, other(failed), 0, rows.length ? "None." : empty);
  if (isDevice) return;
  const times = list => list.map(row => +row.latency).filter(number => number >= 0).sort((a, b) => a - b), at = (list, part) => list[Math.ceil(list.length * part) - 1];
  const fast = times(seen);
  $("speed").replaceChildren(fast.length ? facts([["Median", .5], ["95 %", .95], ["Slowest", 1]].map(([word, part]) => [word, seconds(at(fast, part))])) : note(empty));
  const legs = {};
  for (const row of rows.filter(isUpstream)) (legs[`${row.identity} ${row.message.split("_")[0]}`] ??= []).push(row);
  const number = (title, wanted) => [title, ([, list]) => count(list.filter(wanted).length), ([, list]) => list.filter(wanted).length];
  sheet($("legs"), [["Stream and kind", ([name, [row]]) => [plain(name), address("log", { name: subject, message: row.message.split("_")[0] })], ([name]) => name], number("Asked", () => true),
    number("Unanswered", row => row.status === "unanswered"), number("Failed", row => row.status === "error"), ["Median", ([, list]) => seconds(at(times(list), .5)), ([, list]) => at(times(list), .5)]],
  Object.entries(legs), "No resolver or forwarder asked for it, or none tells.");
}

// ------------ Health ------------

function health(main) {
  main.append(make("div", { class: "grid" }, card("upstreams", "Upstreams", "since start; p95 of the last minutes", make("table", { id: "upstreams", class: "wide-table" }), "whole"),
    card("loss", "Unanswered and failed", "since start", make("div", { id: "loss" }), "half"), card("silent", "Unanswered by device", " ", make("table", { id: "silent", class: "bars" }), "half"),
    card("alarms", "Alarms", " ", make("ul", { id: "alarms", class: "events" }), "whole")));
}

function showHealth(upstreams, alarms, counters, silent) {
  const table = $("upstreams");
  if (!$("loss")) return;
  if (!upstreams) table?.replaceWith(off("upstreams"));
  const number = (title, key, show = count) => [title, each => show(each[key]), each => each[key]];
  if (upstreams && table) {
    sheet(table, [["Server", each => [each.server + (each.port && each.port !== 53 ? " port " + each.port : ""), address("log", { message: UPSTREAM.join(), ...each.stream !== "-" && { stream: each.stream } }), plain(each.stream ?? "")], each => each.server],
      number("Asked", "queries"), number("Timeouts", "timeouts"), number("SERVFAIL", "servfail"), number("Median", "latency-p50", seconds), number("95 %", "latency-p95", seconds), ["Trend", () => "", each => each["latency-p95"]]],
    upstreams, "No resolver or forwarder messages yet.");
    for (const each of upstreams) {
      const kept = state.trends[each.server] ??= [each["latency-p95"]];
      kept.push(each["latency-p95"]);
      if (kept.length > 60) kept.shift();
    }
    for (const row of upstreams.length ? table.tBodies[0].rows : []) {
      const kept = state.trends[row.cells[0].firstChild.textContent.split(" ")[0]] ?? [], most = Math.max(...kept), cell = row.cells[6];
      const line = draw("svg", { viewBox: "0 0 60 16", class: "trend", role: "img", "aria-label": `most ${seconds(most || null)}` });
      line.append(draw("polyline", { points: kept.map((value, place) => `${60 - kept.length + place + .5},${15 - 14 * (value || 0) / (most || 1)}`).join(" ") }));
      cell.replaceChildren(cell.children[0], cell.children[1], line);
    }
  }
  const share = (part, all) => `${count(part ?? 0)} (${percent(all ? (part ?? 0) / all : null)})`;
  const hits = counters["response/cached"], known = hits + counters["response/fetched"];
  $("loss").replaceChildren(facts([["Unanswered queries", share(counters["query/unanswered"], counters.query)],
    ["Cached", known ? share(hits, known) : "unknown: it takes client and resolver messages"], ["SERVFAIL", share(counters["response/servfail"], counters.response)]]));
  about("silent", silent?.length ? `of the last ${count(silent.length)}` : "");
  ranking($("silent"), "Device", tally(silent ?? [], who).map(([name, number]) => [plain(name), number, address("log", { client: name, status: "unanswered" })]), 0, silent ? "None." : OLD);
  about("alarms", `${alarms?.length > 40 ? "the last 40 of " + alarms.length : "the last ones"}; a click shows the exchanges`);
  events($("alarms"), alarms?.slice(0, 40) ?? [], alarms ? "No alarms." : "Alarms are off, or not in this build.");
}

// ------------ System ------------

function system(main) {
  main.append(make("div", { class: "grid" }, card("inputs", "Inputs", "since start", make("ul", { id: "inputs", class: "health" }), "half"), card("outputs", "Outputs", "since start", make("ul", { id: "outputs", class: "health" }), "half"),
    card("losses", "Losses", "since start", make("ul", { id: "losses", class: "losses" }, make("li", {}, "Not known yet.")), "half"), card("process", "Process", "", make("div", { id: "process" }), "half"),
    card("memory", "Memory", " ", make("table", { id: "memory", class: "bars" }), "half"), card("config", "Configuration in force", " ", make("div", { id: "config" }), "half")));
}

function showConfig(config) {
  if (!$("memory") || !config) return;
  about("memory", `${bytes(config.total)} for tables and buffers, made at start`);
  ranking($("memory"), "For", config.memory.filter(([, number]) => number), config.total, NOTHING, bytes);
  about("config", `${config.file ?? "no file"}; all other keys are as by default`);
  $("config").replaceChildren(config.keys.length ? facts(config.keys.map(([key, value]) => [key, value ?? "secret"])) : note("Nothing is set: all is as by default."),
    config["left-out"] ? note(`${plural(config["left-out"], "key")} more.`) : "");
}

/** When something began to grow that had not for a minute, as far as this page saw. */
function began(key, number) {
  const known = state.began[key] ??= { number, at: 0, since: 0 }, now = Date.now();
  if (number > known.number) {
    if (now - known.at > 60000) known.since = now;
    [known.number, known.at] = [number, now];
  }
  return known.since && now - known.at < 60000 ? `, since ${time(new Date(known.since))}` : "";
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
    return { name: output, up: total("dnstapd_output_connected", { output }) > 0, values: [["Delivered", count(value)], ["Dropped", dropped ? reasons("dnstapd_output_dropped_total", { output }) + began(output, dropped) : "0", dropped > 0],
      ["Waiting", waiting ? `${count(waiting)}, ${bytes(total("dnstapd_output_queue_bytes", { output }))}` : "0"], ["Reconnected", count(total("dnstapd_output_reconnects_total", { output }))]] };
  }), "No output is on: messages are only counted.");
  const losses = [["dnstapd_output_dropped_total", "record", "dropped by outputs"], ["dnstapd_rejected_total", "frame", "rejected"], ["dnstapd_malformed_total", "message", "with a broken DNS payload, counted all the same"],
    ["dnstapd_sniffer_kernel_drops_total", "packet", "dropped by the kernel before the sniffer read them"], ["dnstapd_log_dropped_total", "line", "of the log dropped"]]
    .map(([name, word, text]) => [total(name), name, word, text]).filter(([number]) => number > 0)
    .map(([number, name, word, text]) => `${plural(number, word)} ${text}${/output|rejected|malformed/.test(name) && reasons(name) ? ` (${reasons(name)})` : ""}`);
  const evicted = total("dnstapd_evicted_total", { table: "streams" });
  if (evicted) losses.push(`${plural(evicted, "message")} of identities beyond the table of streams, counted together`);
  each($("losses"), losses.length ? losses : ["Nothing was lost."], () => make("li"), (item, line) => { say(item, line); item.className = losses.length ? "warn" : "good"; });
  $("process").replaceChildren(facts([["Version", build.version], ["Built for", build.target], ["Features", build.features?.replaceAll(",", ", ")], ["Memory", bytes(memory) + (state.config ? `, ${bytes(state.config.total)} of it for tables and buffers` : "")],
    ["Processor", `${processor.toFixed(1)} s, ${percent(uptime ? processor / uptime : null)} of one`], ["Descriptors", count(total("process_open_fds"))], ["Started", started ? when(started) : "–"]]));
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
  dialog("Keys", facts([["/", "search"], ...VIEWS.map(([, title, key]) => ["g " + key, title]), ["j k", "rows of the log"], ["Enter", "open the row"], ["p", "pause"], ["?", "this"]]));
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
