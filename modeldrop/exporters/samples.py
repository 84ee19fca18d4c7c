"""The sample rows that the outputs of a model and of its export are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeldrop.exporters.errors import ExportError

ROWS = 32
"""Rows of a sample that is made for a model."""

ONLY = ""
"""The name of the column of a sample that is one array without names."""

_MOST_ROWS = 1000
_SCALES = (1.0, 1.0, 10.0, 100.0)
_WORDS = ("a good day", "rain", "", "new model, old data", "Ünïcode", "2026")


@dataclass(frozen=True)
class Sample:
    """Sample rows, by columns."""

    columns: dict[str, np.ndarray]
    """Arrays with the rows in the first dimension, by the names of columns. Texts are arrays of objects."""

    @property
    def has_names(self) -> bool:
        """Whether the columns have names."""
        return ONLY not in self.columns

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def table(self) -> np.ndarray:
        """Return the columns as one array of rows and columns."""
        return np.column_stack([values.reshape(len(values), -1) for values in self.columns.values()])


def sample_of(given: Any) -> Sample:
    """Return sample rows in one form.

    Args:
        given: A DataFrame, an array of rows (NumPy, PyTorch), several arrays as a dictionary or a tuple, or a list of
            dictionaries, one for each row.

    Raises:
        ExportError: There are no rows, or the columns differ in length.
    """
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        columns = {str(name): _array(given[name].to_numpy()) for name in given.columns}
    elif isinstance(given, Mapping):
        columns = {str(name): _array(values) for name, values in given.items()}
    elif isinstance(given, Sequence) and given and all(isinstance(row, Mapping) for row in given):
        names = given[0].keys()
        if any(row.keys() != names for row in given):
            raise ExportError("the sample rows have different columns: give every row the same ones")
        columns = {str(name): _array([row[name] for row in given]) for name in names}
    elif isinstance(given, tuple):
        columns = {str(index): _array(values) for index, values in enumerate(given)}
    else:
        columns = {ONLY: _array(given)}
    sizes = {values.shape[0] if values.ndim else 0 for values in columns.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise ExportError("the sample must have at least one row, and every column the same number of rows")
    return Sample({name: values[:_MOST_ROWS] for name, values in columns.items()})


def random_values(kind: str, shape: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    """Return values for an input whose meaning is not known: the same ones at each call.

    Args:
        kind: The kind of a NumPy type: "f" for numbers, "i", "u" and "b" for small integers, and "O" for texts.
        shape: The shape with the rows in the first dimension.
        seed: Chooses the values.
    """
    generator = np.random.default_rng(seed)
    if kind == "f":
        scales = np.resize(_SCALES, shape[0]).reshape(-1, *([1] * (len(shape) - 1)))
        # Numbers of float32, so that both sides see the same ones.
        numbers: np.ndarray = (generator.standard_normal(shape) * scales).astype(np.float32)
        return numbers
    if kind in "OUS":
        words: np.ndarray = np.array(_WORDS, dtype=object)[generator.integers(0, len(_WORDS), shape)]
        return words
    return generator.integers(0, 2, shape)


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    elif hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ExportError(f"a column of the sample has rows of different lengths: {error}") from error
    return array.astype(object) if array.dtype.kind in "US" else array
