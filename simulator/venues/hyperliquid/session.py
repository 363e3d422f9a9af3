"""One Hyperliquid socket: subscriptions, push clocks, ping, lifetime."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from simulator.frames import Frame, Kind
from simulator.session import Session
from simulator.venues.hyperliquid import facts, messages
from simulator.venues.hyperliquid.subscriptions import Request, Subscription, parse

if TYPE_CHECKING:
    from simulator.venues.hyperliquid.venue import Hyperliquid


class HyperliquidSession(Session):
    """Speaks one JSON object a text frame."""

    def opened(self) -> None:
        """Start the push clocks; there is no greeting unless it is switched on."""
        self.hl = cast("Hyperliquid", self.venue)
        self.subscriptions: set[Subscription] = set()
        self._flowing: set[Subscription] = set()
        """Those whose first frame has been sent."""
        self._last_fast: dict[str, Frame] = {}
        self._contexts_sent: dict[str, dict[str, Any]] = {}
        if self.hl.set["greets"] == "1":
            self._say(b"Websocket connection established.", "control")
        noise = self.hl.noise
        fast = self.hl.settings.frames_per_second
        fast_period = (lambda: noise.uniform(*facts.FAST_PUSH_S)) if fast is None else (lambda: 1.0 / fast)
        self.every(fast_period, self._push_fast)
        self.every(lambda: noise.uniform(*facts.DEFAULT_PUSH_S), self._push_default)
        self.every(facts.CONTEXT_PUSH_S, self._push_contexts)
        self.every(facts.MIDS_PUSH_S, lambda: self._first(Subscription("allMids")))
        self.every(facts.ALL_CONTEXTS_PUSH_S, lambda: self._first(Subscription("allDexsAssetCtxs")))
        self.every(facts.FAST_CONTEXTS_PUSH_S, lambda: self._first(Subscription("fastAssetCtxs")))
        self.after(self.hl.scaled(noise.uniform(*facts.LIFETIME_S)), lambda: self.close(1000, "Expired"))
        idle = self.hl.scaled(facts.IDLE_S)
        self.every(min(1.0, idle / 10), lambda: self._drop_idle(idle))

    def _drop_idle(self, idle: float) -> None:
        # Only what the server itself has sent counts, documented so and measured at 60.2 s.
        if self.hl.clock.monotonic() - self.last_sent >= idle:
            self.hl.violation("idle_60s", f"connection {self.connection.number}")
            self.drop()

    def wants(self, kind: str, coin: str) -> bool:
        """Whether this socket holds a stream."""
        return Subscription(kind, coin) in self._flowing

    def describe(self) -> dict[str, object]:
        """Subscriptions as the venue echoes them."""
        return {"subscriptions": sorted(one.text for one in self.subscriptions)}

    def closed(self) -> None:
        """Nothing survives a socket."""
        self.subscriptions.clear()
        self._flowing.clear()

    # ---- incoming ----

    def received(self, message: str | bytes) -> None:
        """Answer one client frame."""
        if not self.hl.messages.spend(self.hl.clock.monotonic()) and self.hl.violation("messages_per_minute"):
            self._say(messages.error("Too many messages"), "error")
            return
        text = message if isinstance(message, str) else message.decode(errors="replace")
        request = parse(text)
        if request is None:
            self._say(messages.error(f"Error parsing JSON into valid websocket request: {text}"), "error")
        elif request.method == "ping":
            self.after(facts.PONG_S, lambda: self._say(messages.PONG, "pong"))
        elif request.method == "post":
            self._post(request)
        elif request.subscription is not None:
            self._subscription(request, request.subscription)

    def _say(self, data: bytes, kind: Kind, market: str | None = None) -> None:
        self.send(Frame(data, kind, market))

    def _post(self, request: Request) -> None:
        kind = request.body.get("type") if isinstance(request.body, dict) else None
        reply = self.hl.info.answer(request.body)
        cost = self.hl.info.weight(request.body, reply)
        limited = not self.hl.weight.spend(self.hl.clock.monotonic(), cost) and self.hl.violation("weight")
        response: dict[str, Any] = {"type": "info", "payload": {"type": kind, "data": reply.value}}
        if limited or reply.status != HTTPStatus.OK:
            response = {
                "type": "error",
                "payload": f"{HTTPStatus.TOO_MANY_REQUESTS.value if limited else reply.status}",
            }
        self._say(messages.message("post", {"id": request.id, "response": response}), "control")

    def _subscription(self, request: Request, subscription: Subscription) -> None:
        coin = subscription.coin
        known = coin is None or coin == facts.DELISTED or self.hl.market_of(coin) is not None
        if request.bad or not known:
            self.after(facts.SILENT_CLOSE_S, self.drop)
        elif request.method == "subscribe":
            self._subscribe(subscription)
        else:
            self._unsubscribe(subscription)

    def _subscribe(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self._say(messages.error(f"Already subscribed: {subscription.text}"), "error")
            return
        if self.hl.subscriptions_total() >= facts.SUBSCRIPTIONS and self.hl.violation("subscriptions"):
            self._say(messages.error(f"Cannot track more than {facts.SUBSCRIPTIONS} total subscriptions"), "error")
            return
        market = self.hl.market_of(subscription.coin or "")
        self._say(messages.response("subscribe", subscription.echo()), "ack", market)
        self.subscriptions.add(subscription)
        self._contexts_sent.clear()
        self.after(self.hl.noise.uniform(*facts.FIRST_FRAME_S), lambda: self._begin(subscription))

    def _unsubscribe(self, subscription: Subscription) -> None:
        if subscription not in self.subscriptions:
            self._say(messages.error(f"Already unsubscribed: {subscription.text}"), "error")
            return
        self.subscriptions.discard(subscription)
        self._flowing.discard(subscription)
        market = self.hl.market_of(subscription.coin or "")
        self._say(messages.response("unsubscribe", subscription.echo()), "ack", market)

    # ---- outgoing ----

    def _begin(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions and subscription not in self._flowing:
            self._flowing.add(subscription)
            self._first(subscription)

    def _first(self, subscription: Subscription) -> None:
        """Send the full present value of one stream, if it flows."""
        if subscription not in self._flowing:
            return
        frame = self._present(subscription)
        if frame is not None:
            self.send(frame)

    def _present(self, subscription: Subscription) -> Frame | None:
        market = self.hl.market_of(subscription.coin or "")
        match subscription.type:
            case "l2Book":
                return self._book(subscription)
            case "activeAssetCtx":
                return self._context(subscription.coin or "", market)
            case "bbo":
                return None if market is None else self.hl.bbo_frame(market)
            case "trades":
                return None if market is None else self.hl.replay_frame(market)
            case _:
                return self._of_all(subscription.type)

    def _of_all(self, kind: str) -> Frame | None:
        if kind == "fastAssetCtxs":
            return self._fast_contexts()
        info = self.hl.info
        data = {"mids": info.mids()} if kind == "allMids" else {"ctxs": [["", info.contexts()]]}
        return Frame(messages.message(kind, data), "stats")

    def _book(self, subscription: Subscription) -> Frame:
        self.hl.publish()
        return self.hl.book_frame(subscription)

    def _push_fast(self) -> None:
        wanted = [one for one in self._flowing if one.type == "l2Book" and one.fast]
        if not wanted:
            return
        repeat = self.hl.noise.random() < facts.REPEATED_TIME
        self.hl.publish()
        for one in wanted:
            known = self._last_fast.get(one.text)
            frame = known if repeat and known is not None else self.hl.book_frame(one)
            self._last_fast[one.text] = frame
            self.send(frame)

    def _push_default(self) -> None:
        wanted = [one for one in self._flowing if one.type == "l2Book" and not one.fast]
        if not wanted:
            return
        self.hl.publish()
        for one in wanted:
            self.send(self.hl.book_frame(one))

    def _push_contexts(self) -> None:
        for one in [one for one in self._flowing if one.type == "activeAssetCtx"]:
            self._first(one)

    def _context(self, coin: str, market: str | None) -> Frame:
        found = dict(messages.DELISTED_CONTEXT) if market is None else self.hl.context(market)
        return Frame(messages.message("activeAssetCtx", {"coin": coin, "ctx": found}), "stats", market)

    def _fast_contexts(self) -> Frame | None:
        changed = {}
        for market, spec in self.hl.specs.items():
            found = self.hl.context(market)
            short = {"markPx": found["markPx"], "midPx": found["midPx"]}
            if self._contexts_sent.get(spec.symbol) != short:
                self._contexts_sent[spec.symbol] = short
                changed[spec.symbol] = short
        return Frame(messages.fast_contexts(changed), "stats") if changed else None
