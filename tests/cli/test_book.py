"""The head of the ladder says whether the book may be used, and how old it is."""

from __future__ import annotations

import pytest

from bus.book import Book
from bus.client import BookView
from bus.events import Trust
from bus.wire import SCHEMA, Header
from cli.book import head

MS = 1_000_000


def view(trust: Trust, *, trusted: bool, venue_ns: int | None = 1_000 * MS) -> BookView:
    """A book whose newest event was read at 2,000 ms of the monotonic clock."""
    return BookView(Book(), trusted, trust, 3, venue_ns, None, Header(SCHEMA, "a", 1, 1, 0, 2_000 * MS, 0))


@pytest.mark.parametrize(
    ("trust", "trusted", "said"),
    [
        (Trust.LIVE, True, "● live"),
        (Trust.REST, True, "● rest"),
        (Trust.STALE, False, "✖ must not be used: stale"),
        (Trust.LIVE, False, "✖ must not be used: its messages are incomplete here"),
    ],
)
def test_trust_is_told_in_words(trust: Trust, trusted: bool, said: str) -> None:
    assert said in head(view(trust, trusted=trusted), "aster", "BTC-PERP", 2_000 * MS, 0).plain


def test_what_took_a_book_back_does_not_make_it_look_young() -> None:
    found = head(view(Trust.STALE, trusted=False), "aster", "BTC-PERP", 3_234 * MS, 990 * MS).plain
    assert "last word 1,234 ms" in found
    assert " age 1,234" not in found


def test_both_ages_are_told_and_the_event_age_is_signed() -> None:
    found = head(view(Trust.LIVE, trusted=True), "aster", "BTC-PERP", 3_234 * MS, 990 * MS).plain
    assert "age 1,234 ms" in found
    assert "event age -10 ms" in found
    assert "rebuild 3" in found
    unknown = head(view(Trust.LIVE, trusted=True, venue_ns=None), "aster", "BTC-PERP", 2_000 * MS, 0).plain
    assert "event age unknown" in unknown
