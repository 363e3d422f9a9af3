"""The balance of what was published and what arrived, as telemetry tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from bus.accounting import Balance

NAMED: Final = 10
"""Chains out of balance that are named; of more only the number is told."""


def told(balances: Mapping[str, Balance]) -> dict[str, object]:
    """Totals, by sender, and which chains are out of balance. ``balances`` by chain name (``book.aster.BTC-PERP``)."""
    senders: dict[str, Balance] = {}
    unbalanced = []
    for chain, balance in balances.items():
        sender = chain.split(".", 2)[1]
        senders[sender] = senders.get(sender, Balance()) + balance
        if balance.imbalance:
            unbalanced.append(chain)
    total = sum(senders.values(), Balance())
    return {
        **msgspec.structs.asdict(total),
        "by_sender": {sender: msgspec.structs.astuple(balance) for sender, balance in senders.items()},
        "unbalanced": len(unbalanced),
        "unbalanced_chains": sorted(unbalanced)[:NAMED],
    }
