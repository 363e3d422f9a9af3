// Numbers and times in words. Unknown is a dash, always.
export const NONE = "–";

export function ms(value) {
  if (value === null || value === undefined) return NONE;
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (size < 1000) return `${sign}${Math.round(size)} ms`;
  if (size < 60000) return `${sign}${(size / 1000).toFixed(1)} s`;
  return sign + span(size);
}

export function span(value) {
  if (value === null || value === undefined) return NONE;
  const s = Math.max(0, Math.floor(value / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function us(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (size < 1000) return `${Math.round(value)} µs`.replace("-", "−");
  return ms(value / 1000).replace(/^(−?)(\d+) ms$/, () => `${(value / 1000).toFixed(1)} ms`.replace("-", "−"));
}

export function clock(at) {
  return at === null || at === undefined ? NONE : new Date(at).toISOString().slice(11, 19);
}

export function number(value) {
  return value === null || value === undefined ? NONE : value.toLocaleString("en", { maximumFractionDigits: 8 });
}

export function percentiles(summary, say) {
  return summary ? [summary[0], summary[1], summary[2]].map(say) : [NONE, NONE, NONE];
}

export const STATES = {
  live: ["is-live", "●"], init: ["is-way", "◌"], connecting: ["is-way", "◌"], syncing: ["is-way", "◌"],
  recovering: ["is-recovering", "↻"], stale: ["is-stale", "▲"], down: ["is-down", "✖"],
};

// Class and words of a state; one we do not know is told as it is.
export function state(name) {
  const [kind, sign] = STATES[name] ?? ["is-unknown", "?"];
  return [kind, `${sign} ${name ?? "unknown"}`];
}
