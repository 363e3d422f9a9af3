"""The engine's own supervision, independent of the protocols' deadlines.

It looks after silent connections and markets, recoveries that take too long, and the planned change to a fresh
connection before the venue ends the old one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bus.counters import Counter
from bus.events import Reason, State
from connectors.effects import Now, Refusal
from connectors.engine import MS, Engine
from connectors.generation import Generation
from connectors.links import Phase

TICK_NS: Final = 250 * MS
SECOND_NS: Final = 1_000 * MS
MARKET_FACTOR: Final = 3
"""A market's book silent for so many times its stale threshold is beyond what the protocol should have caught."""
RECOVERY_NS: Final = 30 * SECOND_NS
"""A recovery that takes longer is called down, and restarted from nothing if its connections are open."""
ESCALATE_CAP_NS: Final = 600 * SECOND_NS
STANDBY_NS: Final = 60 * SECOND_NS
"""A standby that has not taken over by then is given up and tried again later."""

LOOK_NS: Final = 10 * MS
"""Between two looks at whether a standby has come as far as the one on air."""
OVERLAP_NS: Final = SECOND_NS // 2
"""How long both connections are to have brought everything: trades are in no snapshot, and some venues repeat none."""
ROTATED_NS: Final = 2 * SECOND_NS
"""Between two rotations, whatever a venue says of its connections."""


class Watch(msgspec.Struct):
    """Periodic supervision of one engine; call it as ``engine.watch``."""

    escalations: int = 0
    escalate_at: int = 0
    rotate_at: int = 0
    ready_since: int | None = None

    def __call__(self, engine: Engine, now: Now) -> None:
        """Look at everything once and act."""
        engine.watch_at = now.mono + TICK_NS
        self._connections(engine, now)
        self._markets(engine, now)
        self._standby(engine, now)
        self._recovery(engine, now)

    @staticmethod
    def _connections(engine: Engine, now: Now) -> None:
        """No byte for too long; an attempt that never ended (a resolver or a handshake that hangs)."""
        silence = engine.settings.read_timeout_ms * MS
        patience = 3 * engine.settings.connect_timeout_ms * MS
        for generation in engine.generations():
            for link in list(generation.links.values()):
                if link.phase is Phase.OPEN and now.mono - link.last_rx > silence:
                    detail = f"no frame for {(now.mono - link.last_rx) / 1e9:.1f} s"
                    engine.give_up(generation, link, Reason.READ_TIMEOUT, detail, now)
                elif link.phase is Phase.CONNECTING and now.mono - link.opened_at > patience:
                    engine.ports.drop(link.key)
                    detail = f"the attempt never ended, {patience / 1e9:.0f} s"
                    engine.refused(link.key, Refusal(Reason.CONNECT_TIMEOUT, detail), now)

    @staticmethod
    def _markets(engine: Engine, now: Now) -> None:
        """A live book that nothing has confirmed for long: the protocol's own watch must have failed."""
        active = engine.active
        limit = MARKET_FACTOR * engine.settings.stale_ms * MS
        for market in sorted(active.live):  # in an order that a replay meets again
            view = active.views[market]
            silent = now.mono - view.confirmed
            link = active.links.get(view.feeding or "")
            if silent > limit and link is not None and link.phase is Phase.OPEN:
                engine.give_up(active, link, Reason.STALE_WATCHDOG, f"{market} silent for {silent / 1e9:.1f} s", now)

    def _recovery(self, engine: Engine, now: Now) -> None:
        """A venue that is connected and does not become whole is started anew beside the old, or instead of it."""
        lost = engine.active.known - engine.active.live
        since = [engine.teller.health.since_mono(market) for market in lost]
        overdue = bool(since) and now.mono - min(since) > RECOVERY_NS
        if not overdue:
            if not lost:
                self.escalations = 0
            return
        engine.teller.move(engine.not_live(), State.DOWN, "recovery_budget", "", now)
        if now.mono < self.escalate_at or engine.standby is not None or not engine.active.open_links():
            return
        engine.counters.add(Counter.ESCALATIONS)
        fields = {"markets": sorted(lost), "attempt": self.escalations + 1}
        engine.ports.log("warning", "escalation", fields)
        self.escalate_at = now.mono + min(ESCALATE_CAP_NS, 2 * RECOVERY_NS << min(self.escalations, 6))
        self.escalations += 1
        if engine.active.live:
            engine.begin_standby(now, rescue=frozenset(lost))
        else:
            engine.replace_active(now)

    def _standby(self, engine: Engine, now: Now) -> None:
        standby = engine.standby
        if standby is not None:
            if self._ready(engine, standby, now):
                self._take_over(engine, now)
            elif now.mono - standby.born > STANDBY_NS:
                engine.ports.log("warning", "standby_failed", {"live": sorted(standby.live)})
                engine.end_standby()
                self.ready_since = None
            return
        why = self._outworn(engine, now)
        if why and now.mono >= self.rotate_at and engine.teller.health.state() is State.LIVE:
            self.rotate_at = now.mono + 2 * STANDBY_NS
            engine.ports.log("info", "rotation", {"why": why})
            engine.begin_standby(now)

    @staticmethod
    def _outworn(engine: Engine, now: Now) -> str:
        """Why the connections on air are to be replaced: the venue's word, or their age; empty when they are not."""
        limit = engine.settings.session_age_ms * MS or engine.spec.session_age_ns
        oldest = engine.active.oldest_open()
        if limit is not None and oldest is not None and now.mono - oldest >= limit:
            return f"{(now.mono - oldest) / 1e9:.0f} s old"
        return engine.active.outgoing() or ""

    def _ready(self, engine: Engine, standby: Generation, now: Now) -> bool:
        """Whether the standby may take over; a planned change waits a little more, for what is no book to flow, too."""
        if not standby.may_replace(engine.active):
            whole = False
        elif standby.rescue:
            return True
        else:
            whole = all(link.phase is Phase.OPEN for link in standby.links.values())
            self.ready_since = self.ready_since or (now.mono if whole else None)
        if self.ready_since is None:
            return False
        # Two streams of many frames are seldom seen at the same place: look often.
        engine.watch_at = now.mono + LOOK_NS
        return whole and now.mono - self.ready_since >= OVERLAP_NS

    def _take_over(self, engine: Engine, now: Now) -> None:
        self.rotate_at, self.ready_since = now.mono + ROTATED_NS, None
        engine.counters.add(Counter.ROTATIONS)
        engine.take_over(now)
        engine.ports.log("info", "took_over", {"live": sorted(engine.active.live)})
