"""Aster: diffs chained by ``pu`` on streams, snapshots over REST, one id counter for all symbols."""
