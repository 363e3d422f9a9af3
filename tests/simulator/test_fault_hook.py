"""What the hook makes of frames, messages, upgrades and requests, fault by fault."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from simulator.book import Book, Levels
from simulator.fault_frames import flipped, retyped
from simulator.fault_hook import FaultHook
from simulator.faults import Fault, Register, read_request
from simulator.frames import Connection, Cut, Drip, Frame, Hook, Kind, Later, Op, Raw, Send, Step

SERVED = {"aster": {"BTC-PERP", "ETH-PERP"}, "lighter": {"BTC-PERP"}}
BOOK = Book({100: 5, 99: 6}, {101: 7, 102: 8})


class Names:
    def market_in(self, message: str | bytes) -> str | None:
        return "BTC-PERP" if "BTC" in str(message) else None

    def refusal(self, message: str | bytes) -> bytes | None:
        return b"no" if "subscribe" in str(message) else None


class Rig:
    """A hook with faults in force and one connection."""

    def __init__(self, *faults: dict[str, Any]) -> None:
        self.register = Register()
        self.hook = FaultHook(self.register, Random(1))
        self.hook.venues = {name: Names() for name in SERVED}
        self.hook.markets = {("aster", "BTC-PERP"): BOOK}
        self.connection = Connection(1, "aster", "/ws", "", 0.0)
        self.faults = [self.add(fault) for fault in faults]

    def add(self, value: dict[str, Any]) -> Fault:
        fault = self.register.add(read_request(value, SERVED), 0)
        self.register.begin(fault, 0, 100.0)
        self.hook.refresh()
        return fault

    def out(self, frame: Frame, at: float = 100.0) -> tuple[Step, ...]:
        return self.hook.outgoing(self.connection, frame, at)

    def sent(self, *frames: Frame) -> list[bytes]:
        return [step.frame.data for frame in frames for step in self.out(frame) if isinstance(step, Send)]


def delta(number: int, market: str = "BTC-PERP", kind: Kind = "delta") -> Frame:
    return Frame(str(number).encode(), kind, market)


def rendered(bids: Levels, asks: Levels) -> bytes:
    return json.dumps([bids, asks]).encode()


def book(kind: Kind, bids: Levels, asks: Levels) -> Frame:
    return Frame(rendered(bids, asks), kind, "BTC-PERP", render=rendered, bids=bids, asks=asks)


def shown(step: Step) -> Any:  # noqa: ANN401 - JSON
    assert isinstance(step, Send)
    return json.loads(step.frame.data)


def test_without_faults_the_hook_is_idle_and_passes_everything() -> None:
    rig = Rig()
    assert rig.hook.idle
    assert rig.sent(delta(1)) == [b"1"]
    assert rig.hook.opened(rig.connection, 0.0) == ()
    assert rig.hook.incoming(rig.connection, "subscribe", 0.0) is None
    assert rig.hook.handshake("aster", "/ws", 0.0) is None
    assert rig.hook.rest("aster", "/x", 0.0) is None


def test_a_stall_loses_market_data_but_not_pongs() -> None:
    rig = Rig({"fault": "stall"})
    pong = Frame(b"p", "pong")
    assert rig.sent(delta(1), pong, Frame(b"t", "trades", "ETH-PERP")) == [b"p"]
    assert rig.faults[0].applied == 2
    rig.add({"fault": "stall", "params": {"control": True}})
    assert rig.sent(pong) == []


def test_mute_loses_frames_of_its_kinds_alone() -> None:
    rig = Rig({"fault": "mute", "params": {"kinds": "trades+stats"}})
    assert rig.sent(delta(1), delta(2, kind="trades"), delta(3, kind="stats"), Frame(b"p", "pong")) == [b"1", b"p"]
    assert rig.faults[0].applied == 2


def test_a_fault_tells_when_it_was_first_and_last_applied() -> None:
    rig = Rig({"fault": "stall", "market": "BTC-PERP"})
    assert (rig.faults[0].report()["first_ns"], rig.faults[0].report()["last_ns"]) == (None, None)
    for at, market in ((100.5, "ETH-PERP"), (101.0, "BTC-PERP"), (102.5, "BTC-PERP")):
        rig.out(delta(1, market), at)
    assert (rig.faults[0].report()["first_ns"], rig.faults[0].report()["last_ns"]) == (1_000_000_000, 2_500_000_000)


def test_a_market_that_is_silent_by_itself_takes_no_number_from_the_others() -> None:
    rig = Rig({"fault": "stall", "venue": "aster", "market": "BTC-PERP"}, {"fault": "gap", "market": "ETH-PERP"})
    assert rig.hook.withholds(rig.connection, "delta", "BTC-PERP", 101.0)
    assert rig.faults[0].applied == 1
    assert not rig.hook.withholds(rig.connection, "delta", "ETH-PERP", 101.0)
    assert not rig.hook.withholds(rig.connection, "pong", "BTC-PERP", 101.0)
    assert not Hook().withholds(rig.connection, "delta", "BTC-PERP", 101.0)
    assert not Rig({"fault": "stall"}).hook.withholds(rig.connection, "delta", "BTC-PERP", 101.0)


def test_one_market_can_be_silent() -> None:
    rig = Rig({"fault": "stall", "venue": "aster", "market": "BTC-PERP"})
    assert rig.sent(delta(1), delta(2, "ETH-PERP"), Frame(b"3", "stats")) == [b"2", b"3"]


def test_a_fault_of_another_venue_changes_nothing() -> None:
    assert Rig({"fault": "stall", "venue": "lighter"}).sent(delta(1)) == [b"1"]


def test_a_close_frame_passes_every_fault() -> None:
    rig = Rig({"fault": "stall", "params": {"control": True}})
    assert rig.sent(Frame(b"bye", "close", op=Op.CLOSE)) == [b"bye"]


def test_acks_are_lost_also_when_a_data_frame_is_the_ack() -> None:
    rig = Rig({"fault": "no_ack"})
    first = Frame(b"first", "snapshot", "BTC-PERP", acknowledges=True)
    assert rig.sent(Frame(b"ack", "ack"), first, delta(1)) == [b"1"]


def test_late_acks_do_not_hold_what_follows() -> None:
    rig = Rig({"fault": "late_ack", "params": {"delay_s": 2.0}})
    ack = Frame(b"ack", "ack")
    assert rig.out(ack, 101.0) == (Later(ack, 103.0, rig.faults[0].id),)
    assert rig.sent(delta(1)) == [b"1"]


def test_a_snapshot_is_lost_or_late_once() -> None:
    snapshot = delta(1, kind="snapshot")
    assert Rig({"fault": "no_snapshot"}).sent(snapshot, delta(2)) == [b"2"]
    rig = Rig({"fault": "late_snapshot", "params": {"delay_s": 1}})
    assert isinstance(rig.out(snapshot)[0], Later)
    assert rig.sent(snapshot) == [b"1"]


def test_a_gap_loses_so_many_in_a_row_once_per_market() -> None:
    rig = Rig({"fault": "gap", "params": {"count": 2}})
    frames = [delta(number) for number in range(5)]
    assert rig.sent(*frames) == [b"2", b"3", b"4"]
    assert rig.sent(delta(7, "ETH-PERP"), delta(8, "ETH-PERP"), delta(9, "ETH-PERP")) == [b"9"]
    assert rig.faults[0].applied == 2


def test_every_and_times_choose_the_frames() -> None:
    rig = Rig({"fault": "duplicate", "params": {"every": 3, "times": 2}})
    assert rig.sent(*[delta(number) for number in range(1, 11)]) == [
        *(b"1", b"2", b"3", b"3", b"4", b"5", b"6", b"6", b"7", b"8", b"9", b"10")
    ]


def test_two_frames_swap_places() -> None:
    rig = Rig({"fault": "reorder"})
    assert rig.sent(*[delta(number) for number in range(4)]) == [b"1", b"0", b"2", b"3"]


def test_the_last_frames_are_replayed() -> None:
    rig = Rig({"fault": "replay", "params": {"count": 2}})
    assert rig.sent(*[delta(number) for number in range(3)]) == [b"0", b"1", b"0", b"1", b"2"]


def test_a_crossed_book_has_a_bid_above_the_best_ask() -> None:
    rig = Rig({"fault": "crossed", "params": {"times": 0, "ticks": 5}})
    bids, asks = shown(rig.out(book("snapshot", [(100, 5)], [(101, 7)]))[0])
    assert bids[0][0] > asks[0][0]
    bids, asks = shown(rig.out(book("delta", [], [(103, 1)]))[0])
    assert bids[0][0] > 103
    assert asks == [[103, 1]]


def test_what_shows_no_levels_cannot_be_crossed() -> None:
    rig = Rig({"fault": "crossed"}, {"fault": "emptied"}, {"fault": "corrupt"})
    assert rig.sent(delta(1)) == [b"1"]
    assert [fault.applied for fault in rig.faults] == [0, 0, 0]


@pytest.mark.parametrize(
    ("side", "snapshot", "diff"),
    [
        ("bids", [[], [[101, 7]]], [[[100, 0], [99, 0]], [[103, 1]]]),
        ("asks", [[[100, 5]], []], [[[99, 9]], [[101, 0], [102, 0], [103, 0]]]),
        ("both", [[], []], [[[100, 0], [99, 0]], [[101, 0], [102, 0], [103, 0]]]),
    ],
)
def test_an_emptied_side_is_absent_from_snapshots_and_zero_in_diffs(side: str, snapshot: object, diff: object) -> None:
    rig = Rig({"fault": "emptied", "params": {"side": side, "times": 0}})
    assert shown(rig.out(book("snapshot", [(100, 5)], [(101, 7)]))[0]) == snapshot
    assert shown(rig.out(book("delta", [(99, 9)], [(103, 1)]))[0]) == diff


def test_a_corrupt_book_is_valid_and_wrong_at_the_touch() -> None:
    rig = Rig({"fault": "corrupt", "params": {"times": 0, "factor": 2.0}})
    assert shown(rig.out(book("snapshot", [(100, 5), (99, 6)], [(101, 7)]))[0]) == [[[100, 10], [99, 6]], [[101, 14]]]
    assert shown(rig.out(book("delta", [], [(103, 1)]))[0]) == [[[100, 10]], [[101, 14], [103, 1]]]


def test_bad_bytes_of_each_kind() -> None:
    text = Frame(b'{"channel":"x","p":"1.5","n":3}', "delta", "BTC-PERP")
    assert Rig({"fault": "truncated"}).sent(text, text) == [text.data[: len(text.data) // 2], text.data]
    assert len(Rig({"fault": "garbage", "params": {"bytes": 50}}).sent(text)[0]) == 50
    assert len(Rig({"fault": "giant", "params": {"megabytes": 2}}).sent(text)[0]) == 2 << 20
    assert json.loads(Rig({"fault": "giant", "params": {"megabytes": 1}}).sent(text)[0]) == json.loads(text.data)
    wrong = json.loads(Rig({"fault": "wrong_types"}).sent(text)[0])
    assert wrong == {"channel": "x", "p": 12345, "n": {"value": 3}}
    binary = Frame(bytes(range(200)), "delta", "BTC-PERP", op=Op.BINARY)
    assert Rig({"fault": "wrong_types"}).sent(binary)[0] != binary.data


def test_a_half_frame_ends_the_connection() -> None:
    raw, cut = Rig({"fault": "half_frame", "params": {"rst": True}}).out(delta(12345))
    assert isinstance(raw, Raw)
    assert raw.data == b"\x81\x051"
    assert cut == Cut("rst")


def test_a_dripped_frame_is_whole() -> None:
    rig = Rig({"fault": "drip", "params": {"gap_s": 0.5}})
    assert rig.out(delta(1)) == (Drip(delta(1), 0.5, rig.faults[0].id),)


def test_a_delay_keeps_order_and_jitter_may_not() -> None:
    rig = Rig({"fault": "delay", "params": {"delay_s": 1.0}})
    assert rig.out(delta(1), 103.0) == (Later(delta(1), 104.0, rig.faults[0].id),)
    jittered = Rig({"fault": "delay", "params": {"delay_s": 1.0, "jitter_s": 5.0}})
    times = [step.at for number in range(20) for step in jittered.out(delta(number), 103.0) if isinstance(step, Later)]
    assert all(104.0 <= at <= 109.0 for at in times)
    assert times != sorted(times)


def test_bursts_let_go_at_common_instants() -> None:
    rig = Rig({"fault": "burst", "params": {"hold_s": 2.0}})
    times = [rig.out(delta(1), at)[0].at for at in (100.1, 101.9, 102.1)]  # type: ignore[union-attr]
    assert times == [102.0, 102.0, 104.0]


def test_a_backlog_falls_behind_in_proportion_to_time() -> None:
    rig = Rig({"fault": "backlog", "params": {"speed": 0.8}})
    lags = [rig.out(delta(1), at)[0].at - at for at in (100.0, 104.0, 108.0)]  # type: ignore[union-attr]
    assert lags == pytest.approx([0.0, 1.0, 2.0])
    assert rig.sent(Frame(b"p", "pong")) == [b"p"]


def test_no_pong_of_either_kind() -> None:
    rig = Rig({"fault": "no_pong"})
    assert rig.sent(Frame(b"", "pong", op=Op.PONG), Frame(b"{}", "pong"), delta(1)) == [b"1"]


def test_kinds_can_be_chosen() -> None:
    rig = Rig({"fault": "duplicate", "params": {"kinds": "trades+bbo", "times": 0}})
    assert rig.sent(delta(1), Frame(b"t", "trades", "BTC-PERP")) == [b"1", b"t", b"t"]


def test_faults_compose_in_the_order_of_their_beginning() -> None:
    rig = Rig({"fault": "duplicate"}, {"fault": "truncated", "params": {"times": 0, "keep": 0.5}})
    assert rig.sent(delta(1234)) == [b"12", b"12"]
    late = Rig({"fault": "delay", "params": {"delay_s": 1.0}}, {"fault": "truncated", "params": {"keep": 0.5}})
    assert late.out(delta(1234)) == (Later(delta(12), 101.0, late.faults[0].id),)
    lost = Rig({"fault": "delay"}, {"fault": "stall"})
    assert lost.out(delta(1)) == ()


def test_clients_can_be_ignored_or_refused() -> None:
    deaf = Rig({"fault": "deaf", "venue": "aster"})
    assert deaf.hook.incoming(deaf.connection, "anything", 0.0) == ()
    refusing = Rig({"fault": "error_reply", "market": "BTC-PERP"})
    steps = refusing.hook.incoming(refusing.connection, "subscribe BTC", 0.0)
    assert steps == (Send(Frame(b"no", "error", "BTC-PERP")),)
    assert refusing.hook.incoming(refusing.connection, "subscribe ETH", 0.0) is None
    assert refusing.hook.incoming(refusing.connection, "ping BTC", 0.0) is None
    other = Rig({"fault": "deaf", "venue": "lighter"})
    assert other.hook.incoming(other.connection, "anything", 0.0) is None


def test_an_upgrade_can_be_followed_by_a_close() -> None:
    rig = Rig({"fault": "greet_close", "params": {"code": 4000, "reason": "no"}})
    (step,) = rig.hook.opened(rig.connection, 0.0)
    assert isinstance(step, Send)
    assert (step.frame.op, step.frame.code, step.frame.data) == (Op.CLOSE, 4000, b"no")


def test_upgrades_can_be_slow_or_refused() -> None:
    slow = Rig({"fault": "handshake", "params": {"delay_s": 3}}).hook.handshake("aster", "/ws", 0.0)
    assert slow is not None
    assert (slow.delay_s, slow.then_serve) == (3, True)
    params = {"status": 429, "retry_after": 7}
    refused = Rig({"fault": "handshake", "params": params}).hook.handshake("aster", "/ws", 0.0)
    assert refused is not None
    assert (refused.status, refused.headers) == (429, (("Retry-After", "7"),))
    plain = Rig({"fault": "handshake", "params": {"status": 418}}).hook.handshake("aster", "/ws", 0.0)
    assert plain is not None
    assert plain.headers == ()


def test_upgrades_of_one_market_are_known_by_their_path() -> None:
    rig = Rig({"fault": "handshake", "market": "BTC-PERP", "params": {"status": 503}}, {"fault": "greet_close"})
    assert rig.hook.handshake("aster", "/v1/orderbooks/BTC-USD", 0.0) is not None
    assert rig.hook.handshake("aster", "/v1/orderbooks/ETH-USD", 0.0) is None
    one = Rig({"fault": "greet_close", "market": "BTC-PERP"})
    assert one.hook.opened(one.connection, 0.0) == ()
    one.connection.path = "/v1/orderbooks/BTC-USD"
    assert len(one.hook.opened(one.connection, 0.0)) == 1


def test_rest_can_fail_in_four_ways_and_by_path_and_market() -> None:
    failing = Rig({"fault": "rest_error", "params": {"status": 502, "path": "depth", "body": "bad"}})
    answer = failing.hook.rest("aster", "/fapi/v3/depth?symbol=BTCUSDT", 0.0)
    assert answer is not None
    assert (answer.status, answer.body) == (502, b"bad")
    assert failing.hook.rest("aster", "/fapi/v3/time", 0.0) is None
    one = Rig({"fault": "rest_slow", "market": "ETH-PERP"})
    assert one.hook.rest("aster", "/depth?symbol=BTC", 0.0) is None
    hung = Rig({"fault": "rest_timeout", "params": {"hold_s": 9}}).hook.rest("aster", "/x", 0.0)
    assert hung is not None
    assert (hung.status, hung.delay_s, hung.then_serve) == (0, 9, False)
    garbled = Rig({"fault": "rest_garbage", "params": {"bytes": 20}}).hook.rest("aster", "/x", 0.0)
    assert garbled is not None
    assert (garbled.status, len(garbled.body)) == (200, 20)


def test_maintenance_answers_upgrades_and_rest() -> None:
    hook = Rig({"fault": "maintenance", "params": {"retry_after": 60}}).hook
    for answer in (hook.handshake("aster", "/ws", 0.0), hook.rest("aster", "/x", 0.0)):
        assert answer is not None
        assert (answer.status, answer.headers) == (503, (("Retry-After", "60"),))


def test_an_ended_fault_is_not_active() -> None:
    rig = Rig({"fault": "stall"})
    fault = rig.faults[0]
    assert rig.hook.active(fault.id)
    rig.register.end(fault, 5)
    rig.hook.refresh()
    assert not rig.hook.active(fault.id)
    assert rig.hook.idle


def test_retyping_leaves_no_leaf_as_it_was() -> None:
    assert retyped({"a": ["1", None, True], "e": "depthUpdate"}) == {
        "a": [12345, {"value": None}, {"value": True}],
        "e": "depthUpdate",
    }
    assert flipped(b"", Random(1)) == b""
