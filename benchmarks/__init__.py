"""What the product costs, measured beside its neighbours: ``python -m benchmarks``."""
