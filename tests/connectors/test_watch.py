"""The engine's own supervision works with the protocol's deadlines switched off, and never hurts what is well."""

from __future__ import annotations

from itertools import pairwise

from bus.counters import Counter
from bus.events import Book, Instrument, Reason, State, Trade, Trust
from connectors.effects import Emit, Open, Rotate
from connectors.engine import MS
from connectors.health import Health
from connectors.venue import VenueSpec
from connectors.watch import RECOVERY_NS, STANDBY_NS, Watch
from tests.connectors.doubles import MARKET, SPEC, FakeProtocol, Rig, S, at

AGED = VenueSpec("fake", 3_600 * S, None, None, None)


def rig(spec: VenueSpec = SPEC) -> Rig:
    found = Rig(spec)
    found.engine.watch = Watch()
    return found


def run(made: Rig, start: int, end: int, *, frames: str = "", step: int = S) -> None:
    """Time passes; on connections named in ``frames`` a live book arrives at every step."""
    for now in range(start, end, step):
        for key in frames.split():
            generation = int(key.partition("/")[0])
            made.receive(made.protocols[generation - 1].live(at(now)), now, key)
        made.engine.woken(at(now))


def test_a_connection_without_a_byte_is_given_up() -> None:
    made = rig()
    made.engine.start(at(0))
    made.engine.opened("1/main", at(0))
    run(made, 0, 32 * S)
    assert made.ports.reasons() == [Reason.READ_TIMEOUT]


def test_a_live_market_that_nothing_confirms_is_given_up_although_frames_flow() -> None:
    made = rig()
    made.up()
    for now in range(0, 40 * S, S):
        made.receive([], now)
        made.engine.woken(at(now))
        if made.ports.reasons():
            break
    assert made.ports.reasons() == [Reason.STALE_WATCHDOG]
    assert 30 * S < now <= 32 * S, "three times the stale threshold"


def test_a_confirmed_market_is_left_alone_for_ever() -> None:
    made = rig()
    made.up()
    run(made, S, 1_200 * S, frames="1/main")
    assert made.ports.reasons() == []
    assert made.counters.get(Counter.ESCALATIONS) == 0


def test_an_attempt_that_never_ends_is_taken_for_failed() -> None:
    made = rig()
    made.engine.start(at(0))
    run(made, 0, 32 * S)
    assert made.ports.reasons() == [Reason.CONNECT_TIMEOUT]
    assert made.ports.drops == ["1/main"]


def test_a_recovery_over_its_budget_is_called_down_and_started_from_nothing() -> None:
    made = rig()
    made.engine.start(at(0))
    made.engine.opened("1/main", at(0))
    for now in range(0, RECOVERY_NS + 2 * S, S):
        made.receive([], now)
        made.engine.woken(at(now))
    assert made.counters.get(Counter.ESCALATIONS) == 1
    assert made.ports.states()[-1] == State.DOWN
    assert made.ports.connects[-1][0] == "2/main"
    assert "1/main" in made.ports.drops
    made.engine.opened("2/main", at(40 * S))
    made.receive(made.protocol.live(at(40 * S)), 40 * S, "2/main")
    assert made.engine.teller.health.state() is State.LIVE


def test_restarts_from_nothing_come_less_and_less_often() -> None:
    made = rig()
    made.engine.start(at(0))
    times = []
    for now in range(0, 1_000 * S, S):
        key = f"{len(made.protocols)}/main"
        if any(each == key for each, _ in made.ports.connects) and not made.engine.active.open_links():
            made.engine.opened(key, at(now))
        made.receive([], now, key)
        before = len(made.protocols)
        made.engine.woken(at(now))
        if len(made.protocols) > before:
            times.append(now // S)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 60
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 2 * gaps[0]


def test_without_an_open_connection_there_is_nothing_to_escalate() -> None:
    made = rig()
    made.up()
    made.engine.lost("1/main", Reason.WS_CLOSED, "", at(S))
    run(made, 2 * S, 120 * S)
    assert made.counters.get(Counter.ESCALATIONS) == 0
    assert made.ports.states()[-1] == State.DOWN


def test_a_market_that_the_venue_does_not_list_escalates_nothing() -> None:
    made = rig()
    made.up()
    made.engine.active.known.clear()
    made.receive(made.protocol.feed.invalidate(Trust.RESYNC), S)
    for now in range(2 * S, 90 * S, S):
        made.receive([], now)
        made.engine.woken(at(now))
    assert made.counters.get(Counter.ESCALATIONS) == 0


def test_one_sick_market_is_escalated_beside_the_healthy_ones() -> None:
    made = rig()
    made.up()
    made.receive([Emit("ETH-PERP", Instrument("ETH", "0.1", "0.001", "USD"))], S)
    made.engine.settings = type(made.engine.settings)(
        ws_url="ws://venue", rest_url="http://venue", markets=(MARKET, "ETH-PERP")
    )
    made.engine.teller.health = Health((MARKET, "ETH-PERP"), at(S))
    run(made, 2 * S, 2 * RECOVERY_NS, frames="1/main")
    assert made.counters.get(Counter.ESCALATIONS) == 1
    assert made.engine.standby is not None
    made.engine.opened("2/main", at(2 * RECOVERY_NS))
    run(made, 2 * RECOVERY_NS, 2 * RECOVERY_NS + STANDBY_NS + S, frames="1/main 2/main")
    assert made.engine.active.number == 1, "what is live stays on air while nothing is gained"
    assert made.ports.said("standby_failed")


def test_a_rescue_that_brings_a_market_back_takes_over_at_once() -> None:
    made = rig()
    made.up()
    made.engine.begin_standby(at(S), rescue=frozenset({MARKET}))
    made.engine.opened("2/main", at(S))
    run(made, S, 2 * S, frames="1/main 2/main")
    assert made.engine.active.number == 2


def test_an_aged_connection_is_left_for_a_fresh_one_without_a_stale_moment() -> None:
    made = rig(AGED)
    made.up()
    run(made, S, 3_600 * S, frames="1/main", step=10 * S)
    assert made.engine.standby is None
    run(made, 3_600 * S, 3_602 * S, frames="1/main")
    assert made.engine.standby is not None
    made.engine.opened("2/main", at(3_602 * S))
    run(made, 3_602 * S, 3_604 * S, frames="1/main 2/main")
    assert made.counters.get(Counter.ROTATIONS) == 1
    assert made.engine.active.number == 2
    assert made.ports.reasons() == []
    assert made.ports.states()[-1] == State.LIVE
    rebuilds = [event.rebuild for _, event in made.ports.events if isinstance(event, Book)]
    assert rebuilds == sorted(rebuilds)
    run(made, 3_604 * S, 3_800 * S, frames="2/main")
    assert made.engine.standby is None


def test_a_standby_waits_until_it_has_come_as_far_as_the_one_on_air() -> None:
    made = rig(AGED)
    made.up()
    run(made, 3_600 * S, 3_601 * S, frames="1/main")
    made.engine.opened("2/main", at(3_601 * S))
    behind = made.protocols[1].live(at(3_601 * S), venue_ns=at(3_500 * S).wall)
    made.receive(behind, 3_601 * S, "2/main")
    made.engine.woken(at(3_602 * S))
    assert made.engine.active.number == 1
    run(made, 3_603 * S, 3_605 * S, frames="1/main 2/main")
    assert made.engine.active.number == 2


def test_a_standby_that_does_not_become_whole_is_given_up_and_tried_again_later() -> None:
    made = rig(AGED)
    made.up()
    run(made, 3_600 * S, 3_601 * S, frames="1/main")
    run(made, 3_601 * S, 3_601 * S + STANDBY_NS + 2 * S, frames="1/main")
    assert made.engine.standby is None
    assert made.ports.said("standby_failed")
    run(made, 3_664 * S, 3_730 * S, frames="1/main")
    assert len(made.protocols) == 3
    assert made.engine.active.number == 1
    assert made.ports.states()[-1] == State.LIVE


def test_what_a_venue_says_it_will_end_is_left_before_that_and_only_once() -> None:
    made = rig()
    made.up()
    made.receive([Rotate("main", "closes in 30 s"), Rotate("gone", "closes in 1 s")], S)
    made.engine.woken(at(S))
    assert made.ports.said("rotation") == [{"why": "closes in 30 s"}]
    made.engine.opened("2/main", at(2 * S))
    run(made, 2 * S, 10 * S, frames="1/main 2/main")
    assert made.engine.active.number == 2
    assert made.engine.standby is None
    assert made.ports.reasons() == []


def test_what_the_venue_has_ended_itself_needs_no_leaving() -> None:
    made = rig()
    made.up()
    made.receive([Rotate("main", "closes in 0 s")], S)
    made.engine.lost("1/main", Reason.WS_CLOSED, "1001", at(S))
    made.engine.opened("1/main", at(2 * S))
    run(made, 3 * S, 20 * S, frames="1/main")
    assert made.ports.said("rotation") == []


def test_a_venue_that_asks_for_it_all_the_time_is_not_left_all_the_time() -> None:
    made = rig()
    made.up()
    for now in range(S, 11 * S, 250 * MS):
        number = made.engine.active.number
        made.receive([Rotate("main", "closes"), *made.protocols[number - 1].live(at(now))], now, f"{number}/main")
        if made.engine.standby is not None:
            if not made.engine.standby.open_links():
                made.engine.opened(f"{number + 1}/main", at(now))
            made.receive(made.protocols[number].live(at(now)), now, f"{number + 1}/main")
        made.engine.woken(at(now))
    assert 2 <= made.counters.get(Counter.ROTATIONS) <= 5


def test_a_standby_takes_over_only_when_all_its_connections_have_been_open_for_a_while() -> None:
    made = rig(AGED)
    made.up()
    run(made, 3_600 * S, 3_601 * S, frames="1/main")
    made.protocols[1].script["opened"] = [Open("trades", "ws://venue/trades")]
    made.engine.opened("2/main", at(3_601 * S))
    run(made, 3_601 * S, 3_610 * S, frames="1/main 2/main")
    assert made.engine.active.number == 1, "its trades do not flow yet"
    made.engine.opened("2/trades", at(3_610 * S))
    run(made, 3_610 * S, 3_610 * S + 400 * MS, frames="1/main 2/main", step=100 * MS)
    assert made.engine.active.number == 1
    made.receive(made.protocols[0].live(at(3_610 * S + 500 * MS)), 3_610 * S + 500 * MS, "1/main")
    made.engine.woken(at(3_610 * S + 500 * MS))
    assert made.engine.active.number == 1, "the one on air is ahead just now"
    assert made.engine.watch_at <= 3_610 * S + 510 * MS
    run(made, 3_610 * S + 510 * MS, 3_610 * S + 520 * MS, frames="1/main 2/main")
    assert made.engine.active.number == 2


def test_rotation_waits_while_the_venue_is_not_whole() -> None:
    made = rig(AGED)
    made.up()
    made.receive(made.protocol.feed.invalidate(Trust.RESYNC), 3_600 * S)
    made.engine.woken(at(3_600 * S))
    assert made.engine.standby is None


def test_trades_seen_by_both_connections_are_published_once() -> None:
    made = rig(AGED)
    made.up()
    run(made, 3_600 * S, 3_601 * S, frames="1/main")
    made.engine.opened("2/main", at(3_601 * S))

    def trade(protocol: FakeProtocol, number: str) -> list[Emit]:
        if not protocol.context.seen.first_time(MARKET, number):
            return []
        return [Emit(MARKET, Trade(1, number, None, 100.0, 1.0, history=False))]

    for number in ("1", "2", "3"):
        made.receive([*trade(made.protocols[0], number)], 3_602 * S, "1/main")
        made.receive([*trade(made.protocols[1], number)], 3_602 * S, "2/main")
    made.receive([*trade(made.protocols[1], "4")], 3_602 * S, "2/main")
    made.receive([*trade(made.protocols[0], "4")], 3_602 * S, "1/main")
    ids = [event.trade_id for _, event in made.ports.events if isinstance(event, Trade)]
    assert ids == ["1", "2", "3", "4"]
    assert made.engine.deadline is not None
    assert made.engine.deadline <= 3_602 * S + 250 * MS
