"""Venue bytes in, bus events out: one process a venue."""
