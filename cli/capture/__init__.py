"""Captures: what they hold, and playing them again."""
