"""Compares the outputs of a model with those of its export."""

from __future__ import annotations

import numpy as np

from modeldrop.exporters.draft import Outputs
from modeldrop.exporters.errors import ExportError

TOLERANCE = 1e-4
"""The largest difference of two numbers, as a part of the number and of the mean of its column.

Libraries compute in float32, in different orders, which changes the last digits."""


def compare(own: Outputs, written: Outputs) -> float:
    """Return the largest difference between the outputs of a model and those of its export.

    Args:
        own: What the model returns, by column.
        written: What the export returns for the same rows. It has the columns of ``own``.

    Returns:
        The largest difference of two numbers; 0 if no output is a number.

    Raises:
        ExportError: The outputs differ. The text names the column and the largest difference.
    """
    return max((_compare_column(name, values, written[name]) for name, values in own.items()), default=0.0)


def agree(own: Outputs, written: Outputs) -> bool:
    """Return whether the outputs of a model and those of its export are the same."""
    try:
        compare(own, written)
    except ExportError:
        return False
    return True


def _compare_column(name: str, own: np.ndarray, written: np.ndarray) -> float:
    expected, found = np.asarray(own), np.asarray(written)
    rows = len(expected) if expected.ndim else 0
    if expected.size != found.size or (found.ndim and len(found) != rows):
        raise ExportError(
            f"the column {name!r} of the export has values of the shape {found.shape}, and the model returns {expected.shape} "
            "for the same rows, so the export was discarded"
        )
    expected, found = expected.reshape(rows, -1), found.reshape(rows, -1)
    if not _is_number(expected) or not _is_number(found):
        return _compare_texts(name, expected, found)
    expected, found = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(expected) & np.isfinite(found)
    mean = np.abs(expected[finite]).mean() if finite.any() else 0.0
    allowed = TOLERANCE * (np.abs(expected) + mean) + np.finfo(np.float32).tiny
    with np.errstate(invalid="ignore"):
        difference = np.abs(expected - found)
    same = np.isnan(expected) & np.isnan(found) | (expected == found)
    difference = np.where(same, 0.0, np.where(finite, difference, np.inf))
    wrong = difference > allowed
    if wrong.any():
        row, _ = np.argwhere(wrong & (difference == difference[wrong].max()))[0]
        raise ExportError(
            f"the column {name!r} of the export differs from the model's own output in {wrong.any(axis=1).sum()} of {rows} "
            f"sample rows; the largest difference is {difference[wrong].max():.3g}, in row {row + 1}, so the export was "
            "discarded"
        )
    return float(difference.max(initial=0.0))


def _compare_texts(name: str, expected: np.ndarray, found: np.ndarray) -> float:
    wrong = [
        row
        for row, (a, b) in enumerate(zip(expected, found, strict=True))
        if list(map(_text, a)) != list(map(_text, b))
    ]
    if wrong:
        row = wrong[0]
        raise ExportError(
            f"the column {name!r} of the export differs from the model's own output in {len(wrong)} of {len(expected)} sample "
            f"rows; row {row + 1} has {_text(found[row][0])!r} instead of {_text(expected[row][0])!r}, so the export was "
            "discarded"
        )
    return 0.0


def _is_number(values: np.ndarray) -> bool:
    return values.dtype.kind in "biuf"


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
