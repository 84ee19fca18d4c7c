"""Writes numbers by a format, as ``CAST(number AS STRING FORMAT '$999,999.99')`` does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_numeric_type_as_string
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from localcloud.bigquery.base.errors import QueryError

_FORMAT = re.compile(
    r"""(?P<before>(?:FM|B|S|[$LC])*)
    (?P<whole>[09X,G$LC]*)(?:(?P<point>[.D]|V)(?P<fraction>[09$LC]*))?
    (?P<exponent>EEEE)?(?P<after>(?:MI|PR|S|B|[$LC])*)""",
    re.VERBOSE | re.IGNORECASE,
)
_EXACT = Context(prec=120, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class NumberFormat:
    """A format.

    Attributes:
        whole: The elements before the point: ``0``, ``9``, ``X`` and ``,``.
        places: The number of digits after the point, or after V.
        point: What is written before those digits.
        sign: Where the sign is: ``S`` before the number, or ``TRAILING``, ``MI``, ``PR``; empty for a sign of negative numbers.
        currency: The symbol.
        exponent: Whether the number is in scientific notation.
        fill: Whether spaces and the zeros at the end of the fraction are written.
        blank: Whether a number without a whole part is written as spaces.
        capitals: Whether hexadecimal digits are capitals.
    """

    whole: str
    places: int
    point: str
    sign: str
    currency: str
    exponent: bool
    fill: bool
    blank: bool
    capitals: bool

    @property
    def width(self) -> int:
        """The number of characters without those of the sign."""
        exponent = len("E+00") if self.exponent else 0
        return len(self.currency) + len(self.whole) + len(self.point) + self.places + exponent


@lru_cache(maxsize=256)
def number_format(text: str) -> NumberFormat:
    """Return the format that a text describes.

    Raises:
        QueryError: The text is not a format of numbers.
    """
    if re.match(r"TM", text, re.IGNORECASE):
        raise QueryError(f"The format element {text} is not supported")
    match = _FORMAT.fullmatch(text)
    if match is None or match["whole"].startswith((",", "G")) or (match["exponent"] and "," in match["whole"]):
        raise QueryError(f"Error in format string: {text} is not a format of numbers")
    parts = {name: (part or "").upper() for name, part in match.groupdict().items()}
    whole = re.sub("[$LC]", "", parts["whole"].replace("G", ","))
    fraction = re.sub("[$LC]", "", parts["fraction"])
    if not re.search("[09X]", whole + fraction):
        raise QueryError("Error in format string: Format string must contain at least one of 'X', '0' or '9'")
    signs = re.findall(r"MI|PR|S", parts["before"] + " " + parts["after"])
    symbols = re.findall("[$LC]", "".join(parts.values()))
    if len(signs) > 1 or len(symbols) > 1:
        raise QueryError("Error in format string: a format has at most one sign and one currency symbol")
    leading = "S" in parts["before"]
    return NumberFormat(
        whole=whole[:1] if parts["exponent"] else whole,
        places=len(fraction),
        point="" if parts["point"] in ("V", "") else ".",
        sign=("S" if leading else "TRAILING") if signs == ["S"] else "".join(signs),
        currency={"C": "USD", "L": "$", "$": "$"}[symbols[0]] if symbols else "",
        exponent=bool(parts["exponent"]),
        fill="FM" not in parts["before"],
        blank="B" in parts["before"].replace("FM", "") + parts["after"],
        capitals="x" not in match["whole"],
    )


def written_number(text: str, kind: str, form: str) -> str:
    """Return a number as a format writes it.

    Args:
        text: The number.
        kind: Its type in DuckDB.
        form: The format.

    Raises:
        QueryError: The value is not a number, or the text is not a format of numbers.
    """
    floats = kind in ("DOUBLE", "FLOAT")
    if not floats and not re.fullmatch(r"[A-Z]*INT(?:EGER)?|DECIMAL.*", kind):
        raise QueryError(f"FORMAT '{form}' is not allowed for a cast from a value that is not a number")
    described = number_format(form)
    value: float | Decimal = float(text) if floats else Decimal(text)
    size = value.copy_abs() if isinstance(value, Decimal) else math.fabs(value)
    return _signed(_body(size, described), value < 0, math.isnan(value), described)


def _body(value: float | Decimal, form: NumberFormat) -> str:
    """Return the digits of a number that is not negative, without spaces on the left."""
    if not math.isfinite(value):
        if "X" in form.whole or (len(form.whole) < len("NAN") and not form.exponent):
            return _overflow(form)
        after = "" if form.exponent or not form.fill else " " * (len(form.point) + form.places)
        return ("NAN" if math.isnan(value) else "INF") + after
    if form.exponent:
        if form.blank and value == 0:
            return " " * form.width
        return _scientific(value, form)
    if "X" in form.whole:
        integer = int(_EXACT.quantize(Decimal(value), Decimal(1)))
        return _grouped(f"{integer:{'X' if form.capitals else 'x'}}", form) or _overflow(form)
    rounded = f"{value:.{form.places}f}" if isinstance(value, float) else f"{_rounded(value, form.places):f}"
    whole, _, fraction = rounded.partition(".")
    if form.blank and int(whole) == 0:
        return " " * form.width
    fraction = fraction if form.fill else fraction.rstrip("0")
    digits = _grouped("" if int(whole) == 0 and fraction else whole, form)
    return _overflow(form) if digits is None else digits + form.point + fraction


def _rounded(value: Decimal, places: int) -> Decimal:
    return _EXACT.quantize(value, Decimal(1).scaleb(-places))


def _scientific(value: float | Decimal, form: NumberFormat) -> str:
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.{form.places}e}".partition("e")
    else:
        power = value.adjusted() if value else 0
        rounded = _rounded(value.scaleb(-power, _EXACT), form.places)
        if rounded >= 10:
            power, rounded = power + 1, _rounded(rounded / 10, form.places)
        mantissa, exponent = f"{rounded:f}", f"{power:+03d}"
    if not form.fill and form.point:
        mantissa = mantissa.rstrip("0")
    return f"{mantissa}E{exponent}"


def _grouped(digits: str, form: NumberFormat) -> str | None:
    """Return the digits before the point, with zeros and commas; None if there are too many."""
    places = form.whole.replace(",", "")
    if len(digits) > len(places):
        return None if digits != "0" else ""
    zeros = len(places) - places.find("0") if "0" in places else 0
    left = list(digits.rjust(zeros, "0"))
    written: list[str] = []
    for element in reversed(form.whole):
        if not left:
            break
        written.append("," if element == "," else left.pop())
    return "".join(reversed(written))


def _overflow(form: NumberFormat) -> str:
    return re.sub("[09X]", "#", form.whole) + form.point + "#" * form.places


def _signed(body: str, negative: bool, is_nan: bool, form: NumberFormat) -> str:
    if not body.strip():
        return "" if not form.fill else " " * (form.width + (2 if form.sign == "PR" else 1))
    body = form.currency + body
    plus = " " if is_nan else "+"
    before, after = {
        "": ("-" if negative else "", ""),
        "S": ("-" if negative else plus, ""),
        "TRAILING": ("", "-" if negative else plus),
        "MI": ("", "-" if negative else " "),
        "PR": ("<", ">") if negative else ("", " "),
    }[form.sign]
    text = before + body + after
    if not form.fill:
        return text.strip()
    return text.rjust(form.width + (2 if form.sign == "PR" else 1))
