"""What REST answers, as plain values (pure). Times are in milliseconds, decimals strings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulator.decimals import fixed, trimmed
from simulator.stats import day_volume, settled
from simulator.venues.paradex import facts

if TYPE_CHECKING:
    from simulator.book import Levels
    from simulator.truth import MarketSpec, Trade
    from simulator.venues.paradex.venue import Paradex

ROW_MS = 60_000
"""Past funding is shown once a minute."""
FUNDING_DIGITS = Decimal("1e-14")
KINDS = {1: "FILL", 2: "LIQUIDATION", 5: "RPI"}
SETTLEMENT = {
    "starknet_gateway_url": "http://127.0.0.1",
    "starknet_fullnode_rpc_url": "http://127.0.0.1",
    "starknet_chain_id": "PRIVATE_SN_PARACLEAR_MAINNET",
    "block_explorer_url": "http://127.0.0.1",
    "paraclear_address": "0x1",
    "paraclear_decimals": 8,
    "paraclear_account_proxy_hash": "0x2",
    "paraclear_account_hash": "0x3",
    "oracle_address": "0x4",
    "bridged_tokens": [],
    "l1_core_contract_address": "0x5",
    "l1_operator_address": "0x6",
    "l1_chain_id": "1",
    "liquidation_fee": "0.20",
}


def trade_id(one: Trade) -> str:
    """28 digits: milliseconds, then a count."""
    return f"{one.ts_us // 1000:013d}{one.number:015d}"


def trade_type(one: Trade) -> int:
    """Mostly plain fills."""
    if one.number % 61 == 0:
        return 2
    return 5 if one.number % 7 == 0 else 1


class Rest:
    """Answers by market."""

    def __init__(self, venue: Paradex) -> None:
        self._venue = venue

    def market(self, market: str) -> dict[str, Any]:
        """A whole row."""
        spec = self._venue.specs[market]
        _, _, _, most, position = facts.RULES.get(spec.base, facts.DEFAULT_RULES)
        return {
            "symbol": spec.symbol,
            "base_currency": spec.base,
            "quote_currency": "USD",
            "settlement_currency": "USDC",
            "order_size_increment": fixed(1, spec.size_decimals),
            "price_tick_size": fixed(spec.tick, spec.price_decimals),
            "min_notional": "10",
            "open_at": 1_696_431_006_398,
            "expiry_at": 0,
            "asset_kind": "PERP",
            "market_kind": "cross",
            "position_limit": position,
            "price_bands_width": "0.05",
            "max_open_orders": 150,
            "max_funding_rate": "0.02",
            "delta1_cross_margin_params": {
                "imf_base": "0.02",
                "imf_shift": "0",
                "imf_factor": "0",
                "mmf_factor": "0.5",
            },
            "oracle_ewma_factor": "0.2",
            "max_order_size": most,
            "max_slippage": "0.05",
            "max_funding_rate_change": "0.0005",
            "max_tob_spread": "0.01",
            "interest_rate": "0.0001",
            "clamp_rate": "0.0005",
            "funding_period_hours": facts.FUNDING_HOURS,
            "funding_multiplier": 1,
            "tags": [],
            "trading_mode": "STANDARD",
        }

    def orderbook(self, market: str, sides: tuple[Levels, Levels], depth: int) -> dict[str, Any]:
        """At ``seq_no`` it equals the book of the streams."""
        spec = self._venue.specs[market]
        bids, asks = ([[_price(spec, p), _size(spec, q)] for p, q in side[:depth]] for side in sides)
        return self._at(market) | {"asks": asks, "bids": bids}

    def bbo(self, market: str, sides: tuple[Levels, Levels]) -> dict[str, Any]:
        """An empty side is empty text."""
        spec = self._venue.specs[market]
        found = self._at(market)
        for name, side in (("ask", sides[1]), ("bid", sides[0])):
            found[name] = _price(spec, side[0][0]) if side else ""
            found[f"{name}_size"] = _size(spec, side[0][1]) if side else ""
        return found

    def _at(self, market: str) -> dict[str, Any]:
        last = self._venue.truths[market].last
        return {
            "market": self._venue.specs[market].symbol,
            "seq_no": last.seq,
            "last_updated_at": self._venue.clock.stamp_ms(last.ts_us),
        }

    def trades(self, market: str, start: int, end: int) -> list[dict[str, Any]]:
        """Newest first; both times included."""
        rows = [self._trade(market, one) for one in reversed(self._venue.truths[market].trades)]
        return [row for row in rows if start <= row["created_at"] <= end]

    def _trade(self, market: str, one: Trade) -> dict[str, Any]:
        spec = self._venue.specs[market]
        return {
            "id": trade_id(one),
            "market": spec.symbol,
            "side": "BUY" if one.buy else "SELL",
            "size": _size(spec, one.size),
            "price": _price(spec, one.price),
            "created_at": self._venue.clock.stamp_ms(one.ts_us),
            "trade_type": KINDS[trade_type(one)],
        }

    def summary(self, market: str) -> dict[str, Any]:
        """The day of a market."""
        venue, spec, truth, stats = (
            self._venue,
            self._venue.specs[market],
            self._venue.truths[market],
            self._venue.stats[market],
        )
        last = Decimal(spec.price(truth.trades[-1].price))
        volume = day_volume(stats, truth) * last
        sides = self.bbo(market, (truth.book.top_bids(1), truth.book.top_asks(1)))
        return {
            "symbol": spec.symbol,
            "oracle_price": format(stats.index, "f"),
            "mark_price": format(stats.mark, "f"),
            "last_traded_price": format(last, "f"),
            "bid": sides["bid"],
            "bid_size": sides["bid_size"],
            "ask": sides["ask"],
            "ask_size": sides["ask_size"],
            "volume_24h": format(volume.quantize(Decimal("1e-9")), "f"),
            "total_volume": format((volume * 700).quantize(Decimal("1e-9")), "f"),
            "created_at": venue.now_us() // 1000,
            "underlying_price": format(stats.index, "f"),
            "open_interest": format(stats.open_interest, "f"),
            "funding_rate": format(venue.rate(market).quantize(FUNDING_DIGITS), "f"),
            "price_change_rate_24h": format((last / stats.previous_day - 1).quantize(Decimal("1e-6")), "f"),
        }

    def funding(self, market: str, start: int, end: int, limit: int) -> list[dict[str, Any]]:
        """Observations, newest first: what runs now, then once a minute."""
        venue = self._venue
        now = venue.funding_ms(market)
        rows = [self._observed(market, now, venue.rate(market))] if start <= now <= end else []
        minute = min(end, now - 1) // ROW_MS
        while len(rows) < limit and minute * ROW_MS >= max(start, 0):
            rate = settled(venue.settings.seed, market, minute) * facts.FUNDING_HOURS
            rows.append(self._observed(market, minute * ROW_MS, rate))
            minute -= 1
        return rows

    def _observed(self, market: str, time_ms: int, rate: Decimal) -> dict[str, Any]:
        venue = self._venue
        text = format(rate.quantize(FUNDING_DIGITS), "f")
        return {
            "market": venue.specs[market].symbol,
            "funding_index": format(venue.funding_index(market).quantize(FUNDING_DIGITS), "f"),
            "funding_premium": format((rate * venue.stats[market].index).quantize(FUNDING_DIGITS), "f"),
            "funding_rate": text,
            "funding_rate_8h": text,
            "funding_period_hours": facts.FUNDING_HOURS,
            "created_at": time_ms,
        }


def _price(spec: MarketSpec, ticks: int) -> str:
    return trimmed(spec.units(ticks), spec.price_decimals)


def _size(spec: MarketSpec, lots: int) -> str:
    return trimmed(lots, spec.size_decimals)
