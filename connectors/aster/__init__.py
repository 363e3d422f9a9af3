"""Aster: perpetuals of the "Aster Pro" order book, public market data (``fapi`` and ``fstream``)."""
