"""Numbers as a reader wants them: digits that the error allows, true minus signs, thin spaces between thousands."""

import math
from html import escape
from typing import Any

MISSING = "–"  # noqa: RUF001
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_number(value: Any) -> bool:
    """True for a finite real number that is not a truth value."""
    if isinstance(value, bool) or value is None:
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _signed(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{max(digits - 1, 0)}e}".split("e")
    return f"{_signed(mantissa)} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"  # noqa: RUF001


def number(value: Any, digits: int = 3) -> str:
    """`value` to so many significant digits; a dash when there is none."""
    if not is_number(value):
        return MISSING
    value = float(value)
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude >= 7:
        return _scientific(value, digits)
    decimals = max(digits - 1 - magnitude, 0)
    return _signed(f"{value:,.{decimals}f}".replace(",", "\u2009"))


def plus_minus(value: Any, error: Any = None) -> str:
    """`value ± error`, both rounded to two significant digits of the error."""
    if not is_number(value):
        return MISSING
    if not is_number(error) or float(error) <= 0:
        return number(value)
    value, error = float(value), float(error)
    decimals = 1 - math.floor(math.log10(error))
    if decimals > 6 or abs(value) >= 1e7:
        return f"{_scientific(value, 3)} ± {_scientific(error, 2)}"
    decimals = max(decimals, 0)
    return _signed(f"{value:,.{decimals}f}".replace(",", "\u2009") + f" ± {error:,.{decimals}f}".replace(",", "\u2009"))


def small_length(unit: str, *values: Any) -> tuple[float, str]:
    """Factor and unit in which lengths are best read: pm for nm when all are below 0.02 nm."""
    known = [abs(float(value)) for value in values if is_number(value)]
    return (1e3, "pm") if unit == "nm" and known and max(known) < 0.02 else (1.0, unit)


def plain(value: Any) -> str:
    """A number that was set or counted: no more digits than it needs."""
    if not is_number(value):
        return MISSING
    value = float(value)
    if value == int(value) and abs(value) < 1e15:
        return _signed(f"{int(value):,}".replace(",", "\u2009"))
    return _signed(f"{value:.6g}")


def text(value: Any) -> str:
    """Anything as escaped text; numbers short, lists joined by commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return MISSING
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return plain(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value) if value else MISSING
    return escape(str(value))
