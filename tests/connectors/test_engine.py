"""The engine keeps connections open, obeys limits, counts reasons and tells status, whatever the venue."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bus.counters import Counter
from bus.events import NO_MARKET, Book, Delta, Reason, State, Trade, Trust
from connectors.effects import (
    Close,
    Count,
    Emit,
    Fetch,
    Note,
    Open,
    Ping,
    Reconnect,
    Refusal,
    Reject,
    Reply,
    Send,
)
from connectors.links import REJECT_LIMIT
from connectors.venue import VenueSpec
from tests.connectors.doubles import MARKET, MS, SPEC, Rig, S, at

REFUSED = Refusal(Reason.CONNECT_ERROR, "connection refused")


@dataclass
class Told:
    """What consumers learn of one market, in order."""

    what: list[str]


def story(rig: Rig) -> list[str]:
    """Books, deltas and statuses of the market in the order they were published."""
    found = []
    for market, event in rig.ports.events:
        if market == MARKET:
            if isinstance(event, Book | Delta):
                found.append(f"{event.kind} {event.trust}")
            elif event.kind == "status":
                found.append(f"status {event.state}")  # type: ignore[union-attr]
    return found


def test_a_start_connects_and_a_book_makes_the_market_live() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    assert rig.ports.connects == [("1/main", "ws://venue/main")]
    rig.engine.opened("1/main", at(1))
    rig.receive(rig.protocol.live(at(2)), 2)
    assert story(rig) == ["status init", "status connecting", "status syncing", "book live", "status live"]
    assert rig.engine.teller.health.state(NO_MARKET) is State.LIVE


def test_a_lost_connection_invalidates_before_anything_else_and_is_tried_again_with_backoff() -> None:
    rig = Rig()
    rig.up()
    rig.engine.lost("1/main", Reason.WS_CLOSED, "1006", at(5 * S))
    assert story(rig)[-2:] == ["delta resync", "status recovering"]
    assert rig.ports.reasons() == [Reason.WS_CLOSED]
    assert rig.counters.snapshot()["reconnect.ws_closed"] == 1
    assert rig.engine.deadline == 5 * S + 250 * MS
    rig.engine.woken(at(5 * S + 249 * MS))
    assert len(rig.ports.connects) == 1
    rig.engine.woken(at(5 * S + 250 * MS))
    assert len(rig.ports.connects) == 2


def test_backoff_grows_while_attempts_fail_and_resets_after_a_minute_of_healthy_data() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    now, waits = 0, []
    for _ in range(7):
        rig.engine.refused("1/main", REFUSED, at(now))
        assert rig.engine.deadline is not None
        waits.append((rig.engine.deadline - now) / S)
        now = rig.engine.deadline
        rig.engine.woken(at(now))
    assert waits == [0.25, 1, 2, 4, 8, 16, 30]
    assert rig.engine.teller.health.state(MARKET) is State.DOWN
    rig.engine.opened("1/main", at(now))
    for second in range(62):
        rig.receive(rig.protocol.live(at(now)), now + second * S)
    rig.engine.lost("1/main", Reason.STREAM_ENDED, "", at(now + 62 * S))
    assert rig.engine.deadline == now + 62 * S + 250 * MS


def test_short_lived_connections_do_not_reset_the_backoff() -> None:
    """A server that accepts and closes at once must not get a storm."""
    rig = Rig()
    rig.engine.start(at(0))
    now = 0
    for _ in range(200):
        rig.engine.opened("1/main", at(now))
        rig.engine.lost("1/main", Reason.WS_CLOSED, "at once", at(now))
        assert rig.engine.deadline is not None
        now = rig.engine.deadline
        attempts = len(rig.ports.connects)
        while len(rig.ports.connects) == attempts:
            rig.engine.woken(at(now))
            now = max(now, rig.engine.deadline or now)
    assert now / S > 200 * 20, "half a minute an attempt once it has settled"
    assert rig.counters.get(Counter.BREAKER_OPENINGS) > 0


def test_an_answer_for_a_generation_that_is_gone_is_ignored() -> None:
    rig = Rig()
    rig.up()
    rig.engine.fetched("7", Fetch("book", "http://venue/book"), Reply(200), at(1))
    assert ("fetched", "book") not in rig.protocol.calls


def test_a_send_that_fails_gives_the_connection_up() -> None:
    rig = Rig()
    rig.up()
    rig.ports.problem = "broken pipe"
    rig.receive([Send("main", "a"), Send("main", "b")], 1)
    assert rig.ports.reasons() == [Reason.PING_SEND_FAIL]
    assert [text for _, text in rig.ports.sent] == ["a"]


def test_a_ping_goes_out_and_its_failure_gives_the_connection_up() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Ping("main")], 1)
    assert rig.ports.pings == ["1/main"]
    rig.ports.problem = "broken pipe"
    rig.receive([Ping("main")], 2)
    assert rig.ports.reasons() == [Reason.PING_SEND_FAIL]
    rig.engine.received("1/main", b"late", False, at(3))


def test_effects_for_connections_that_are_not_open_do_nothing() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    rig.protocol.script["woken"] = [Send("main", "x"), Ping("main"), Reconnect("main", Reason.SEQ_GAP, ""), Close("no")]
    rig.protocol.deadline = 1
    rig.engine.woken(at(1))
    assert (rig.ports.sent, rig.ports.pings, rig.ports.reasons(), rig.ports.drops) == ([], [], [], [])


def test_a_protocol_can_ask_for_a_reconnect_and_hears_closed_before_anything_more() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Reconnect("main", Reason.SEQ_GAP, "7 after 5"), Send("main", "late")], 1)
    assert rig.ports.reasons() == [Reason.SEQ_GAP]
    assert rig.protocol.calls[-1] == ("closed", "main")
    assert rig.ports.sent == []


def test_a_closed_wish_is_not_opened_again() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Close("main")], 1)
    assert rig.ports.drops == ["1/main"]
    rig.engine.lost("1/main", Reason.WS_CLOSED, "", at(2))
    rig.engine.refused("1/main", REFUSED, at(2))
    rig.engine.opened("1/main", at(2))
    rig.engine.ponged("1/main", at(2))
    assert rig.ports.reasons() == []
    assert rig.engine.deadline is None


def test_opening_the_same_url_again_changes_nothing_and_another_url_replaces_the_wish() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    rig.protocol.script["refused"] = [Open("main", "ws://venue/main"), Open("main", "ws://venue/main?version=1")]
    rig.engine.refused("1/main", Refusal(Reason.HTTP_STATUS, "HTTP 400", 400), at(0))
    assert rig.engine.deadline == 250 * MS
    rig.engine.woken(at(250 * MS))
    assert rig.ports.connects[-1] == ("1/main", "ws://venue/main?version=1")
    rig.engine.opened("1/main", at(S))
    rig.receive([Open("main", "ws://venue/other")], S)
    rig.engine.woken(at(S))
    assert rig.ports.drops[-1] == "1/main"
    assert rig.ports.connects[-1] == ("1/main", "ws://venue/other")


def test_a_row_of_bad_frames_gives_the_connection_up_and_a_good_one_between_starts_the_count_anew() -> None:
    rig = Rig()
    rig.up()
    bad = Reject("main", "not JSON", b"\xff{")
    for number in range(REJECT_LIMIT - 1):
        rig.receive([bad], number)
    rig.receive([], REJECT_LIMIT)
    for number in range(REJECT_LIMIT - 1):
        rig.receive([bad], number)
    assert rig.ports.reasons() == []
    rig.receive([bad], 100)
    assert rig.ports.reasons() == [Reason.DECODE_FAIL_LOOP]
    assert rig.counters.get(Counter.BAD_FRAMES) == 2 * REJECT_LIMIT - 1
    samples = rig.ports.said("bad_frame")
    assert len(samples) == 5, "a bounded sample a minute"
    assert samples[0]["sample"] == "\\xff{"
    rig.receive([Reject("gone", "late", b"")], 101)


def test_a_stream_that_falls_behind_is_given_up_for_drift() -> None:
    rig = Rig()
    rig.up()
    for tick in range(1, 600):
        now = at(tick * 100 * MS)
        if rig.ports.reasons():
            break
        rig.receive(rig.protocol.live(now, at(int(tick * 100 * MS * 0.8)).wall), now.mono)
    assert rig.ports.reasons() == [Reason.DRIFT]
    rig.receive(rig.protocol.live(at(61 * S)), 61 * S)


def test_counts_and_notes_are_passed_on() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Count(Counter.SEQ_GAPS.label), Note("warning", "unlisted", {"market": "X"})], 1)
    assert rig.counters.get(Counter.SEQ_GAPS) == 1
    assert rig.ports.logs[-1] == ("warning", "unlisted", {"market": "X"})


def test_pongs_count_as_signs_of_life_and_reach_the_protocol() -> None:
    rig = Rig()
    rig.up()
    rig.engine.ponged("1/main", at(7 * S))
    assert rig.protocol.calls[-1] == ("ponged", "main")
    assert rig.engine.active.links["main"].last_rx == 7 * S


def test_the_protocol_is_woken_at_its_deadline_even_while_frames_never_pause() -> None:
    rig = Rig()
    rig.up()
    rig.protocol.deadline = 5 * MS
    for step in range(1, 80):
        rig.receive([], step * 100_000)
        if rig.engine.deadline is not None and rig.engine.deadline <= step * 100_000:
            rig.engine.woken(at(step * 100_000))
    assert ("woken", None) in rig.protocol.calls


def test_the_deadline_is_exact_once_settled_however_little_time_has_passed_since_it_was_worked_out() -> None:
    rig = Rig()
    rig.up()
    rig.engine.refresh(at(S))
    rig.protocol.deadline = S + 7
    rig.engine.settle(at(S + 1))
    assert rig.engine.deadline != S + 7, "nothing has come since"
    rig.receive([], S + 2)
    assert rig.engine.deadline != S + 7
    rig.engine.settle(at(S + 3))
    assert rig.engine.deadline == S + 7


def test_a_clock_step_is_counted_and_logged() -> None:
    rig = Rig()
    rig.up()
    rig.engine.woken(at(1))
    rig.engine.woken(type(at(0))(2, at(0).wall + 3_600 * S))
    assert rig.counters.get(Counter.CLOCK_JUMPS) == 1
    assert rig.ports.said("clock_jump")


def test_an_operator_can_have_everything_reconnected() -> None:
    rig = Rig()
    rig.up()
    rig.engine.command_reconnect(at(1))
    assert rig.ports.reasons() == [Reason.COMMANDED]


@pytest.mark.parametrize("spec", [SPEC])
def test_a_standby_takes_over_with_its_whole_state_and_trades_of_both_pass(spec: VenueSpec) -> None:
    rig = Rig(spec)
    rig.up()
    rig.engine.begin_standby(at(S))
    rig.engine.opened("2/main", at(S))
    books = len([event for _, event in rig.ports.events if isinstance(event, Book)])
    trade = Emit(MARKET, Trade(1, "9", None, 100.0, 1.0, history=False))
    rig.receive([*rig.protocols[1].live(at(2 * S)), trade], 2 * S, "2/main")
    assert len([event for _, event in rig.ports.events if isinstance(event, Book)]) == books, "held back"
    assert rig.ports.events[-1] == (MARKET, trade.event)
    assert rig.engine.standby is not None
    assert rig.engine.standby.may_replace(rig.engine.active)
    rig.engine.take_over(at(3 * S))
    assert rig.ports.drops == ["1/main"]
    book = next(event for _, event in reversed(rig.ports.events) if isinstance(event, Book))
    assert (book.trust, book.rebuild) == (Trust.LIVE, 2)
    assert rig.ports.reasons() == []
    rig.engine.take_over(at(4 * S))
    rig.engine.end_standby()


def test_a_standby_can_be_given_up_and_the_active_one_replaced() -> None:
    rig = Rig()
    rig.up()
    rig.engine.begin_standby(at(S))
    rig.engine.end_standby()
    assert rig.ports.drops == ["2/main"]
    rig.engine.replace_active(at(2 * S))
    assert rig.ports.connects[-1][0] == "3/main"


def test_after_an_outage_the_first_connection_with_data_lets_all_others_in_at_once() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    rig.protocol.script["refused"] = [Open("more", "ws://venue/more")]
    now = 0
    while not rig.engine.limits.breaker.is_open:
        for key in ("1/main", "1/more"):
            if any(link.key == key and link.phase.value == "connecting" for link in rig.engine.active.links.values()):
                rig.engine.refused(key, REFUSED, at(now))
        now = max(now + 1, rig.engine.deadline or 0)
        rig.engine.woken(at(now))
    tried = len(rig.ports.connects)
    while len(rig.ports.connects) == tried:
        now = max(now + 1, rig.engine.deadline or 0)
        rig.engine.woken(at(now))
    probe = rig.ports.connects[-1][0]
    rig.engine.opened(probe, at(now))
    rig.receive([], now, probe)
    tried = len(rig.ports.connects)
    until = now + 31 * S
    while len(rig.ports.connects) == tried and now < until:
        now = max(now + 1, rig.engine.deadline or 0)
        rig.engine.woken(at(now))
    assert rig.ports.connects[-1][0] != probe
    assert now < until


def test_quotes_that_fall_behind_on_a_connection_of_their_own_are_given_up_too() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Open("quotes", "ws://venue/quotes")], 0)
    rig.engine.opened("1/quotes", at(0))
    for tick in range(1, 600):
        now = tick * 100 * MS
        if rig.ports.reasons():
            break
        late = at(int(now * 0.8)).wall
        rig.receive(rig.protocol.feed.quote(late, None, (99.0, 1.0, 101.0, 1.0)), now, "1/quotes")
    assert rig.ports.reasons() == [Reason.DRIFT]
    assert rig.ports.drops == ["1/quotes"]


def test_a_book_by_a_connection_that_is_being_closed_says_nothing_of_drift() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Close("main"), *rig.protocol.live(at(S))], S)
    assert rig.ports.reasons() == []
