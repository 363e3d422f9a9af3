"""Exact decimals as scaled integers, printed in each venue's own way; JSON encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from decimal import Decimal

_ENCODER = msgspec.json.Encoder()
encode = _ENCODER.encode


def fixed(value: int, decimals: int) -> str:
    """Print ``value * 10**-decimals`` with exactly ``decimals`` fraction digits: ``fixed(19142, 2) == "191.42"``."""
    if decimals <= 0:
        return str(value)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def trimmed(value: int, decimals: int) -> str:
    """Print without trailing zeros and without a lone point: ``trimmed(841430, 1) == "84143"``."""
    text = fixed(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def pointed(value: int, decimals: int) -> str:
    """Print without trailing zeros but always with a fraction digit: ``pointed(841430, 1) == "84143.0"``."""
    text = trimmed(value, decimals)
    return text if "." in text else text + ".0"


def pointed_decimal(value: Decimal) -> str:
    """The same for a ``Decimal``."""
    text = format(value, "f")
    if "." not in text:
        return text + ".0"
    text = text.rstrip("0")
    return text + "0" if text.endswith(".") else text
