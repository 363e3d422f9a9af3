"""The promises that the engine acts on."""

from __future__ import annotations

from bus.settings import DEFAULT_VENUES
from connectors.extended import spec
from connectors.venue import load

MINUTE = 60_000_000_000


def test_the_documented_rest_limit_is_kept_with_room_to_spare() -> None:
    rest = spec.SPEC.rest
    assert rest is not None
    assert rest.per_ns == MINUTE
    assert rest.units < 1_000


def test_a_start_of_the_default_markets_is_within_our_own_connect_budget() -> None:
    connects = spec.SPEC.connects
    assert connects is not None
    assert len(DEFAULT_VENUES["extended"].markets) * len(spec.KINDS) * 2 <= connects.units


def test_no_connection_is_left_for_its_age() -> None:
    assert spec.SPEC.session_age_ns is None


def test_the_venue_is_loaded_by_its_name() -> None:
    found, _ = load("extended")
    assert found is spec.SPEC


def test_every_kind_of_stream_has_its_path_and_its_request() -> None:
    assert set(spec.V1_PATHS) == set(spec.V2_KEYS) == set(spec.V2_PARAMS) == set(spec.KINDS)


def test_a_second_try_follows_only_after_an_acknowledgement_has_had_its_time() -> None:
    assert spec.RENEW_NS > spec.ACK_NS
    assert spec.FIRST_NS > spec.ACK_NS
