"""Faults in force, as the hook that everything leaving a connection passes through (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from simulator.fault_frames import EFFECTS
from simulator.frames import Answer, Connection, Frame, Hook, Kind, Later, Op, Send, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from simulator.fault_frames import Market
    from simulator.faults import Fault, Register


class FaultHook(Hook):
    """Composes the active faults, oldest first: each sees the frames the one before it let through.

    ``markets`` gives the present book of a venue's market; ``venues`` answers what only the venue knows of a message.
    """

    def __init__(self, register: Register, rng: Random) -> None:
        self._register = register
        self._rng = rng
        self.markets: Mapping[tuple[str, str], Market] = {}
        self.venues: Mapping[str, Refuser] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take note of what is in force; to be called whenever that changes."""
        self.idle = not self._register.active
        self._frames = self._register.on("frames")
        self._incoming = self._register.on("incoming")

    def active(self, fault: str) -> bool:
        """Whether a fault is in force."""
        return fault in self._register.active

    def opened(self, connection: Connection, now: float) -> tuple[Step, ...]:
        """An upgrade that is followed by a close."""
        market = self.venues[connection.venue].market_in(connection.path)
        for fault in self._register.on("sockets"):
            if fault.request.fault == "greet_close" and fault.touches(connection.venue, market):
                fault.acted(now)
                return (Send(close_frame(fault)),)
        return ()

    def incoming(self, connection: Connection, message: str | bytes, now: float) -> tuple[Step, ...] | None:
        """Ignore what the client says, or refuse what it subscribes to."""
        for fault in self._incoming:
            if fault.request.venue not in {None, connection.venue}:
                continue
            refuser = self.venues[connection.venue]
            market = refuser.market_in(message)
            if fault.request.market not in {None, market}:
                continue
            if fault.request.fault == "deaf":
                fault.acted(now)
                return ()
            refusal = refuser.refusal(message)
            if refusal is not None:
                fault.acted(now)
                return (Send(Frame(refusal, "error", market)),)
        return None

    def outgoing(self, connection: Connection, frame: Frame, queued_at: float) -> tuple[Step, ...]:
        """Pass a frame through every fault that touches it."""
        steps: tuple[Step, ...] = (Send(frame),)
        if frame.op is Op.CLOSE:
            return steps
        for fault in self._frames:
            if fault.touches(connection.venue, frame.market):
                steps = tuple(new for step in steps for new in self._through(fault, connection, step, queued_at))
        return steps

    def _through(self, fault: Fault, connection: Connection, step: Step, queued_at: float) -> tuple[Step, ...]:
        if isinstance(step, Later):
            # What is late already may still be altered or lost, but not be late twice.
            return tuple(
                Later(new.frame, step.at, step.fault) if isinstance(new, Send) else new
                for new in self._through(fault, connection, Send(step.frame), queued_at)
            )
        if not isinstance(step, Send) or not eligible(fault, step.frame):
            return (step,)
        market = self.markets.get((connection.venue, step.frame.market or ""))
        before = fault.applied
        steps = EFFECTS[fault.request.fault](fault, connection, step.frame, queued_at, market, self._rng)
        if fault.applied != before:
            fault.seen(queued_at)
        return steps

    def withholds(self, connection: Connection, kind: Kind, market: str | None, now: float) -> bool:
        """A market that is silent by itself is silent at its source."""
        for fault in self._frames:
            alone = fault.request.market is not None and fault.request.fault in {"stall", "mute"}
            if alone and fault.touches(connection.venue, market) and eligible(fault, Frame(b"", kind, market)):
                fault.acted(now)
                return True
        return False

    def handshake(self, venue: str, path: str, now: float) -> Answer | None:
        """Delay or refuse an upgrade."""
        for fault in self._register.on("handshake", "all"):
            if fault.touches(venue, self.venues[venue].market_in(path)):
                fault.acted(now)
                return answer(fault)
        return None

    def rest(self, venue: str, path: str, now: float) -> Answer | None:
        """Delay, refuse or spoil a REST answer."""
        for fault in self._register.on("rest", "all"):
            if not fault.touches(venue, self.venues[venue].market_in(path)):
                continue
            if fault.kind.where == "rest" and fault.text("path") not in path:
                continue
            fault.acted(now)
            return answer(fault, self._rng)
        return None


class Refuser(Protocol):
    """What the hook asks a venue: which market a message names, and how it would refuse a subscription."""

    def market_in(self, message: str | bytes) -> str | None:
        """Our id of the market that a message or a path names."""

    def refusal(self, message: str | bytes) -> bytes | None:
        """The venue's error reply if the message subscribes to something, else None."""


def eligible(fault: Fault, frame: Frame) -> bool:
    """Whether a fault on frames is about frames of this kind."""
    if fault.request.fault == "stall" and fault.flag("control"):
        return True
    chosen = str(fault.request.params.get("kinds") or "")
    kinds = frozenset(chosen.split("+")) if chosen else fault.kind.frames
    return frame.kind in kinds or ("ack" in kinds and frame.acknowledges)


def close_frame(fault: Fault) -> Frame:
    """The close frame a fault's parameters describe."""
    return Frame(fault.text("reason").encode(), "close", op=Op.CLOSE, code=int(fault.number("code")))


def answer(fault: Fault, rng: Random | None = None) -> Answer:
    """The HTTP answer a fault gives."""
    match fault.request.fault:
        case "rest_timeout":
            return Answer(delay_s=fault.number("hold_s"))
        case "rest_slow":
            return Answer(delay_s=fault.number("delay_s"), then_serve=True)
        case "rest_garbage":
            body = rng.randbytes(int(fault.number("bytes"))) if rng is not None else b"\xff"
            return Answer(200, body, "application/json")
        case _:
            return _status_answer(fault)


def _status_answer(fault: Fault) -> Answer:
    params = fault.request.params
    status = int(fault.number("status"))
    delay = fault.number("delay_s") if "delay_s" in params else 0.0
    if not status:
        return Answer(delay_s=delay, then_serve=True)
    headers = () if params["retry_after"] is None else (("Retry-After", f"{params['retry_after']:g}"),)
    return Answer(status, str(params.get("body") or "").encode(), "text/plain", headers, delay)
