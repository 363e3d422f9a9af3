"""Audit lines."""

from __future__ import annotations

from runner.audit import PRESSURE, SUMMARY_NS, Audit, text

NOTHING = dict.fromkeys(PRESSURE, 0)


def test_the_words_are_those_that_analysers_look_for() -> None:
    audit = Audit(0)
    lines = audit.due({"aster": {"seq_gap": 2}}, {"mp_try_send_full_count": 1}, 0)
    assert [text(fields) for fields in lines] == [
        "WS_AUDIT venue=aster reconnect_reason=seq_gap count=2",
        "WS_AUDIT component=market_publisher mp_try_send_full_count=1",
    ]


def test_the_pressure_counters_have_their_names() -> None:
    assert PRESSURE == ("mp_try_send_full_count", "mp_pending_latest_replaced_count", "mp_lossless_wait_count")


def test_a_count_is_told_once_when_it_changes() -> None:
    audit = Audit(0)
    assert audit.due({"aster": {}}, NOTHING, 1) == []
    assert len(audit.due({"aster": {"seq_gap": 1}}, NOTHING, 2)) == 1
    assert audit.due({"aster": {"seq_gap": 1}}, NOTHING, 3) == []
    assert len(audit.due({"aster": {"seq_gap": 2}}, NOTHING, 4)) == 1


def test_everything_is_told_once_a_minute_zeros_of_pressure_included() -> None:
    audit = Audit(0)
    audit.due({"aster": {"seq_gap": 1}}, NOTHING, 1)
    assert audit.due({"aster": {"seq_gap": 1}}, NOTHING, SUMMARY_NS - 1) == []
    told = [text(fields) for fields in audit.due({"aster": {"seq_gap": 1}}, NOTHING, SUMMARY_NS)]
    assert told == [
        "WS_AUDIT venue=aster reconnect_reason=seq_gap count=1",
        *(f"WS_AUDIT component=market_publisher {label}=0" for label in PRESSURE),
    ]
    assert audit.due({"aster": {"seq_gap": 1}}, NOTHING, SUMMARY_NS + 1) == []
