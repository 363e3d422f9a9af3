"""Counters: everything that can be lost, late or refused has a name, a sentence and an owner."""

from __future__ import annotations

import pytest

from bus.counters import Counter, Counters


@pytest.mark.parametrize("counter", list(Counter))
def test_every_counter_explains_itself(counter: Counter) -> None:
    assert counter.label == counter.label.lower()
    assert counter.sentence.endswith(".")
    assert counter.owner.value


def test_labels_are_unique() -> None:
    assert len({counter.label for counter in Counter}) == len(Counter)


@pytest.mark.parametrize(
    "name", ["mp_try_send_full_count", "mp_pending_latest_replaced_count", "mp_lossless_wait_count"]
)
def test_names_that_analysers_read(name: str) -> None:
    assert name in {counter.label for counter in Counter}


def test_counting() -> None:
    counters = Counters()
    assert counters.get(Counter.FRAMES) == 0
    assert counters.add(Counter.FRAMES) == 1
    assert counters.add(Counter.FRAMES, 4) == 5
    assert counters.add_label("reconnect.seq_gap") == 1
    snapshot = counters.snapshot()
    counters.add(Counter.FRAMES)
    assert snapshot == {"frames": 5, "reconnect.seq_gap": 1}
    assert counters.get(Counter.FRAMES) == 6
