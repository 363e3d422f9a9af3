"""Extended: perpetuals on Starknet, public market data."""
