"""Kubernetes quantities as bytes (resource.Quantity: binary, decimal and exponent forms)."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(
    r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:([eE][+-]?[0-9]{1,2})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?$"
)
_UNITS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** (i + 1) for i, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (i + 1) for i, unit in enumerate("KMGTPE")},
}


def quantity_bytes(text: object) -> int:
    """A quantity in whole bytes, rounded up as the API server does; -1 when it is none."""
    match = _FORM.match(str(text))
    if not match:
        return -1
    value = Decimal(match[1] + (match[2] or "")) * _UNITS[match[3] or ""]
    return int(value.to_integral_value(rounding="ROUND_CEILING"))


def quantity_text(count: int) -> str:
    """Bytes as a quantity, in the largest binary unit that loses nothing."""
    for unit in reversed([unit for unit in _UNITS if unit.endswith("i")]):
        size = int(_UNITS[unit])
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)
