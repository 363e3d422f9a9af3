// Processes, delivery, latencies, and what happened last.
import { el, rows, text } from "./dom.js";
import { clock, NONE, number, span, us } from "./format.js";

const find = (id) => document.getElementById(id);
const right = (value) => [value, "n"];

export function details({ venues, system }) {
  hops(venues);
  if (!system) return;
  processes(system.processes);
  delivery(system.delivery);
}

function processes(all) {
  rows(find("process-rows"), Object.entries(all).map(([name, of]) => [
    name,
    of.missing ? ["✖ not heard", "bad line"] : of.pid === null ? ["○ does not speak", "line"] : ["● heard", "line"],
    right(of.pid ?? NONE), right(span(of.uptime_ms)), right(number(of.restarts)), right(number(of.cpu_percent)),
    right(of.rss_bytes === null ? NONE : (of.rss_bytes / 1e6).toFixed(0)),
    right(number(of.loop_lag_ms)), right(number(of.worst_loop_lag_ms)),
    [of.last_action, of.last_detail].filter(Boolean).join(": ") || NONE,
  ]));
}

// Nothing is known of now: who was heard a while ago must not stand there as heard.
export function forget() {
  for (const row of find("process-rows").children) {
    [...row.children].slice(1, -1).forEach((cell, index) => text(cell, index === 0 ? "? unknown" : NONE));
  }
}

const FACTS = [
  ["sends refused", (of) => of.pressure.mp_try_send_full_count],
  ["states merged", (of) => of.pressure.mp_pending_latest_replaced_count],
  ["log events that waited", (of) => of.pressure.mp_lossless_wait_count],
  ["log events dropped", (of) => of.gap_events],
  ["books and quotes healed", (of) => of.heals],
  ["slowest heal, ms", (of) => of.slowest_heal_ms],
  ["imbalance", (of) => of.accounts.imbalance],
  ["chains out of balance", (of) => of.accounts.unbalanced_chains.join(", ") || of.accounts.unbalanced],
];

function delivery(of) {
  const into = find("delivery-facts");
  if (!into.children.length) into.append(...FACTS.map(([words]) => el("div", {}, el("dt", {}, words), el("dd"))));
  FACTS.forEach(([, value], index) => {
    const found = value(of);
    text(into.children[index].lastChild, typeof found === "string" ? found : number(found));
  });
  rows(find("balance-rows"), Object.entries(of.accounts.by_sender).sort().map(([sender, balance]) => [
    sender, ...balance.slice(0, 5).map((count) => right(number(count))),
    [number(balance[5]), balance[5] ? "n bad" : "n"],
    Object.entries(of.lost[sender] ?? {}).map(([cause, count]) => `${cause} ${count}`).join(", ") || NONE,
  ]));
}

const HOPS = ["venue_to_socket", "socket_to_publish", "publish_to_apply", "socket_to_apply"];

function hops(venues) {
  rows(find("hop-rows"), Object.entries(venues).map(([name, venue]) => [name, ...HOPS.map((hop) => {
    const summary = venue.hops_us.window[hop];
    return [summary ? [0, 1, 2, 3].map((place) => us(summary[place])).join(" · ") : NONE, "line"];
  })]));
}

export function events(marks) {
  rows(find("events"), marks.slice(-60).reverse().map((mark) => [clock(mark.at_ms), mark.lane, mark.text]));
}
