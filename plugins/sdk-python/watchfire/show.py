"""Numbers as an operator reads them: six significant digits and the unit, the same on every machine."""

from __future__ import annotations

from math import isfinite, isnan

from .contract import Signal

UNITS = {None: "", "": "", "1": "", "Cel": " °C", "[degF]": " °F"}


def show(signal: Signal, value: float) -> str:
    """A value of this signal with its unit, such as `92.31 °C`."""
    return number(value) + UNITS.get(signal.unit, f" {signal.unit}")


def number(value: float) -> str:
    """A number with six significant digits and no needless zeros."""
    size = abs(value)
    if not isfinite(value):
        return "NaN" if isnan(value) else str(value)
    if size != 0 and not 1e-4 <= size < 1e15:
        digits, exponent = f"{value:.5e}".split("e")
        return f"{trimmed(digits)}e{int(exponent)}"
    if size >= 1:
        decimals = max(0, 6 - len(str(int(size))))
    else:
        decimals = next((5 + n for n in range(4) if size >= 10.0**-n), 9) if size else 5
    return trimmed(f"{value:.{decimals}f}")


def trimmed(digits: str) -> str:
    """Without the zeros at the end of the fraction."""
    short = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if short == "-0" else short
