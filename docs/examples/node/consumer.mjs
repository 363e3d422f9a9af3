// A consumer of books in another language, written from docs/wire.md alone: joins, follows, sees what it lost, heals.
//
//   npm install --ignore-scripts
//   node consumer.mjs ipc:///path/to/run/bus [market]
//
// Writes one JSON object a line: {"what":"book"|"lost"|"healed"|"distrusted", "chain", "seq", "venue_seq", ...}

import { randomBytes } from "node:crypto";
import { decode } from "@msgpack/msgpack";
import * as zmq from "zeromq";

const [base, market = "BTC-PERP"] = process.argv.slice(2);
if (!base) {
  console.error("usage: node consumer.mjs ipc:///path/to/run/bus [market]");
  process.exit(2);
}

const SCHEMA = 1;
const ANSWER_MS = 1_000; // give a request up after so long without any part of an answer
const SILENCE_MS = 3_500; // not even a heartbeat: nothing held may be relied upon
const USABLE = new Set(["live", "rest"]);

const identity = `node.${process.pid}.${randomBytes(4).toString("hex")}`;
const chains = new Map(); // chain name -> where we stand on it
let request = null; // the one that is out: {id, prefixes, heard}
let requests = 0;
let failures = 0;
let notBefore = 0;
let needAll = false;
let heard = null;

const unpack = (frame) => decode(frame, { useBigInt64: true });
const say = (what, chain, more = {}) =>
  console.log(JSON.stringify({ what, chain: chain.name, seq: chain.last, ...more }));

function chainOf(name) {
  if (!chains.has(name)) {
    chains.set(name, {
      name, epoch: null, last: 0, claimed: 0, broken: true, suspect: false, restoring: false,
      need: false, held: [], rebuild: null, bids: new Map(), asks: new Map(), trust: null, venueSeq: null,
    });
  }
  return chains.get(name);
}

const trusted = (chain) => !chain.broken && !chain.suspect && !chain.restoring && USABLE.has(chain.trust);

function header(frame) {
  const [schema, , epoch, seq] = unpack(frame);
  if (schema !== SCHEMA) throw new Error(`schema ${schema}, this reader knows ${SCHEMA}`);
  return { epoch: BigInt(epoch), seq: Number(seq) };
}

// -- books -----------------------------------------------------------------------------------------------------------

function replace(side, prices, sizes) {
  side.clear();
  prices.forEach((price, i) => sizes[i] > 0 && side.set(price, sizes[i]));
}

function change(side, prices, sizes) {
  prices.forEach((price, i) => (sizes[i] > 0 ? side.set(price, sizes[i]) : side.delete(price)));
}

function best(chain) {
  const [bid, ask] = [Math.max(...chain.bids.keys()), Math.min(...chain.asks.keys())];
  return { bid, bid_size: chain.bids.get(bid), ask, ask_size: chain.asks.get(ask) };
}

function apply(chain, kind, seq, payload) {
  const fields = unpack(payload);
  if (kind === "book") {
    const [, venueSeq, trust, rebuild, , bidPx, bidSz, askPx, askSz] = fields;
    replace(chain.bids, bidPx, bidSz);
    replace(chain.asks, askPx, askSz);
    Object.assign(chain, { trust, rebuild, venueSeq });
  } else {
    const [, venueSeq, trust, rebuild, bidPx, bidSz, askPx, askSz] = fields;
    if (rebuild !== chain.rebuild) throw new Error(`a delta of rebuild ${rebuild} after ${chain.rebuild}`);
    change(chain.bids, bidPx, bidSz);
    change(chain.asks, askPx, askSz);
    Object.assign(chain, { trust, venueSeq });
  }
  chain.last = seq;
  say("book", chain, { trusted: trusted(chain), venue_seq: Number(chain.venueSeq), ...best(chain) });
}

// -- order, losses, healing ------------------------------------------------------------------------------------------

function broke(chain, why) {
  if (!chain.broken) say("lost", chain, { why });
  chain.broken = true;
  chain.restoring = false;
}

// A whole book says everything, so messages missing before it need no healing; they are told all the same.
function skipped(chain, seq) {
  if (chain.last && seq > chain.last + 1) say("lost", chain, { why: `${chain.last + 1}-${seq - 1} are missing` });
}

function needed(chain) {
  chain.need = true;
  ask();
}

function healed(chain) {
  if (chain.last < chain.claimed) return needed(chain); // more is known to exist than we have reached
  const was = chain.broken || chain.suspect || chain.restoring;
  Object.assign(chain, { broken: false, suspect: false, restoring: false, need: false });
  if (was) say("healed", chain, { trusted: trusted(chain), venue_seq: Number(chain.venueSeq), ...best(chain) });
}

// Whether a message of this epoch counts; the greater one is newer, and ends all that the lower one sent.
function sameRun(chain, epoch) {
  if (chain.epoch === epoch) return true;
  if (chain.epoch !== null && epoch < chain.epoch) return false;
  const old = chain.epoch;
  for (const other of chains.values()) {
    if (other === chain || (old !== null && other.epoch === old)) {
      broke(other, "restart");
      Object.assign(other, { epoch: null, last: 0, claimed: 0, held: [], need: false });
    }
  }
  chain.epoch = epoch;
  return true;
}

// One message of the stream, in the order sent.
function received(chain, kind, { epoch, seq }, payload) {
  if (!sameRun(chain, epoch)) return;
  if (kind === "book") {
    if (!chain.broken && !chain.restoring && seq <= chain.last) return;
    if (!chain.broken && !chain.restoring) skipped(chain, seq);
    chain.held = [];
    chain.broken = chain.restoring = false;
    apply(chain, kind, seq, payload);
    healed(chain);
  } else if (chain.broken || chain.restoring) {
    chain.held.push([seq, payload]);
    needed(chain);
  } else if (seq === chain.last + 1) {
    apply(chain, kind, seq, payload);
    if (chain.suspect) healed(chain);
  } else if (seq > chain.last + 1) {
    broke(chain, `${chain.last + 1}-${seq - 1} are missing`);
    chain.held = [[seq, payload]];
    needed(chain);
  }
}

// One message of an answer: the same rules, except that a broken book takes a whole one whatever its sequence.
function restore(chain, kind, { epoch, seq }, payload) {
  if (!sameRun(chain, epoch)) return;
  chain.answered = true;
  if (kind === "book" ? chain.broken || seq > chain.last : !chain.broken && seq === chain.last + 1) {
    if (kind === "book") {
      if (!chain.broken) skipped(chain, seq);
      Object.assign(chain, { broken: false, restoring: true });
    }
    apply(chain, kind, seq, payload);
  } else if (kind === "delta" && !chain.broken && seq > chain.last + 1) {
    broke(chain, "a hole in the answer");
  }
}

function answeredAll() {
  for (const chain of chains.values()) {
    if (!chain.answered) continue;
    chain.answered = false;
    for (const [seq, payload] of chain.held) {
      if (chain.broken || seq <= chain.last) continue;
      if (seq === chain.last + 1) apply(chain, "delta", seq, payload);
      else broke(chain, "a hole among what was held");
    }
    if (!chain.broken) {
      chain.held = [];
      healed(chain);
    }
  }
  request = null;
  needAll = false;
  const still = [...chains.values()].some((chain) => chain.need);
  failures = still ? failures + 1 : 0;
  notBefore = Date.now() + (still ? Math.min(25 * 2 ** failures, 2_000) : 20);
}

// -- asking for state ------------------------------------------------------------------------------------------------

const dealer = new zmq.Dealer({ routingId: identity, linger: 0, immediate: true, sendTimeout: 0 });

function ask() {
  const prefixes = needAll ? ["book."] : [...chains.values()].filter((c) => c.need).map((c) => c.name);
  if (heard === null || request || !prefixes.length || Date.now() < notBefore) return;
  const wish = needAll ? "STATE" : failures ? "FRESH" : "HEAL";
  request = { id: `${++requests}`, heard: Date.now() };
  dealer.send([wish, request.id, ...prefixes.slice(0, 1_000)]).catch(() => {}); // asked again when its time is over
}

async function answers() {
  for await (const [word, id, ...rest] of dealer) {
    if (!request || id.toString() !== request.id) continue;
    request.heard = Date.now();
    if (word.toString() === "ITEM") message(restore, ...rest);
    else if (word.toString() === "END") answeredAll();
    else if (word.toString() === "REFUSED") {
      request = null;
      notBefore = Date.now() + Number(rest[0].toString());
    }
  }
}

setInterval(() => {
  const now = Date.now();
  if (request && now > request.heard + ANSWER_MS) {
    request = null;
    failures += 1;
    notBefore = now + Math.min(25 * 2 ** failures, 2_000);
  }
  if (heard !== null && now > heard + SILENCE_MS) distrustAll("silence");
  ask();
}, 10);

// -- the stream ------------------------------------------------------------------------------------------------------

function distrustAll(why) {
  for (const chain of chains.values()) {
    if (!chain.broken && !chain.suspect) say("distrusted", chain, { why });
    chain.suspect = true;
  }
  needAll = true;
}

function message(take, topic, head, payload) {
  const [kind, venue, ...rest] = topic.toString().split(".");
  if ((kind !== "book" && kind !== "delta") || rest.join(".") !== market) return;
  const chain = chainOf(`book.${venue}.${market}`);
  try {
    take(chain, kind, header(head), payload);
  } catch (error) {
    broke(chain, String(error));
    needed(chain);
  }
}

// The sender says up to where it has sent: what we have not got of that is lost.
function beaten(epoch, claims) {
  for (const [name, last] of Object.entries(claims)) {
    if (!name.startsWith("book.") || !name.endsWith(`.${market}`)) continue;
    const chain = chainOf(name);
    if (!sameRun(chain, epoch)) continue;
    const newest = chain.held.length ? chain.held.at(-1)[0] : chain.last;
    if (Number(last) > newest) {
      broke(chain, `up to ${last} was sent`);
      Object.assign(chain, { claimed: Number(last), held: [] });
      needed(chain);
    }
  }
}

async function stream() {
  const sub = new zmq.Subscriber({ receiveHighWaterMark: 20_000, linger: 0, reconnectInterval: 10 });
  sub.subscribe("book.", "delta.", "heartbeat.");
  sub.subscribe(`~${identity}`); // last: the welcome says that all of them are in force
  sub.connect(`${base}/market_out`);
  dealer.connect(`${base}/resync`);
  answers();
  for await (const [topic, head, payload] of sub) {
    heard = Date.now();
    const name = topic.toString();
    if (name === `~${identity}`) {
      request = null;
      distrustAll("reconnected");
      ask();
    } else if (name.startsWith("heartbeat.")) {
      beaten(header(head).epoch, unpack(payload)[3]);
    } else {
      message(received, topic, head, payload);
    }
  }
}

await stream();
