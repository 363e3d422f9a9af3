"""A connector's own story: states with their reasons, invalidation first, and few lines however much befalls."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import NO_MARKET, Bbo, Delta, Reason, Reconnect, Source, State, Status, Trust
from connectors import effects as fx
from connectors.effects import Count, Effects, Emit, Note, Now, Open, Refusal
from connectors.teller import FOLD_NS, KINDS, LINES, Teller, cause
from tests.connectors.doubles import MARKET, MS, FakePorts, Rig, S, at

REFUSED = Refusal(Reason.CONNECT_ERROR, "connection refused")


def teller() -> tuple[Teller, FakePorts]:
    ports = FakePorts()
    return Teller(ports, (MARKET,), at(0)), ports


def gone(trust: Trust = Trust.RESYNC) -> Emit:
    return Emit(MARKET, Delta(None, None, trust, 1, [], [], [], []))


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ([gone(), fx.Reconnect("main", Reason.CROSSED_BOOK, "101 over 99")], ("crossed_book", "101 over 99")),
        ([gone(), Note("warning", "resync", {"reason": "seq_gap", "why": "7 after 5"})], ("seq_gap", "7 after 5")),
        ([Note("info", "other"), Count(Counter.SEQ_GAPS.label), gone()], ("seq_gap", "")),
        ([Count(Counter.DUPLICATES.label), gone()], ("resync", "")),
        ([gone(Trust.STALE)], ("market_stale", "")),
        ([gone(Trust.LIVE)], ("snapshot", "")),
        ([gone(Trust.REST)], ("rest", "")),
    ],
)
def test_the_reason_of_an_invalidation_is_what_is_done_about_it(effects: Effects, why: tuple[str, str]) -> None:
    turned = next(effect for effect in effects if isinstance(effect, Emit))
    assert cause(effects, turned) == why


def test_what_is_no_book_has_no_cause() -> None:
    quote = Bbo(None, None, Trust.STALE, 1, Source.STREAM, None, None, None, None)
    assert cause([], Emit(MARKET, quote)) == ("", "")


def test_the_first_lines_of_a_kind_are_written_and_the_others_told_together() -> None:
    told, ports = teller()
    for number in range(18):
        told.line("warning", "reconnect", at(number * MS), conn=str(number), reason="ws_closed")
    told.line("warning", "reconnect", at(20 * MS), conn="x", reason="seq_gap")
    assert [line["conn"] for line in ports.said("reconnect")] == ["0", "1", "2", "x"]
    assert told.deadline == FOLD_NS
    told.flush(at(FOLD_NS - 1))
    assert ports.said("reconnect_more") == []
    told.flush(at(FOLD_NS))
    assert ports.logs[-1] == ("warning", "reconnect_more", {"reason": "ws_closed", "lines": 18 - LINES})
    assert told.deadline is None


def test_lines_that_come_slowly_are_all_written() -> None:
    told, ports = teller()
    for number in range(20):
        told.line("info", "connected", at(number * FOLD_NS), conn="main")
    assert len(ports.said("connected")) == 20
    assert ports.said("connected_more") == []


def test_kinds_beyond_the_bound_are_not_remembered() -> None:
    told, ports = teller()
    for number in range(3 * KINDS):
        told.line("info", "odd", at(0), reason=number)
    assert len(ports.said("odd")) == 3 * KINDS


def test_a_lost_connection_gives_its_reason_to_the_states_and_is_announced_after_the_invalidation() -> None:
    rig = Rig()
    rig.up()
    before = len(rig.ports.events)
    rig.engine.lost("1/main", Reason.WS_CLOSED, "1006", at(5 * S))
    after = rig.ports.events[before:]
    assert [event.kind for _, event in after] == ["delta", "status", "status", "reconnect"]
    states = [event for _, event in after if isinstance(event, Status)]
    assert {(event.state, event.reason, event.detail) for event in states} == {(State.RECOVERING, "ws_closed", "1006")}
    assert isinstance(after[-1][1], Reconnect)


def test_down_is_left_by_a_live_book_alone() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    now = 0
    for _ in range(4):
        rig.engine.refused("1/main", REFUSED, at(now))
        now = rig.engine.deadline or now
        rig.engine.woken(at(now))
    rig.engine.opened("1/main", at(now))
    assert rig.engine.teller.health.state(NO_MARKET) is State.DOWN
    rig.receive(rig.protocol.live(at(now)), now)
    assert rig.ports.states(NO_MARKET) == ["init", "connecting", "down", "live"]


def test_trouble_before_a_book_was_live_does_not_make_its_next_loss_the_third_failure() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    now = 0
    for _ in range(2):
        rig.engine.refused("1/main", REFUSED, at(now))
        now = rig.engine.deadline or now
        rig.engine.woken(at(now))
    rig.engine.opened("1/main", at(now))
    rig.receive(rig.protocol.live(at(now)), now)
    rig.engine.lost("1/main", Reason.WS_CLOSED, "", at(now + S))
    assert rig.engine.teller.health.state(MARKET) is State.RECOVERING


def two_links(rig: Rig) -> int:
    """Two connections that have failed for so long that both wait for half a minute; the time now."""
    rig.up()
    rig.receive([Open("second", "ws://venue/second")], 0)
    rig.engine.lost("1/main", Reason.WS_CLOSED, "", at(S))
    now = S
    for _ in range(6):
        for key in ("1/main", "1/second"):
            rig.engine.refused(key, REFUSED, at(now))
        now += 40 * S
        rig.engine.woken(at(now))
    for key in ("1/main", "1/second"):
        rig.engine.refused(key, REFUSED, at(now))
    return now


def test_data_after_an_outage_has_the_other_connections_tried_at_once_but_not_time_and_again() -> None:
    rig = Rig()
    now = two_links(rig)
    second = rig.engine.active.links["second"]
    assert second.retry_at > now + 10 * S
    rig.engine.opened("1/main", at(now))
    rig.receive([], now)
    assert second.retry_at <= now + 250 * MS
    rig.engine.refused("1/second", REFUSED, at(now + S))
    rig.engine.lost("1/main", Reason.WS_CLOSED, "", at(now + S))
    rig.engine.opened("1/main", at(now + 2 * S))
    rig.receive([], now + 2 * S)
    assert second.retry_at > now + 10 * S


def test_a_stop_takes_back_what_was_live() -> None:
    rig = Rig()
    rig.up()
    rig.engine.stop(at(S))
    last = [event for market, event in rig.ports.events if market == MARKET][-2:]
    assert isinstance(last[0], Delta)
    assert last[0].trust is Trust.RESYNC
    assert isinstance(last[1], Status)
    assert last[1].reason == "stopped"


def test_a_deadline_of_the_protocol_that_is_not_heeded_passes() -> None:
    rig = Rig()
    rig.up()
    rig.engine.heeds_protocol = False
    rig.protocol.deadline = S
    rig.engine.woken(Now(2 * S, 2 * S))
    assert ("woken", None) not in rig.protocol.calls
    assert rig.engine.deadline is None
    rig.engine.heeds_protocol = True
    rig.engine.woken(Now(2 * S, 2 * S))
    assert ("woken", None) in rig.protocol.calls
