"""Leaving a connection is said once, and only while there is one to leave."""

from __future__ import annotations

from bus.events import Reason
from connectors.effects import Reconnect
from connectors.feed import MarketFeed, Rebuilds
from connectors.polls import Polls, StandIns
from connectors.recovery import Recovery
from tests.connectors.doubles import MARKET, S
from tests.connectors.test_polls import fetch


def test_a_connection_is_left_once_and_not_when_it_is_gone() -> None:
    stand_ins = StandIns(Polls(), fetch, after_ns=S, every_ns=S, stale_ns=S)
    recovery = Recovery("main", {MARKET: MarketFeed(MARKET, Rebuilds())}, stand_ins, tries=1, spare_ns=S)
    assert recovery.leave(Reason.SEQ_GAP, "closed") == []
    recovery.opened()
    assert recovery.leave(Reason.SEQ_GAP, "first") == [Reconnect("main", Reason.SEQ_GAP, "first")]
    assert recovery.leave(Reason.SEQ_GAP, "second") == []
    recovery.closed()
    recovery.opened()
    assert recovery.leave(Reason.SEQ_GAP, "again") == [Reconnect("main", Reason.SEQ_GAP, "again")]
