"""Stream names (pure). Only the symbol is written in lower case; everything else is as it is."""

from __future__ import annotations

from simulator.venues.aster import facts

DEPTHS = (5, 10, 20)


def diff_suffixes(speed_ms: int) -> tuple[str, ...]:
    """Names of the diff stream of a speed."""
    return ("@depth", "@depth@250ms") if speed_ms == facts.USUAL_SPEED_MS else (f"@depth@{speed_ms}ms",)


def partial_suffixes(speed_ms: int, depth: int) -> tuple[str, ...]:
    """Names of the stream of the best levels; there is none in real time."""
    match speed_ms:
        case 0:
            return ()
        case facts.USUAL_SPEED_MS:
            return (f"@depth{depth}", f"@depth{depth}@250ms")
        case _:
            return (f"@depth{depth}@{speed_ms}ms",)


def suffixes(speed_ms: int) -> list[str]:
    """Names of everything that is cut at a speed."""
    partial = (suffix for depth in DEPTHS for suffix in partial_suffixes(speed_ms, depth))
    return [*diff_suffixes(speed_ms), *partial]


BY_SPEED = {speed: suffixes(speed) for speed in facts.SPEEDS_MS}
