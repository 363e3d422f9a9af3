"""All errors of this project.

::

    ParaphinaError
    ├── SettingsError      the operator's: a setting is unknown, of the wrong type or impossible
    ├── WireError          the peer's: a frame on the bus does not follow docs/wire.md
    ├── VenueError         the venue's: it sent something its documents do not allow
    │   └── FrameError     one frame of it
    └── TransportError     the network's: a connection or a REST call failed
"""

from __future__ import annotations


class ParaphinaError(Exception):
    """Root of the tree."""


class SettingsError(ParaphinaError):
    """A setting cannot be used. ``path`` is the dotted key, ``problem`` what is wrong, ``allowed`` what would do."""

    def __init__(self, path: str, problem: str, allowed: str = "") -> None:
        self.path = path
        self.problem = problem
        self.allowed = allowed
        super().__init__(f"{path}: {problem}" + (f" (allowed: {allowed})" if allowed else ""))


class WireError(ParaphinaError):
    """A bus message is malformed or of another version. ``topic`` is the first frame as received."""

    def __init__(self, topic: bytes, problem: str) -> None:
        self.topic = topic
        self.problem = problem
        super().__init__(f"{topic[:80]!r}: {problem}")


class VenueError(ParaphinaError):
    """A venue said something its documents do not allow."""

    def __init__(self, problem: str, *, market: str | None = None) -> None:
        self.problem = problem
        self.market = market
        super().__init__(problem if market is None else f"{market}: {problem}")


class FrameError(VenueError):
    """One frame could not be digested; the frame itself is not kept here, its sample goes to the log."""


class TransportError(ParaphinaError):
    """A connection attempt or a REST call failed; ``status`` is the HTTP status when there was one."""

    def __init__(self, problem: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        self.problem = problem
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(problem if status is None else f"HTTP {status}: {problem}")
