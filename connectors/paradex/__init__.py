"""Paradex: perpetuals on a Starknet chain, public market data in SBE binary."""
