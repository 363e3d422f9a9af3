"""Lighter: zero-knowledge perpetuals exchange, public market data."""
