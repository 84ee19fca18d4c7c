"""Converts numbers to the types of a model's inputs."""

from __future__ import annotations

import numpy as np

from localcloud.bigquery.ml.models.signature import Feature

_EMPTY = {"INT64": np.int64, "FLOAT64": np.float64, "BOOL": np.bool_}


def narrow(name: str, values: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Convert numbers to the model's own type.

    Args:
        name: The name of the input, for error messages.
        values: The numbers.
        dtype: The model's type.

    Raises:
        ValueError: An integer is out of the range of the type.
    """
    result = values.astype(dtype, copy=False)
    if values.dtype.kind == "i" and np.dtype(dtype).kind in "iu" and not np.array_equal(result, values):
        raise ValueError(f"a value of input {name} is out of the range of {np.dtype(dtype).name}")
    return result


def zeros(feature: Feature) -> np.ndarray:
    """Return one row of zeros or empty strings for an input, to find the shapes of a model's outputs."""
    shape = (1, *(1 if size is None else size for size in feature.shape))
    if feature.type == "STRING":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, _EMPTY[feature.type])
