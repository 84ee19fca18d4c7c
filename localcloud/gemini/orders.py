"""Orders for the stand-in model: which requests it fails, refuses, delays, or answers with a given text.

An order applies to the requests that contain its text, and to a share of them that depends on the request alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

MAX_SECONDS = 600.0


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        text: The order applies to requests whose last message contains this text; the empty text is in all.
        percent: The share of these requests, from 0 to 100.
        times: The number of requests after which the order ends; None means that it does not end.
        seconds: The delay before the answer.
        status: The HTTP status of the error that the request fails with, from 400 to 599.
        message: The message of this error.
        refuse: Whether the answer has no content and the finish reason SAFETY.
        answer: The text of the answer, in place of the echo.
    """

    text: str = ""
    percent: float = 100.0
    times: int | None = None
    seconds: float = 0.0
    status: int | None = None
    message: str = "The stand-in model was ordered to fail this request."
    refuse: bool = False
    answer: str | None = None


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


# The check of each field, and what a right value is.
_RULES: Mapping[str, tuple[Any, str]] = {
    "text": (lambda value: isinstance(value, str), "a string"),
    "percent": (lambda value: _is_number(value, 0, 100), "a number from 0 to 100"),
    "times": (lambda value: isinstance(value, int) and _is_number(value, 1, 10**9), "a whole number of at least 1"),
    "seconds": (lambda value: _is_number(value, 0, MAX_SECONDS), f"a number from 0 to {MAX_SECONDS:.0f}"),
    "status": (lambda value: isinstance(value, int) and _is_number(value, 400, 599), "an HTTP status from 400 to 599"),
    "message": (lambda value: isinstance(value, str), "a string"),
    "refuse": (lambda value: isinstance(value, bool), "true or false"),
    "answer": (lambda value: isinstance(value, str), "a string"),
}


def parse_orders(given: Any) -> list[Order]:
    """Return the orders in a JSON value: a list of objects with fields of ``Order``, or one object.

    Raises:
        ValueError: The value is something else; the message says which field is wrong and what is right.
    """
    known = [field.name for field in fields(Order)]
    orders = []
    for number, order in enumerate(given if isinstance(given, list) else [given], 1):
        if not isinstance(order, dict):
            raise ValueError(f"Order {number} of the stand-in model must be an object.")
        for name, value in order.items():
            if name not in _RULES:
                raise ValueError(f"Order {number} has the unknown field {name!r}; the fields are {', '.join(known)}.")
            is_right, right = _RULES[name]
            if not is_right(value):
                raise ValueError(f"Order {number}: {name} must be {right}.")
        orders.append(Order(**order))
    return orders


def orders_from(text: str) -> list[Order]:
    """Return the orders in a JSON text; an empty text has none. Raises ``ValueError``."""
    if not text.strip():
        return []
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f"The orders of the stand-in model are not JSON: {error}") from None
    return parse_orders(given)


class Orders:
    """The current orders, which any thread can replace."""

    def __init__(self, orders: list[Order]) -> None:
        """Begin with ``orders``."""
        self._lock = threading.Lock()
        self.replace(orders)

    def __bool__(self) -> bool:
        return bool(self._orders)

    def replace(self, orders: list[Order]) -> None:
        """Replace all orders, and count their requests from the start."""
        with self._lock:
            self._orders = tuple(orders)
            self._applied = [0] * len(orders)

    def shown(self) -> list[dict[str, Any]]:
        """Return the orders as JSON."""
        return [asdict(order) for order in self._orders]

    def of(self, text: str, number: int) -> Iterator[Order]:
        """Yield the orders that apply to a request.

        Args:
            text: The text of its last message.
            number: A number that depends on the request alone.
        """
        for index, order in enumerate(self._orders):
            if order.text in text and number % 10_000 < order.percent * 100 and self._count(index, order):
                yield order

    def _count(self, index: int, order: Order) -> bool:
        """Count a request, and return whether the order still applies."""
        if order.times is None:
            return True
        with self._lock:
            if index >= len(self._applied) or self._applied[index] >= order.times:
                return False
            self._applied[index] += 1
            return True
