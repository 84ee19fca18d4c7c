"""Numbers on their way into a model."""

from __future__ import annotations

import numpy as np

from localcloud.bigquery.ml.signature import Feature

_EMPTY = {"INT64": np.int64, "FLOAT64": np.float64, "BOOL": np.bool_}


def narrowed(name: str, values: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Return numbers in the model's own type.

    Raises:
        ValueError: A whole number is too large for it.
    """
    result = values.astype(dtype, copy=False)
    if values.dtype.kind == "i" and np.dtype(dtype).kind in "iu" and not np.array_equal(result, values):
        raise ValueError(f"a value of input {name} is out of the range of {np.dtype(dtype).name}")
    return result


def zeros(feature: Feature) -> np.ndarray:
    """Return one row of an input that holds nothing in particular, to see what a model makes of it."""
    shape = (1, *(1 if size is None else size for size in feature.shape))
    if feature.type == "STRING":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, _EMPTY[feature.type])
