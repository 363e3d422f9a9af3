"""Counters: everything that can be lost, late or refused has a name, one sentence and an owner."""

from __future__ import annotations

from enum import Enum


class Owner(Enum):
    """Part of the system that counts."""

    CONNECTOR = "connector"
    OUTBOX = "outbox"
    PUBLISHER = "publisher"
    CLIENT = "client"
    RUNNER = "runner"
    SENTINEL = "sentinel"
    DASHBOARD = "dashboard"


class Counter(Enum):
    """Name in heartbeats, metrics and logs; what it counts; who counts it."""

    def __init__(self, label: str, sentence: str, owner: Owner) -> None:
        self.label = label
        self.sentence = sentence
        self.owner = owner

    FRAMES = ("frames", "Frames received from the venue's sockets.", Owner.CONNECTOR)
    FRAME_BYTES = ("frame_bytes", "Payload bytes of those frames.", Owner.CONNECTOR)
    BAD_FRAMES = ("bad_frames", "Frames that could not be digested; a bounded sample is logged.", Owner.CONNECTOR)
    UNKNOWN_FRAMES = (
        "unknown_frames",
        "Well-formed frames of a kind the venue's documents do not name.",
        Owner.CONNECTOR,
    )
    IGNORED_FRAMES = (
        "ignored_frames",
        "Frames known and not needed, or late for a subscription that has ended.",
        Owner.CONNECTOR,
    )
    DUPLICATES = ("duplicates", "Frames or trades dropped because they had been seen before.", Owner.CONNECTOR)
    SEQ_GAPS = ("seq_gaps", "Breaks of a venue's own sequence.", Owner.CONNECTOR)
    CROSSED_BOOKS = ("crossed_books", "Books found crossed after a whole frame.", Owner.CONNECTOR)
    RESYNCS = ("resyncs", "Rebuilds of one market's book without leaving the connection.", Owner.CONNECTOR)
    CHECK_MISMATCHES = (
        "check_mismatches",
        "Comparisons of a book with the venue's other statements that differed.",
        Owner.CONNECTOR,
    )
    HISTORY_TRADES = (
        "history_trades",
        "Trades the venue replayed on subscribing, published as history.",
        Owner.CONNECTOR,
    )
    CONNECTS = ("connects", "Connection attempts.", Owner.CONNECTOR)
    CONNECT_FAILURES = ("connect_failures", "Connection attempts that failed.", Owner.CONNECTOR)
    BREAKER_OPENINGS = ("breaker_openings", "Times the circuit breaker opened.", Owner.CONNECTOR)
    ROTATIONS = (
        "rotations",
        "Planned changes to a fresh connection before the venue ends the old one.",
        Owner.CONNECTOR,
    )
    ESCALATIONS = (
        "escalations",
        "Recoveries that missed their budget and were restarted from nothing.",
        Owner.CONNECTOR,
    )
    REST_CALLS = ("rest_calls", "REST requests sent.", Owner.CONNECTOR)
    REST_FAILURES = ("rest_failures", "REST requests that failed, timed out or gave an unusable body.", Owner.CONNECTOR)
    REST_BOOKS = ("rest_books", "Books published from REST while a stream was down.", Owner.CONNECTOR)
    BUDGET_WAITS = ("budget_waits", "Sends, connects or calls delayed to stay within a venue's limit.", Owner.CONNECTOR)
    CLOCK_JUMPS = (
        "clock_jumps",
        "Steps of the wall clock against the monotonic clock of more than 500 ms.",
        Owner.CONNECTOR,
    )
    RECORDS_LOST = (
        "records_lost",
        "Records that are missing from the capture because the disk was slow or full.",
        Owner.CONNECTOR,
    )

    PUBLISHED = ("published", "Messages handed to ZeroMQ.", Owner.OUTBOX)
    TRY_SEND_FULL = ("mp_try_send_full_count", "Sends refused because the high-water mark was reached.", Owner.OUTBOX)
    PENDING_REPLACED = (
        "mp_pending_latest_replaced_count",
        "State waiting to be sent that was replaced by newer state (merged).",
        Owner.OUTBOX,
    )
    LOSSLESS_WAIT = ("mp_lossless_wait_count", "Log-class events that had to wait in the bounded buffer.", Owner.OUTBOX)
    LOG_DROPPED = ("log_dropped", "Log-class events dropped from the full buffer and announced as a gap.", Owner.OUTBOX)
    STATE_RESENDS = ("state_resends", "Times full state was sent because a subscriber joined.", Owner.OUTBOX)

    FORWARDED = ("forwarded", "Messages passed on to consumers.", Owner.PUBLISHER)
    RESYNC_REQUESTS = ("resync_requests", "State requests answered for consumers.", Owner.PUBLISHER)
    RESYNC_REFUSED = ("resync_refused", "State requests refused by the rate limit.", Owner.PUBLISHER)
    BAD_MESSAGES = ("bad_messages", "Bus messages or requests that do not follow the wire format.", Owner.PUBLISHER)
    LATE_MESSAGES = (
        "late_messages",
        "Messages of a process that another run has taken over from, not passed on.",
        Owner.PUBLISHER,
    )
    CACHE_OVERFLOWS = (
        "cache_overflows",
        "Books whose deltas outgrew the cache before the next whole book.",
        Owner.PUBLISHER,
    )

    APPLIED = ("applied", "Messages accepted in order by the client.", Owner.CLIENT)
    CLIENT_DUPLICATES = ("client_duplicates", "Messages dropped by the client because it had them.", Owner.CLIENT)
    CLIENT_LOST = ("client_lost", "Messages the client saw to be missing.", Owner.CLIENT)
    CLIENT_HEALS = ("client_heals", "Books the client had rebuilt from the publisher's state.", Owner.CLIENT)
    CLIENT_BAD = ("client_bad", "Bus messages the client could not decode.", Owner.CLIENT)

    CAP_HITS = ("cap_hits", "Ticks whose drain stopped at its cap.", Owner.RUNNER)
    TELEMETRY_FAILURES = ("telemetry_failures", "Telemetry lines that could not be written.", Owner.RUNNER)

    RESTARTS = ("restarts", "Processes restarted by the sentinel.", Owner.SENTINEL)
    REVIVALS = ("revivals", "FATAL programs started again by the sentinel.", Owner.SENTINEL)

    PAGES_CUT = ("pages_cut", "Pages cut off because they did not take what they were sent.", Owner.DASHBOARD)
    PAGES_REFUSED = ("pages_refused", "Pages refused because too many were open.", Owner.DASHBOARD)
    TELEMETRY_UNREADABLE = ("telemetry_unreadable", "Telemetry that could not be read.", Owner.DASHBOARD)


class Counters:
    """Counts of one process by label. Plain integers; read at any time with ``snapshot``."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def add(self, counter: Counter, amount: int = 1) -> int:
        """Add and return the new value."""
        return self.add_label(counter.label, amount)

    def add_label(self, label: str, amount: int = 1) -> int:
        """Add to a label made of a counter family and a member, such as ``reconnect.seq_gap``."""
        value = self.values.get(label, 0) + amount
        self.values[label] = value
        return value

    def get(self, counter: Counter) -> int:
        """Current value, 0 when never counted."""
        return self.values.get(counter.label, 0)

    def snapshot(self) -> dict[str, int]:
        """A copy of every count that is not zero."""
        return dict(self.values)
