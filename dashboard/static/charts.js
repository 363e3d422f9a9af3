// Sparklines and the timeline, drawn as SVG.
import { el, svg, text } from "./dom.js";
import { clock, ms } from "./format.js";
import { KEEP } from "./past.js";

const SPARK_S = 300;
const LOW = Math.log10(10);
const HIGH = Math.log10(120000);
const HEIGHT = 56;

// Ages are told on a logarithmic scale, 10 ms to 2 min: an ordinary age and a stale one are both to be seen.
function y(age) {
  const place = (Math.log10(Math.min(Math.max(Math.abs(age), 10), 120000)) - LOW) / (HIGH - LOW);
  return HEIGHT - 2 - place * (HEIGHT - 4);
}

export class Spark {
  constructor(limit) {
    this.age = svg("path", { class: "age" });
    this.event = svg("path", { class: "event" });
    const line = y(limit).toFixed(1);
    this.label = svg("title");
    this.root = svg("svg", { class: "spark", viewBox: `0 0 ${SPARK_S} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      this.label, svg("line", { class: "limit", x1: 0, x2: SPARK_S, y1: line, y2: line, "vector-effect": "non-scaling-stroke" }),
      this.event, this.age);
    for (const path of [this.age, this.event]) path.setAttribute("vector-effect", "non-scaling-stroke");
  }

  draw(past, venue, last) {
    const paths = ["", ""];
    const pens = ["M", "M"];
    let worst = null;
    for (let x = 0; x < SPARK_S; x += 1) {
      const sample = past.steps.get(last - SPARK_S + 1 + x)?.[venue];
      for (const which of [0, 1]) {
        const age = sample?.[which] ?? null;
        if (age === null) { pens[which] = "M"; continue; }
        paths[which] += `${pens[which]}${x} ${y(age).toFixed(1)}`;
        if (pens[which] === "M") paths[which] += "h.5";
        pens[which] = "L";
        if (which === 0) worst = worst === null ? age : Math.max(worst, age);
      }
    }
    this.age.setAttribute("d", paths[0]);
    this.event.setAttribute("d", paths[1]);
    text(this.label, `Age and event age (dashed) of five minutes, logarithmic; worst age ${ms(worst)}`);
  }
}

const KIND = { live: "t-live", init: "t-way", connecting: "t-way", syncing: "t-way", recovering: "t-recovering", stale: "t-stale", down: "t-down" };
// Height and colour: live is a thin line, trouble a block, so that the picture reads without colours.
const TALL = { live: 3, init: 7, connecting: 7, syncing: 7, recovering: 11, stale: 15, down: 19 };
const LANE = 24;
const LEFT = 92;

const OFFSET = { reconnect: -7, market: 7 };

export const SHAPES = {
  reconnect: "M0 -5L4.5 4H-4.5Z", process: "M-4 -4H4V4H-4Z", market: "M0 -5L5 0L0 5L-5 0Z",
  gap: "M-4 -4L4 4M4 -4L-4 4", source: "M-1.5 -8H1.5V8H-1.5Z", state: "M-.8 -9H.8V9H-.8Z",
};

export function legend(into) {
  const entries = [["t-live", "live"], ["t-way", "on the way"], ["t-recovering", "recovering"], ["t-stale", "stale"], ["t-down", "down"]];
  for (const [kind, word] of entries) {
    const tall = TALL[word] ?? 7;
    into.append(el("span", {}, svg("svg", { width: 22, height: 20, "aria-hidden": "true" },
      svg("rect", { class: kind, x: 0, y: 10 - tall / 2, width: 22, height: tall })), ` ${word}`));
  }
  const marks = [["reconnect", "reconnect"], ["process", "process"], ["market", "market"], ["gap", "events dropped"]];
  for (const [kind, word] of marks) {
    into.append(el("span", {}, svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true", class: "lanes" },
      shape(kind)), ` ${word}`));
  }
}

function shape(kind) {
  return svg("path", { class: `mark ${kind}`, d: SHAPES[kind] ?? SHAPES.process });
}

export function timeline(into, past, venues, last) {
  const width = Math.max(280, into.clientWidth);
  const lanes = [...venues, ...otherLanes(past, venues)];
  const height = lanes.length * LANE + 22;
  const scale = (width - LEFT - 8) / KEEP;
  const x = (second) => LEFT + (second - (last - KEEP + 1)) * scale;
  const root = svg("svg", { width, height, role: "img", "aria-label": "States and events of all venues over 15 minutes; the table below says the same in words" });
  for (let minute = Math.ceil((last - KEEP) / 180) * 180; minute <= last; minute += 180) {
    root.append(svg("line", { class: "grid", x1: x(minute), x2: x(minute), y1: 0, y2: height - 18 }));
    const name = svg("text", { class: "axis", x: x(minute), y: height - 5, "text-anchor": "middle" });
    text(name, clock(minute * 1000).slice(0, 5));
    if (x(minute) < width - 14) root.append(name);
  }
  lanes.forEach((lane, index) => {
    const middle = index * LANE + LANE / 2;
    const name = svg("text", { x: 6, y: middle + 4 });
    text(name, lane.length > 13 ? `${lane.slice(0, 12)}…` : lane);
    root.append(name);
    if (venues.includes(lane)) segments(root, past, lane, last, middle, x);
  });
  blind(root, past, last, x, height - 20);
  for (const mark of past.shown) {
    const second = mark.at_ms / 1000;
    const index = lanes.indexOf(mark.lane);
    if (index < 0 || second <= last - KEEP || second > last + 1 || mark.kind === "state") continue;
    const node = shape(mark.kind);
    node.setAttribute("transform", `translate(${x(second).toFixed(1)} ${index * LANE + LANE / 2 + (OFFSET[mark.kind] ?? 0)})`);
    const label = svg("title");
    text(label, `${clock(mark.at_ms)} ${mark.lane}: ${mark.text}`);
    node.append(label);
    root.append(node);
  }
  into.replaceChildren(root);
}

// Processes that something happened to, and the telemetry when it was away.
function otherLanes(past, venues) {
  const found = new Set(past.marks.map((mark) => mark.lane));
  return [...found].filter((lane) => !venues.includes(lane)).sort().slice(0, 8);
}

function segments(root, past, venue, last, middle, x) {
  let from = null;
  let state = null;
  for (let second = last - KEEP + 1; second <= last + 1; second += 1) {
    const sample = second > last ? undefined : past.steps.get(second)?.[venue];
    const now = sample ? past.states[sample[2]] ?? "unknown" : null;
    if (now === state) continue;
    if (state !== null) {
      const tall = TALL[state] ?? 5;
      root.append(svg("rect", { class: KIND[state] ?? "t-unknown", x: x(from).toFixed(1), y: middle - tall / 2,
        width: Math.max(1, x(second) - x(from)).toFixed(1), height: tall }));
    }
    [from, state] = [second, now];
  }
}

// Seconds between the first and the last known ones of which nothing is known.
function blind(root, past, last, x, height) {
  const first = Math.min(...past.steps.keys());
  if (!Number.isFinite(first)) return;
  let from = null;
  for (let second = Math.max(first, last - KEEP + 1); second <= last; second += 1) {
    const dark = !past.steps.has(second) && second < last - 1;
    if (dark && from === null) from = second;
    if (!dark && from !== null) {
      root.append(svg("rect", { class: "blind", x: x(from), y: 0, width: x(second) - x(from), height }));
      from = null;
    }
  }
  if (from !== null) root.append(svg("rect", { class: "blind", x: x(from), y: 0, width: x(last) - x(from), height }));
}
