"""Hyperliquid: snapshots only, no sequence, one JSON socket, ``POST /info``."""
