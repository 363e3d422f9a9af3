"""Paradex: requests and answers are text, data is SBE binary."""
