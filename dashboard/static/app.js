// The connection, its watchdog, and what is drawn when. The page only ever reads.
import { Card } from "./cards.js";
import { legend, timeline } from "./charts.js";
import { classes, el, text } from "./dom.js";
import { ms } from "./format.js";
import { Past } from "./past.js";
import { details, events, forget } from "./tables.js";

const SILENT_MS = 2000; // after so long without a word the page is not current
const STUCK_MS = 8000; // after so long a connection is given up for a new one
const find = (id) => document.getElementById(id);

const page = { source: null, heard: null, opened: 0, past: new Past(), cards: new Map(), limits: null, health: null, last: 0 };

function connect() {
  page.source?.close();
  page.opened = performance.now();
  page.source = new EventSource("/events");
  page.source.addEventListener("hello", (event) => heard(event, hello));
  page.source.addEventListener("tick", (event) => heard(event, tick));
  page.source.addEventListener("detail", (event) => heard(event, detail));
}

function heard(event, handle) {
  page.heard = performance.now();
  handle(JSON.parse(event.data));
}

function hello(told) {
  const limits = JSON.stringify(told.stale_ms);
  if (limits !== page.limits) {
    page.limits = limits;
    page.cards = new Map(Object.entries(told.stale_ms).map(([name, limit]) => [name, new Card(name, limit)]));
    find("venues").replaceChildren(...[...page.cards.values()].map((card) => card.root));
  }
  text(find("version"), `version ${told.version}`);
  page.past.open(told.past);
  page.last = Math.floor(told.now_ms / 1000);
  draw();
}

function tick(told) {
  page.health = told.health;
  page.past.tick(told.now_ms, told.health);
  page.past.mark(told.marks);
  for (const [name, card] of page.cards) card.tick(told.health.venues[name], told.now_ms);
  if (!told.health.source.ok) forget();
  say(told.health);
  const second = Math.floor(told.now_ms / 1000);
  if (second !== page.last || told.marks.length) {
    page.last = second;
    draw();
  }
  watch();
}

function detail(told) {
  for (const [name, card] of page.cards) if (told.venues[name]) card.detail(told.venues[name], told.markets[name] ?? {}, told.headroom[name] ?? {});
  details(told);
}

function draw() {
  if (document.hidden) return;
  for (const [name, card] of page.cards) card.spark.draw(page.past, name, page.last);
  timeline(find("lanes"), page.past, [...page.cards.keys()], page.last);
  events(page.past.shown);
}

function say(health) {
  const troubled = Object.values(health.venues).filter((venue) => !venue.healthy).length;
  const all = Object.keys(health.venues).length;
  const [kind, words] = !health.source.ok ? ["unknown", "✖ No source: nothing is known of now"]
    : health.healthy ? ["well", `● All ${all} venues live, fresh and trusted`]
    : ["unwell", `▲ ${troubled} of ${all} venues not well${health.ready ? "; what is required is ready" : ""}`];
  verdict(kind, words);
  list(health.source.ok ? health.problems : []);
}

function verdict(kind, words) {
  classes(find("verdict"), `verdict ${kind}`);
  text(find("verdict"), words);
  const title = `${words} – Paraphina`;
  if (document.title !== title) document.title = title;
}

function list(problems) {
  const into = find("problems");
  while (into.children.length > problems.length) into.lastChild.remove();
  problems.forEach((problem, index) => text(into.children[index] ?? into.appendChild(el("li")), problem));
}

// Says loudly when what is shown is not current: this page is cut off, or the dashboard itself has no source.
function watch() {
  const now = performance.now();
  const silent = now - (page.heard ?? page.opened);
  const cut = silent > SILENT_MS;
  let alarm = "";
  if (cut) {
    alarm = `✖ This page has lost the dashboard: nothing heard for ${(silent / 1000).toFixed(0)} s. What you see is old. Trying again …`;
    verdict("unknown", "✖ This page is cut off");
    list([]);
    for (const card of page.cards.values()) card.forget("unknown: this page is cut off");
    forget();
  } else if (page.health && !page.health.source.ok) {
    alarm = `✖ The dashboard has lost its source: ${page.health.source.problem}`;
  }
  text(find("alarm"), alarm);
  find("alarm").hidden = alarm === "";
  document.body.classList.toggle("lost", alarm !== "");
  const age = page.health?.source.age_ms;
  text(find("updated"), page.heard === null || cut ? "" : `heard ${ms(Math.round(silent / 100) * 100)} ago, telemetry ${ms(age)} old`);
  const stuck = silent > STUCK_MS && now - page.opened > STUCK_MS;
  const refused = page.source.readyState === EventSource.CLOSED && now - page.opened > SILENT_MS;
  if (stuck || refused) connect();
}

const THEMES = ["system", "light", "dark"];

function theme(name) {
  const root = document.documentElement;
  if (name === "system") delete root.dataset.theme;
  else root.dataset.theme = name;
  text(find("theme"), `Theme: ${name}`);
  localStorage.setItem("theme", name);
}

const asked = new URLSearchParams(location.search).get("theme");
theme(THEMES.find((name) => name === (asked ?? localStorage.getItem("theme"))) ?? "system");
find("theme").addEventListener("click", () => {
  theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme")) + 1) % THEMES.length]);
});
document.addEventListener("visibilitychange", draw);
new ResizeObserver(draw).observe(find("lanes"));
legend(find("legend"));
connect();
setInterval(watch, 250);
