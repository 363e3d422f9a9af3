"""What came of one cell of the fault matrix, and whether that keeps its bounds."""

from __future__ import annotations

import msgspec

from tools.fault_cells import PACE_MS, RECOVERY_MS, SLACK_MS, Cell


class Result(msgspec.Struct):
    """What came of one cell. Times in ms; ``None`` where nothing was found, or nothing was to be recovered."""

    cell: str
    venue: str
    applied: int
    detected_ms: float | None
    """From the first frame, connection or call that was touched."""
    threshold_ms: int
    reasons: dict[str, int]
    """Of reconnects, with their numbers; of markets that were mended without one, with 0."""
    counted: dict[str, int]
    lost: list[str]
    """Markets whose book was taken back."""
    away_ms: float | None
    """From detection until every book was live again."""
    after_ms: float | None
    """From the end of what was done (or detection, if later) until then."""
    recovered_ms: float | None
    """The same, from the connection by which it came if that was made later still."""
    held_by: str
    """Why that connection was not made earlier."""
    stood_in: int
    wrong: int
    """Samples in which a book that was called live differed from the truth."""
    wrong_ms: float
    compared: int
    equal: bool
    events_lost: int
    violated: dict[str, int]
    disturbed: list[str]
    """Markets it was not done to and that were taken back all the same."""

    def faults(self, cell: Cell) -> list[str]:
        """In which respects it is out of bounds."""
        found = []
        if self.detected_ms is None and not cell.absorbed and self.applied:
            found.append("not found")
        if self.detected_ms is not None and not self.in_time(cell):
            found.append("found late")
        if self.recovered_ms is not None and self.recovered_ms > RECOVERY_MS + cell.slow_ms + self.pace_ms(cell):
            found.append("recovered late")
        if not self.equal:
            found.append("book differs")
        if not self.applied and not cell.fault.startswith("rest_"):
            found.append("did not happen")
        if self.events_lost:
            found.append("events lost")
        if self.violated:
            found.append("limit broken")
        return found

    def pace_ms(self, cell: Cell) -> int:
        """How long the next attempt to mend had to wait: only what has lasted has made earlier ones fail."""
        tried = self.counted.get("resyncs", 0) > 1 or (self.venue == "aster" and self.counted.get("rest_books", 0) > 0)
        return PACE_MS[self.venue] if cell.hold_s is not None and tried else 0

    def in_time(self, cell: Cell) -> bool:
        """Whether it was found in time. What need not be found has no time."""
        timed = cell.finds != "need not be" and self.venue in (cell.only or {self.venue})
        return not timed or (self.detected_ms or 0.0) <= self.threshold_ms + SLACK_MS
