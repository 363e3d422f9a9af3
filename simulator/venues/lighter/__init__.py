"""Lighter: one JSON socket, slash in and colon out, diffs chained by a nonce that all markets share."""
