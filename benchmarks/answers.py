"""What the two venues' REST interfaces answer to discovery, as far as clients ask before they stream."""

from __future__ import annotations

from typing import Final

SYMBOL: Final = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4_133_404_800_000,
    "onboardDate": 1_627_628_400_000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 1,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "underlyingType": "COIN",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "1000000", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "100", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "100", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
    "orderTypes": ["LIMIT", "MARKET"],
    "timeInForce": ["GTC"],
}

ASTER: Final[dict[str, object]] = {
    "exchangeInfo": {"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "assets": [], "symbols": [SYMBOL]},
    "fundingInfo": [],
    "fundingRate": [],
    "openInterest": {"symbol": "BTCUSDT", "openInterest": "1000.000", "time": 1_700_000_000_000},
}
"""By the last part of the path; ``depth`` is the book's to answer."""

META: Final = {
    "universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56}],
    "marginTables": [],
}
FIGURES: Final = {
    "dayNtlVlm": "1000000.0",
    "funding": "0.0000125",
    "impactPxs": ["84000.0", "84001.0"],
    "markPx": "84000.5",
    "midPx": "84000.5",
    "openInterest": "1000.0",
    "oraclePx": "84000.0",
    "premium": "0.0",
    "prevDayPx": "83000.0",
}

HYPERLIQUID: Final[dict[str, object]] = {
    "meta": META,
    "metaAndAssetCtxs": [META, [FIGURES]],
    "spotMeta": {"tokens": [], "universe": []},
    "perpDexs": [None],
    "fundingHistory": [],
}
"""By the ``type`` asked for; ``l2Book`` is the newest frame's to answer."""
