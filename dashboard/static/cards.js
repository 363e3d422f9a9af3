// One card a venue.
import { Spark } from "./charts.js";
import { classes, el, rows, text } from "./dom.js";
import { clock, ms, NONE, number, percentiles, span, state } from "./format.js";

const NEAR = 0.1; // the share of a venue's limit below which there is an alert, when it stays so

export class Card {
  constructor(name, limit) {
    this.name = name;
    this.spark = new Spark(limit);
    const part = (tag, kind = "") => el(tag, kind ? { class: kind } : {});
    this.state = part("span", "state");
    this.since = part("p", "small");
    this.problems = part("p", "bad");
    this.age = part("b");
    this.event = part("b");
    this.eventNote = part("span");
    this.rate = part("p", "small");
    this.ages = part("tbody");
    this.limits = part("p", "small");
    this.reconnects = part("p", "small");
    this.markets = part("tbody");
    this.root = el("article", { class: "card", "aria-label": name },
      el("h2", {}, el("span", {}, name), this.state), this.since, this.problems,
      el("div", { class: "ages" },
        el("div", {}, this.age, el("span", {}, `age (limit ${ms(limit)})`)), el("div", {}, this.event, this.eventNote)),
      this.spark.root,
      table(["", ["p50", "n"], ["p95", "n"], ["p99", "n"]], this.ages), this.rate, this.limits, this.reconnects,
      table(["market", ["bid", "n"], ["ask", "n"], ["funding/h", "n"], ["age", "n"], "book"], this.markets));
  }

  tick(venue, nowMs) {
    const [kind, words] = state(venue.state);
    classes(this.root, `card ${venue.healthy || kind !== "is-live" ? kind : "is-stale"}`);
    text(this.state, venue.fresh === false && venue.state === "live" ? "▲ live, not fresh" : words);
    const since = venue.since_ms === null ? "" : `since ${clock(venue.since_ms)} UTC (${span(nowMs - venue.since_ms)})`;
    text(this.since, [since, venue.reason ?? ""].filter(Boolean).join(" · ") || NONE);
    text(this.problems, venue.problems.join("; "));
    text(this.age, ms(venue.age_ms));
    text(this.event, ms(venue.age_event_ms));
    text(this.eventNote, venue.skew_ms !== null && venue.skew_ms < 0 ? `event age (its clock is ahead ${ms(-venue.skew_ms)})` : "event age");
    if (venue.fresh === null) text(this.rate, "");
    this.health = venue;
    this.drawMarkets();
  }

  detail(venue, markets, headroom) {
    const per = Object.values(venue.events_per_s).reduce((sum, rate) => sum + rate, 0);
    text(this.rate, `${per.toFixed(0)} events/s`);
    rows(this.ages, [
      ["age", ...percentiles(venue.age.window, ms).map(right)],
      ["event age", ...percentiles(venue.age_event.window, ms).map(right)],
    ]);
    const shares = Object.entries(headroom);
    text(this.limits, shares.length === 0 ? "" :
      `left of venue limits: ${shares.map(([limit, share]) => `${limit} ${share < NEAR ? "▲ " : ""}${Math.floor(share * 100)} %`).join(", ")}`);
    classes(this.limits, shares.some(([, share]) => share < NEAR) ? "bad" : "small");
    const reasons = Object.entries(venue.reconnects).filter(([, count]) => count > 0).sort((one, other) => other[1] - one[1]);
    const last = venue.last_reconnect;
    text(this.reconnects, reasons.length === 0 ? "no reconnects" :
      `reconnects: ${reasons.map(([reason, count]) => `${reason} ${count}`).join(", ")}${last ? `; last ${clock(last.at_ms)} UTC ${last.reason}${last.detail ? ` (${last.detail})` : ""}` : ""}`);
    this.details = markets;
    this.drawMarkets();
  }

  // Nothing is known of now: what was known must not stand there as if it were.
  forget(why) {
    const unknown = { state: null, since_ms: null, reason: null, age_ms: null, age_event_ms: null, skew_ms: null };
    const markets = Object.keys(this.health?.markets ?? {}).map((name) => [name, { age_ms: null, fresh: null, trusted: null }]);
    this.tick({ ...unknown, healthy: false, fresh: null, problems: [why], markets: Object.fromEntries(markets) }, 0);
  }

  drawMarkets() {
    rows(this.markets, Object.entries(this.health?.markets ?? {}).map(([name, market]) => {
      const more = market.trusted === null ? undefined : this.details?.[name];
      const funding = more?.funding ? `${(more.funding.rate_hourly * 100).toFixed(5)} %`.replace("-", "−") : NONE;
      return [
        name.replace("-PERP", ""), right(number(more?.bid?.[0])), right(number(more?.ask?.[0])), right(funding),
        [ms(market.age_ms), market.fresh === false ? "n bad" : "n"],
        [trust(market, more), market.trusted ? "" : "bad"],
      ];
    }));
  }
}

function trust(market, more) {
  if (market.trusted === null) return "unknown";
  const words = market.trusted ? market.trust : `✖ ${market.trust ?? "none"}`;
  return more?.check?.for_ms ? `${words}, differs ${span(more.check.for_ms)}` : words;
}

function right(value) {
  return [value, "n"];
}

function table(headings, body) {
  const head = el("tr", {}, ...headings.map((heading) => {
    const [words, kind] = Array.isArray(heading) ? heading : [heading, ""];
    return el("th", { scope: "col", class: kind }, words);
  }));
  return el("table", {}, el("thead", {}, head), body);
}
