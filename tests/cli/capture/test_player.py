"""A replay does again what was recorded, and says where it does not."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from bus.events import BusEvent, State, Status
from bus.wire import encode_payload
from cli.capture.player import Player, Score, steps
from connectors import capture
from connectors.capture import Record
from connectors.effects import Now, VenueProtocol
from connectors.venue import Context
from tests.cli.capture.recording import Story
from tests.connectors.doubles import SPEC, FakeProtocol


@pytest.fixture(scope="module")
def story() -> Story:
    return Story().told().finished()


def replayed(story: Story, records: list[Record] | None = None, **changed: Any) -> Player:  # noqa: ANN401
    player = Player(msgspec.structs.replace(story.header, **changed))
    player.play(story.records() if records is None else records)
    return player


def test_the_story_is_worth_replaying(story: Story) -> None:
    kinds = {event.kind for _, event in story.events}
    assert {"book", "bbo", "trade", "status", "reconnect", "instrument"} <= kinds
    found = {type(record).__name__ for record in story.records()}
    assert {"Fetched", "Refused", "Opened", "Lost", "Ponged", "Woken", "Sent", "Tried", "Commanded"} <= found
    assert any(isinstance(record, capture.Sent) and record.problem for record in story.records())


def test_every_event_comes_again_byte_for_byte(story: Story) -> None:
    again: list[tuple[str, bytes]] = []

    def keep(market: str, event: BusEvent, _: Now) -> None:
        again.append((market, encode_payload(event)))

    player = Player(story.header, keep)
    score = player.play(story.records())
    assert again == [(market, encode_payload(event)) for market, event in story.events]
    assert (score.differences, score.described, score.ended) == (0, [], "")
    assert score.checks > 5
    assert score.orderly


def test_two_replays_have_one_digest_and_the_seed_matters(story: Story) -> None:
    one, other = replayed(story), replayed(story)
    assert one.digest == other.digest
    odd = replayed(story, seed=43)
    assert odd.digest != one.digest
    assert odd.score.differences > 0


def test_the_score_sums_it_up(story: Story) -> None:
    score: Score = replayed(story).score
    assert score.frames == sum(isinstance(record, capture.Received) for record in story.records())
    assert sum(score.events.values()) == len(story.events)
    assert score.reconnects["ws_closed"] == 1
    assert score.statuses["BTC-PERP"]["live"] >= 2
    assert score.seconds == pytest.approx(10.0, abs=0.5)


def without(records: list[Record], kind: type[Record]) -> list[Record]:
    """The same without the first of this kind."""
    at = next(index for index, record in enumerate(records) if isinstance(record, kind))
    return [*records[:at], *records[at + 1 :]]


@pytest.mark.parametrize("kind", [capture.Received, capture.Sent, capture.Tried, capture.Opened, capture.Lost])
def test_a_record_that_is_missing_is_noticed(story: Story, kind: type[Record]) -> None:
    score = replayed(story, without(story.records(), kind)).score
    assert score.differences > 0
    assert score.described


def test_an_answer_to_what_was_not_asked_is_noticed(story: Story) -> None:
    records = [
        msgspec.structs.replace(record, key="7") if isinstance(record, capture.Fetched) else record
        for record in story.records()
    ]
    assert any("not asked" in what for what in replayed(story, records).score.described)


def test_a_replay_ends_at_a_tear(story: Story) -> None:
    records = story.records()
    half = len(records) // 2
    score = replayed(story, [*records[:half], capture.Torn(3, "disk"), *records[half:]]).score
    assert score.ended == "3 records missing: disk"
    assert score.records < len(records) / 2


def test_behind_a_tear_it_goes_on_from_a_checkpoint_to_the_very_same_events() -> None:
    story = Story(checkpoints=True).told().finished()
    whole: list[tuple[str, bytes]] = []
    Player(story.header, lambda market, event, _: whole.append((market, encode_payload(event)))).play(story.records())
    assert [event for _, event in story.events] != []
    assert whole == [(market, encode_payload(event)) for market, event in story.events]
    places = [at for at, record in enumerate(story.records()) if isinstance(record, capture.Checkpoint)]
    assert len(places) > 10
    rest: list[tuple[str, bytes]] = []
    for place in places:
        rest.clear()
        player = Player(story.header, lambda market, event, _: rest.append((market, encode_payload(event))))
        score = player.play([capture.Torn(None, "gone"), *story.records()[place:]])
        assert (score.differences, score.described, score.ended) == (0, [], "")
        assert score.passed_over == ["records missing: gone"]
        assert rest == whole[len(whole) - len(rest) :]
        assert score.checks > 0
    assert len(rest) < 10


@pytest.mark.parametrize("state", [b"", b"nonsense", pickle.dumps(print), pickle.dumps((1, 2))])
def test_a_state_that_cannot_be_used_is_no_place_to_go_on_from(story: Story, state: bytes) -> None:
    records = [capture.Torn(None, "gone"), capture.Checkpoint(0, 0, state), *story.records()]
    score = replayed(story, records).score
    assert score.ended.startswith("records missing: gone; ")
    assert (score.records, score.passed_over) == (0, [])


def test_what_the_end_of_the_process_took_back_is_replayed(story: Story) -> None:
    ending = Story().told()
    ending.wait(2)
    ending.engine.opened("1/main", ending.at())
    ending.flow(2)
    before = len(ending.events)
    ending.engine.stop(ending.at())
    ending.finished()
    taken_back = [event for _, event in ending.events[before:]]
    assert any(isinstance(event, Status) and event.state is State.STALE for event in taken_back)
    player = replayed(ending)
    assert (player.score.differences, player.score.ended) == (0, "")
    assert sum(player.score.events.values()) == len(ending.events)


def test_what_broke_the_engine_breaks_its_replay() -> None:
    class Broken(FakeProtocol):
        def opened(self, conn: str, now: Now) -> Any:  # noqa: ANN401
            raise ZeroDivisionError("a bug")

    def make(context: Context) -> VenueProtocol:
        return Broken(context)

    story = Story(spec=SPEC, factory=make)
    story.engine.start(story.at())
    with pytest.raises(ZeroDivisionError):
        story.engine.opened("1/main", story.at())
    story.tap.flush()
    player = Player(story.header, factory=make)
    score = player.play(story.records())
    assert score.ended == "the engine raised ZeroDivisionError: a bug"
    assert "in opened" in score.broken
    assert score.differences == 0


def test_a_reader_of_events_that_fails_is_not_taken_for_the_engine(story: Story) -> None:
    def fail(*_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Player(story.header, fail).play(story.records())


def test_what_a_call_did_is_kept_with_it() -> None:
    start, sent, woken = capture.Started(1, 2), capture.Sent("k", "t", None), capture.Woken(3, 4)
    checked = capture.Checked(1, 1)
    assert list(steps([start, sent, checked, woken])) == [(start, [sent]), (checked, ()), (woken, ())]
