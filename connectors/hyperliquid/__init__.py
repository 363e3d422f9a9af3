"""Hyperliquid: perpetuals of the validator-operated exchange, public market data."""
