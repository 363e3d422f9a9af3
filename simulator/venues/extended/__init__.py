"""Extended: one socket a topic (v1), or many topics on one socket by RPC (v2)."""
