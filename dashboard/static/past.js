// The last quarter of an hour as the page keeps it: bounded, and kept over a reconnection.
export const KEEP = 900;
const MARKS = 1000;

export class Past {
  constructor() {
    this.steps = new Map(); // second -> { venue: [age, eventAge, state] }
    this.states = [];
    this.marks = [];
    this.known = new Set();
    this.shown = []; // marks without what is said twice
  }

  // What the server kept; where it was not running yet, ours stays.
  open(past) {
    this.states = past.states;
    const first = Math.round(past.start_ms / past.step_ms);
    for (const [venue, series] of Object.entries(past.venues)) {
      series.age_ms.forEach((age, index) => {
        if (age !== null || series.state[index] >= 0) {
          this.at(first + index)[venue] = [age, series.age_event_ms[index], series.state[index]];
        }
      });
    }
    this.mark(past.marks);
    this.trim(Math.round(Date.now() / 1000));
  }

  at(step) {
    let found = this.steps.get(step);
    if (!found) this.steps.set(step, (found = {}));
    return found;
  }

  // The worst of a second is kept.
  tick(nowMs, health) {
    const step = Math.floor(nowMs / 1000);
    if (health.source.ok) {
      const into = this.at(step);
      for (const [name, venue] of Object.entries(health.venues)) {
        const known = into[name] ?? [null, null, -1];
        const state = this.states.indexOf(venue.state);
        const live = this.states.indexOf("live");
        into[name] = [worse(known[0], venue.age_ms), worse(known[1], venue.age_event_ms),
          known[2] < 0 || known[2] === live || state !== live ? state : known[2]];
      }
    }
    this.trim(step);
  }

  trim(step) {
    for (const old of this.steps.keys()) if (old <= step - KEEP || old > step + 60) this.steps.delete(old);
  }

  mark(marks) {
    for (const mark of marks) {
      const key = `${mark.at_ms}|${mark.lane}|${mark.kind}|${mark.text}`;
      if (!this.known.has(key)) {
        this.known.add(key);
        this.marks.push({ ...mark, key });
      }
    }
    this.marks.sort((one, other) => one.at_ms - other.at_ms);
    for (const old of this.marks.splice(0, Math.max(0, this.marks.length - MARKS))) this.known.delete(old.key);
    this.shown = shown(this.marks);
  }
}

// A market that only keeps pace with its venue needs no mark of its own.
function shown(marks) {
  const venues = new Map();
  for (const mark of marks) if (mark.kind === "state") venues.set(`${mark.lane} ${mark.text}`, mark.at_ms);
  return marks.filter((mark) => {
    if (mark.kind !== "market") return true;
    const at = venues.get(`${mark.lane} ${mark.text.slice(mark.text.indexOf(" ") + 1)}`);
    return at === undefined || Math.abs(at - mark.at_ms) > 50;
  });
}

function worse(one, other) {
  return one === null ? other : other === null ? one : Math.max(one, other);
}
