"""Consumes the bus as a strategy would, and measures how old every venue is."""
